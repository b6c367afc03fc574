//! Counts what the store holds, from manifests and narrow columns.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::conversation::Usage;
use crate::store::open::Store;
use crate::store::tables::{Filter, Record, Table};

/// Holds what one table is made of.
#[derive(Debug, Clone, Serialize)]
pub struct TableStats {
    #[serde(skip)]
    pub name: &'static str,
    pub rows: usize,
    pub fragments: usize,
    pub versions: usize,
    /// Bytes on disk, old versions included; for a store elsewhere those of the current version.
    pub bytes: u64,
    /// Rows that no index covers.
    pub unindexed_rows: usize,
}

#[derive(Deserialize)]
struct Spent {
    token_usage: String,
    finish_reason: Option<String>,
}

/// Holds what the store is made of.
#[derive(Debug, Clone)]
pub struct Stats {
    pub tables: Vec<TableStats>,
    /// Bytes of the whole home on disk, and of the tables where they are elsewhere.
    pub disk_bytes: u64,
    pub model: String,
    /// The length of the vectors.
    pub dimension: usize,
    /// The tokens of all turns within the filter.
    pub usage: Usage,
    /// How often models stopped for which reason, within the filter.
    pub finish_reasons: BTreeMap<String, usize>,
    /// The turns within the filter.
    pub turns: usize,
}

impl Store {
    /// Counts rows, bytes and tokens; tokens and turns only within the filter.
    pub async fn stats(&self, filter: &Filter) -> Result<Stats> {
        let tables = vec![
            self.table_stats(&self.users).await?,
            self.table_stats(&self.sessions).await?,
            self.table_stats(&self.interactions).await?,
            self.table_stats(&self.react_cycles).await?,
            self.table_stats(&self.passages).await?,
        ];
        let (mut turns, mut usage) = (0, Usage::default());
        let mut finish_reasons = BTreeMap::new();
        let take = |turn: Spent| {
            turns += 1;
            usage += Usage::parse(&turn.token_usage).unwrap_or_default();
            if let Some(reason) = turn.finish_reason {
                *finish_reasons.entry(reason).or_default() += 1;
            }
            Ok(())
        };
        self.interactions
            .each(filter.turns(), &["token_usage", "finish_reason"], take)
            .await?;
        let on_disk: u64 = tables.iter().map(|table| table.bytes).sum();
        let home = &self.options.home;
        let disk_bytes = match self.folder() {
            Some(folder) if folder.starts_with(home) => disk_bytes(home),
            Some(folder) => disk_bytes(home) + disk_bytes(&folder),
            None => disk_bytes(home) + on_disk,
        };
        Ok(Stats {
            tables,
            disk_bytes,
            model: self.options.embedder.name(),
            dimension: self.dimension,
            usage,
            finish_reasons,
            turns,
        })
    }

    async fn table_stats<R: Record>(&self, table: &Table<R>) -> Result<TableStats> {
        let table = &table.inner;
        let stats = table.stats().await?;
        let indices = table.list_indices().await?;
        let unindexed = indices
            .iter()
            .map(|index| index.num_unindexed_rows.unwrap_or_default())
            .max();
        let folder = Path::new(&self.options.uri).join(format!("{}.lance", R::NAME));
        let (versions, bytes) = if self.is_local() {
            (manifests(&folder), disk_bytes(&folder))
        } else {
            (table.list_versions().await?.len(), stats.total_bytes as u64)
        };
        Ok(TableStats {
            name: R::NAME,
            rows: stats.num_rows,
            fragments: stats.fragment_stats.num_fragments,
            versions,
            bytes,
            unindexed_rows: unindexed.map_or(stats.num_rows, |rows| {
                usize::try_from(rows).unwrap_or(usize::MAX)
            }),
        })
    }
}

/// Counts the versions of a table on disk, without opening them.
fn manifests(table: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(table.join("_versions")) else {
        return 0;
    };
    let is_manifest = |entry: &std::fs::DirEntry| {
        entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "manifest")
    };
    entries.flatten().filter(is_manifest).count()
}

/// Adds up the sizes of the files in a folder and below; what cannot be read counts nothing.
fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
