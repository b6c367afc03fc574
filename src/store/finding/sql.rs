//! Read-only SQL over views that hold one scope's rows and no others.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use futures::TryStreamExt;
use lancedb::arrow::arrow::compute::cast;
use lancedb::arrow::arrow::util::display::{ArrayFormatter, FormatOptions};
use lancedb::arrow::arrow_array::RecordBatch;
use lancedb::arrow::arrow_schema::DataType;
use lancedb::datafusion::error::DataFusionError;
use lancedb::datafusion::execution::context::SQLOptions;
use lancedb::datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use lancedb::datafusion::execution::runtime_env::RuntimeEnvBuilder;
use lancedb::datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use lancedb::expr::DfExpr;
use lancedb::table::datafusion::BaseTableAdapter;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::careful::Careful;
use super::views::{about, columns, heading, unknown};
use crate::store::open::Store;
use crate::store::tables::{Filter, Record, Table};
use crate::store::words::Hinted;
use crate::timeframe::Zone;

/// How long a query may run.
const LIMIT: Duration = Duration::from_secs(30);
/// How much memory a query may take, in bytes.
const MEMORY: usize = 512 << 20;

/// Holds what a query returned.
#[derive(Debug, Default)]
pub struct Rows {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Value>>,
    /// Which columns hold moments.
    pub moments: Vec<bool>,
    /// Whether there are more rows than were asked for.
    pub more: bool,
}

impl Store {
    /// Runs one `SELECT` over the views `interactions`, `react_cycles`, `sessions`, `users` and `passages`, within the filter's scope, or
    /// says what views and columns there are. Days begin in the zone; what is returned is in UTC.
    ///
    /// # Errors
    ///
    /// Fails for anything that is not a query, and for one that takes too long or too much memory.
    pub async fn sql(
        &self,
        filter: &Filter,
        query: &str,
        limit: usize,
        zone: Zone,
    ) -> Result<Rows> {
        let _pass = self.locks.enter().await?;
        let context = self.views(filter, &zone.name()).await?;
        if let Some(rows) = about(&context, query).await? {
            return Ok(rows);
        }
        let read_only = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        let planned = context.sql_with_options(query, read_only).await;
        let frame = planned.map_err(explain)?;
        // A query may compute for long without a pause; on threads of its own it keeps neither the limit nor Ctrl-C waiting.
        let runtime = Runtime::new().context("cannot start the threads of the query")?;
        let running = runtime.spawn(collect(frame, limit));
        let _threads = Threads(Some(runtime));
        let mut rows = match tokio::time::timeout(LIMIT, running).await {
            Ok(rows) => rows??,
            Err(_) => bail!(
                "the query took more than {} s: narrow it with WHERE or LIMIT",
                LIMIT.as_secs()
            ),
        };
        for column in &mut rows.columns {
            *column = heading(column, query);
        }
        Ok(rows)
    }

    async fn views(&self, filter: &Filter, zone: &str) -> Result<SessionContext> {
        // What does not fit into memory is an error: the history is written to no other place.
        let no_disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_limit(MEMORY, 1.0)
            .with_disk_manager_builder(no_disk)
            .build_arc()?;
        let context = SessionContext::new_with_config_rt(SessionConfig::new(), runtime);
        let mine = filter.scope_expr();
        self.view(&context, &self.interactions, mine.clone(), zone)
            .await?;
        self.view(&context, &self.react_cycles, mine.clone(), zone)
            .await?;
        self.view(&context, &self.sessions, mine.clone(), zone)
            .await?;
        self.view(&context, &self.users, mine.clone(), zone).await?;
        self.view(&context, &self.passages, mine, zone).await?;
        Ok(context)
    }

    /// Makes a view of one table, of the scope's rows.
    async fn view<R: Record>(
        &self,
        context: &SessionContext,
        table: &Table<R>,
        mine: Option<DfExpr>,
        zone: &str,
    ) -> Result<()> {
        let view = frame(context, table, mine)
            .await?
            .select(columns::<R>(self.dimension, zone)?)?
            .into_view();
        context.register_table(R::NAME, view)?;
        Ok(())
    }
}

/// Returns the rows of a table that a filter lets through, to be asked of DataFusion.
pub(super) async fn frame<R: Record>(
    context: &SessionContext,
    table: &Table<R>,
    filter: Option<DfExpr>,
) -> Result<DataFrame> {
    table.inner.checkout_latest().await?;
    let adapter = BaseTableAdapter::try_new(table.inner.base_table().clone()).await?;
    let frame = context.read_table(Arc::new(Careful(adapter)))?;
    Ok(match filter {
        Some(filter) => frame.filter(filter)?,
        None => frame,
    })
}

/// Threads that are let go of without waiting for what runs on them.
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

async fn collect(frame: DataFrame, limit: usize) -> Result<Rows> {
    let columns = frame.schema().fields();
    let is_moment = |kind: &DataType| matches!(kind, DataType::Timestamp(..));
    let mut rows = Rows {
        columns: columns.iter().map(|field| field.name().clone()).collect(),
        moments: columns
            .iter()
            .map(|field| is_moment(field.data_type()))
            .collect(),
        ..Rows::default()
    };
    let mut batches = frame.execute_stream().await.map_err(explain)?;
    while let Some(batch) = batches.try_next().await.map_err(explain)? {
        for row in values(&batch)? {
            if rows.rows.len() == limit {
                rows.more = true;
                return Ok(rows);
            }
            rows.rows.push(row);
        }
    }
    Ok(rows)
}

/// Returns the rows of a batch: numbers and truths as such, moments in RFC 3339, everything else as text.
fn values(batch: &RecordBatch) -> Result<Vec<Vec<Value>>> {
    let options = FormatOptions::default()
        .with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"))
        .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"));
    let mut rows = vec![Vec::new(); batch.num_rows()];
    for column in batch.columns() {
        let utc = match column.data_type() {
            DataType::Timestamp(unit, Some(_)) => {
                Some(DataType::Timestamp(*unit, Some("UTC".into())))
            }
            _ => None,
        };
        let column = &utc.map_or(Ok(column.clone()), |utc| cast(column, &utc))?;
        let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
        let kind = column.data_type();
        for (at, row) in rows.iter_mut().enumerate() {
            if column.is_null(at) {
                row.push(Value::Null);
                continue;
            }
            let text = formatter.value(at).try_to_string()?;
            let plain = kind.is_numeric() || *kind == DataType::Boolean;
            let plain = plain.then(|| serde_json::from_str(&text).ok()).flatten();
            row.push(plain.unwrap_or(Value::String(text)));
        }
    }
    Ok(rows)
}

/// Puts an error of DataFusion into the words of a person who wrote a query.
fn explain(error: DataFusionError) -> anyhow::Error {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line
        .trim_start_matches("Error during planning: ")
        .trim_start_matches("SQL error: ")
        .trim_start_matches("Schema error: ");
    let refused = ["DDL", "DML", "Statement"]
        .iter()
        .any(|kind| line.starts_with(kind) && line.contains("not supported"));
    let (message, hint) = if refused {
        (
            "only SELECT is possible here".to_owned(),
            "the history is read here, and changed nowhere but in a chat".to_owned(),
        )
    } else if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) {
        (
            format!("the query needs more than {} MB of memory", MEMORY >> 20),
            "narrow it with WHERE or LIMIT, or select fewer columns".to_owned(),
        )
    } else {
        return unknown(format!("cannot run the query: {line}"));
    };
    anyhow!(Hinted { message, hint })
}
