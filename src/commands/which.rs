//! Arguments that say what kind of turns a command looks at: where they were had, by what, and how they ended.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};

use crate::chat::Memory;
use crate::config::path;
use crate::conversation::Status;
use crate::store::{Filter, Kind};
use crate::ui::Ui;

/// Says what kind of turns a command looks at.
#[derive(Debug, Default, clap::Args)]
pub struct Which {
    /// Only what was said in this folder, or below it
    #[arg(long, value_name = "PATH", value_parser = path())]
    folder: Vec<PathBuf>,
    /// Only what comes from here: `allm` itself, or what it was imported from, such as `codex`
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    source: Vec<String>,
    /// Only what this model answered, by its name as listed, or without its tag or date; `*` is anything
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    model: Vec<String>,
    /// Only what this provider answered
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    provider: Vec<String>,
    /// Only what ended so: completed, interrupted or failed
    #[arg(
        long,
        value_name = "STATUS",
        value_enum,
        value_delimiter = ',',
        hide_possible_values = true
    )]
    status: Vec<Status>,
    /// Only turns in which this tool was called
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    tool: Vec<String>,
}

impl Which {
    pub fn is_given(&self) -> bool {
        !self.given().is_empty()
    }

    /// Returns what is given, as it is typed.
    fn given(&self) -> Vec<String> {
        let folders = self.folder.iter().map(|path| path.display().to_string());
        let folders: Vec<String> = folders.collect();
        let statuses = self.status.iter().map(|status| status.as_str().to_owned());
        let statuses: Vec<String> = statuses.collect();
        let options = [
            ("folder", &folders),
            ("source", &self.source),
            ("model", &self.model),
            ("provider", &self.provider),
            ("status", &statuses),
            ("tool", &self.tool),
        ];
        let given = options.into_iter().filter(|(_, values)| !values.is_empty());
        given
            .map(|(name, values)| format!("--{name} {}", values.join(",")))
            .collect()
    }

    /// Says what is left out: what is meant as words may be an option.
    pub fn say(&self, ui: &Ui) {
        if self.is_given() {
            ui.note(&format!("only what fits {}", self.given().join(" ")));
        }
    }

    /// Narrows a filter down to turns of this kind.
    pub async fn narrow(&self, filter: Filter, memory: &Memory) -> Result<Filter> {
        if !self.is_given() {
            return Ok(filter);
        }
        let folders = self.folder.iter().map(|folder| paths(folder));
        let folders: Result<Vec<Vec<String>>> = folders.collect();
        let kind = Kind {
            folders: folders?.concat(),
            sources: self.source.clone(),
            models: self.model.clone(),
            providers: self.provider.clone(),
            statuses: self.status.clone(),
            tools: self.tool.clone(),
        };
        memory.store.kindred(filter, kind).await
    }
}

/// Returns the absolute paths that a folder may be recorded by: as it is written, and as it is called without links.
fn paths(folder: &Path) -> Result<Vec<String>> {
    let written = folder.to_string_lossy();
    if let [drive, b':', b'/' | b'\\', ..] = written.as_bytes()
        && drive.is_ascii_alphabetic()
    {
        // It is of another system, from where something was imported.
        return Ok(vec![written.trim_end_matches(['\\', '/']).to_owned()]);
    }
    let context = || format!("cannot use `{written}` as a folder");
    let path = std::path::absolute(folder).with_context(context)?;
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    let real = std::fs::canonicalize(&path)
        .ok()
        .filter(|real| *real != plain);
    let text = |path: &Path| {
        path.to_str()
            .map(str::to_owned)
            .context("its path is no valid UTF-8")
    };
    let paths = [Some(plain), real].into_iter().flatten();
    paths
        .map(|path| text(&path).with_context(context))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_in_many_ways() {
        let check = |folder: &str, expected: &str| {
            assert_eq!(paths(Path::new(folder)).unwrap()[0], expected);
        };
        let here = std::env::current_dir().unwrap();
        let here = here.to_str().unwrap();
        for name in [".", "./", "src/..", here, &format!("{here}/./src/../")] {
            check(name, here);
        }
        check("no/such", &format!("{here}/no/such"));
        check("/", "/");
        check("/../x//y/", "/x/y");
        check("C:\\work\\", "C:\\work");
    }
}
