//! A typed table: rows of one record type in, Arrow record batches out, and back.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use anyhow::{Context, Result};
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use lancedb::arrow::arrow_array::cast::AsArray;
use lancedb::arrow::arrow_array::types::Float32Type;
use lancedb::arrow::arrow_array::{RecordBatch, RecordBatchIterator};
use lancedb::arrow::arrow_schema::{Field, FieldRef, Schema};
use lancedb::expr::{DfExpr, expr_to_sql_string};
use lancedb::index::scalar::{FtsQuery, FullTextSearchQuery, MatchQuery, Operator};
use lancedb::query::{
    ColumnOrdering, ExecutableQuery, Query, QueryBase, QueryExecutionOptions, Select,
};
use lancedb::table::NewColumnTransform;
use lancedb::{Connection, DistanceType, Error};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::index;
use crate::store::locks::Locks;
use crate::store::words::Hinted;

/// How many rows that a vector index finds are compared exactly, at least, and how many times as many as are wanted: it keeps the
/// vectors coarsely.
const REFINED: usize = 240;
const REFINED_TIMES: usize = 4;

/// Is one row of a table. Its fields are named like the columns; `serde(default)` fills in columns that were not selected.
pub trait Record: Serialize + DeserializeOwned {
    /// The name of the table.
    const NAME: &'static str;
    /// The column that tells its rows from each other.
    const KEY: &'static str;
    /// Returns what stands in that column.
    fn key(&self) -> &str;
    /// Returns the columns, in order; vectors have `dimension` numbers.
    fn columns(dimension: usize) -> Vec<Field>;
}

/// Reads and writes the rows of one table.
pub struct Table<R> {
    pub inner: lancedb::Table,
    dimension: usize,
    locks: Locks,
    rows: PhantomData<fn() -> R>,
}

impl<R> Clone for Table<R> {
    fn clone(&self) -> Table<R> {
        Table {
            inner: self.inner.clone(),
            dimension: self.dimension,
            locks: self.locks.clone(),
            rows: PhantomData,
        }
    }
}

/// Says how a text has words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Having {
    Any,
    All,
    /// Any of them, or one that is a letter off.
    Nearly,
}

impl<R: Record> Table<R> {
    /// Opens the table, and creates it when it is not there. Two processes may do so at once.
    pub async fn open(
        connection: &Connection,
        dimension: usize,
        locks: &Locks,
    ) -> Result<Table<R>> {
        let open = || opened(connection, R::NAME);
        let inner = match open().await {
            Err(Error::TableNotFound { .. }) => {
                let schema = Arc::new(Schema::new(R::columns(dimension)));
                match connection
                    .create_empty_table(R::NAME, schema)
                    .execute()
                    .await
                {
                    Err(Error::TableAlreadyExists { .. }) => open().await,
                    other => other,
                }
            }
            other => other,
        };
        let inner = inner.map_err(|error| {
            anyhow::Error::new(error).context(Hinted {
                message: format!("cannot open the table `{}`", R::NAME),
                hint: "`allm doctor --fix` repairs what can be".to_owned(),
            })
        })?;
        Ok(Table {
            inner,
            dimension,
            locks: locks.clone(),
            rows: PhantomData,
        })
    }

    /// Returns the same table for who has these locks.
    pub fn with(&self, locks: &Locks) -> Table<R> {
        Table {
            locks: locks.clone(),
            ..self.clone()
        }
    }

    /// Returns the columns that the table lacks because an earlier program has made it.
    pub async fn lacking(&self) -> Result<Vec<Field>> {
        let schema = self.inner.schema().await?;
        let mut lacking = R::columns(self.dimension);
        lacking.retain(|field| schema.field_with_name(field.name()).is_err());
        Ok(lacking)
    }

    /// Adds the columns that the table lacks, empty, in one commit.
    pub async fn widen(&self) -> Result<()> {
        self.inner.checkout_latest().await?;
        let lacking = self.lacking().await?;
        if lacking.is_empty() {
            return Ok(());
        }
        let empty = NewColumnTransform::AllNulls(Arc::new(Schema::new(lacking)));
        let adding = self.inner.add_columns().transform(empty).execute().await;
        adding.with_context(|| format!("cannot add columns to the table `{}`", R::NAME))?;
        Ok(())
    }

    fn batch(&self, rows: &[R]) -> Result<RecordBatch> {
        let fields: Vec<FieldRef> = R::columns(self.dimension)
            .into_iter()
            .map(Arc::new)
            .collect();
        Ok(serde_arrow::to_record_batch(&fields, &rows)?)
    }

    /// Appends rows, in one commit.
    pub async fn add(&self, rows: &[R]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let _pass = self.locks.enter().await?;
        let adding = self.inner.add(self.batch(rows)?).execute().await;
        adding.with_context(|| format!("cannot write to the table `{}`", R::NAME))?;
        Ok(())
    }

    /// Puts whole rows in the place of those with the same key, in one commit. Rows that are gone stay gone.
    pub async fn replace(&self, rows: &[R]) -> Result<()> {
        let _pass = self.locks.enter().await?;
        self.inner.checkout_latest().await?;
        let batch = self.batch(rows)?;
        let schema = batch.schema();
        let reader = RecordBatchIterator::new([Ok(batch)], schema);
        let mut merge = self.inner.merge_insert(&[R::KEY]);
        merge.when_matched_update_all(None);
        let merging = merge.execute(Box::new(reader)).await;
        merging.with_context(|| format!("cannot write to the table `{}`", R::NAME))?;
        Ok(())
    }

    /// Removes the rows that match.
    pub async fn delete(&self, filter: &DfExpr) -> Result<()> {
        let _pass = self.locks.enter().await?;
        self.inner.checkout_latest().await?;
        self.inner.delete(filter).await?;
        Ok(())
    }

    /// Returns the rows that match, with the named columns filled in.
    pub async fn select(
        &self,
        filter: Option<DfExpr>,
        columns: &[&str],
        order: Option<Order<'_>>,
        limit: Option<usize>,
    ) -> Result<Vec<R>> {
        let _pass = self.locks.enter().await?;
        let mut query = self.query(filter, columns);
        if let Some(order) = order {
            query = query.order_by(Some(vec![match order {
                Order::Ascending(column) => ColumnOrdering::asc_nulls_last(column.to_owned()),
                Order::Descending(column) => ColumnOrdering::desc_nulls_last(column.to_owned()),
            }]));
        }
        if let Some(limit) = limit {
            query = query.limit(limit);
        }
        let batches: Vec<RecordBatch> = query.execute().await?.try_collect().await?;
        read(R::NAME, &batches)
    }

    /// Returns what a few columns hold in the rows that match, in small structs of the caller.
    pub async fn columns<T: DeserializeOwned>(
        &self,
        filter: Option<DfExpr>,
        columns: &[&str],
    ) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        let take = |row| {
            rows.push(row);
            Ok(())
        };
        self.each(filter, columns, take).await?;
        Ok(rows)
    }

    /// Hands over what a few columns hold in the rows that match, with only some rows in memory at a time.
    pub async fn each<T: DeserializeOwned>(
        &self,
        filter: Option<DfExpr>,
        columns: &[&str],
        mut take: impl FnMut(T) -> Result<()>,
    ) -> Result<()> {
        let _pass = self.locks.enter().await?;
        let query = self.query(filter, columns);
        let mut batches = query.execute_with_options(in_parts()).await?;
        while let Some(batch) = batches.try_next().await? {
            for row in read(R::NAME, &[batch])? {
                take(row)?;
            }
        }
        Ok(())
    }

    fn query(&self, filter: Option<DfExpr>, columns: &[&str]) -> Query {
        let query = self.inner.query().select(Select::columns(columns));
        match filter {
            Some(filter) => query.only_if_expr(filter),
            None => query,
        }
    }

    /// Returns the keys of the rows that match.
    pub async fn keys(&self, filter: Option<DfExpr>) -> Result<Vec<String>> {
        let rows = self.columns::<HashMap<String, String>>(filter, &[R::KEY]);
        Ok(rows
            .await?
            .into_iter()
            .flat_map(HashMap::into_values)
            .collect())
    }

    /// Returns the rows whose vector in `column` is most like `vector`, best first, with the cosine of each.
    pub async fn nearest(
        &self,
        column: &str,
        vector: &[f32],
        filter: Option<DfExpr>,
        columns: &[&str],
        limit: usize,
    ) -> Result<Vec<(R, f32)>> {
        let _pass = self.locks.enter().await?;
        let probes = index::probes(&self.inner, filter.as_ref()).await?;
        let columns: Vec<&str> = columns.iter().copied().chain(["_distance"]).collect();
        let factor = REFINED.div_ceil(limit.max(1)).max(REFINED_TIMES);
        let query = self.query(filter, &columns).nearest_to(vector)?;
        let query = match probes {
            Some(_) => query,
            None => query.bypass_vector_index(),
        };
        // Without a limit to its parts it looks into more of them, as they are near, and until it has enough rows of those that the
        // filter lets through.
        let query = query
            .column(column)
            .distance_type(DistanceType::Cosine)
            .refine_factor(u32::try_from(factor)?)
            .minimum_nprobes(probes.unwrap_or(1))?
            .maximum_nprobes(None)?
            .limit(limit);
        let batches: Vec<RecordBatch> = query.execute().await?.try_collect().await?;
        let mut distances: Vec<f32> = Vec::new();
        for batch in &batches {
            let column = batch
                .column_by_name("_distance")
                .context("LanceDB returned no distances")?;
            distances.extend(column.as_primitive::<Float32Type>().values());
        }
        // Cosine distance is 1 - cosine.
        Ok(read::<R>(R::NAME, &batches)?
            .into_iter()
            .zip(distances.into_iter().map(|distance| 1.0 - distance))
            .collect())
    }

    /// Returns the rows that match, with every column, some at a time.
    pub async fn stream(
        &self,
        filter: Option<DfExpr>,
    ) -> Result<impl Stream<Item = Result<Vec<R>>> + use<R>> {
        let mut query = self.inner.query();
        if let Some(filter) = filter {
            query = query.only_if_expr(filter);
        }
        let batches = query.execute_with_options(in_parts()).await?;
        Ok(batches.map(|batch| read(R::NAME, &[batch?])))
    }

    /// Returns the rows that match, with every column.
    pub async fn whole(&self, filter: DfExpr) -> Result<Vec<R>> {
        let _pass = self.locks.enter().await?;
        let rows = self.stream(Some(filter)).await?;
        rows.try_concat().await
    }

    /// Returns the rows whose text in `column` has the words, best first.
    pub async fn matching(
        &self,
        column: &str,
        words: &str,
        how: Having,
        filter: Option<DfExpr>,
        columns: &[&str],
        limit: usize,
    ) -> Result<Vec<R>> {
        let _pass = self.locks.enter().await?;
        let (operator, letters) = match how {
            Having::Any => (Operator::Or, 0),
            Having::All => (Operator::And, 0),
            Having::Nearly => (Operator::Or, 1),
        };
        let words = MatchQuery::new(words.to_owned())
            .with_column(Some(column.to_owned()))
            .with_operator(operator)
            .with_fuzziness(Some(letters));
        let words = FullTextSearchQuery::new_query(FtsQuery::Match(words));
        let columns: Vec<&str> = columns.iter().copied().chain(["_score"]).collect();
        let query = self.query(filter, &columns).full_text_search(words);
        let query = query.limit(limit);
        let batches: Vec<RecordBatch> = query.execute().await?.try_collect().await?;
        read(R::NAME, &batches)
    }

    /// Counts the rows that match.
    pub async fn count(&self, filter: Option<DfExpr>) -> Result<usize> {
        let _pass = self.locks.enter().await?;
        let filter = filter.as_ref().map(expr_to_sql_string).transpose()?;
        Ok(self.inner.count_rows(filter).await?)
    }
}

/// Says how rows are read where all of them would not fit into memory.
fn in_parts() -> QueryExecutionOptions {
    let mut options = QueryExecutionOptions::default();
    options.max_batch_length = 512;
    options
}

/// Opens a table that is there.
async fn opened(connection: &Connection, name: &str) -> lancedb::Result<lancedb::Table> {
    // A manifest that is cut off makes LanceDB panic.
    let opening = AssertUnwindSafe(connection.open_table(name).execute()).catch_unwind();
    let torn = |_| Error::TableCorrupted {
        name: name.to_owned(),
        source: "LanceDB broke down over it".into(),
    };
    opening.await.map_err(torn)?
}

/// Says how rows are sorted.
#[derive(Debug, Clone, Copy)]
pub enum Order<'c> {
    Ascending(&'c str),
    Descending(&'c str),
}

/// Returns what the rows of some batches hold.
pub fn read<T: DeserializeOwned>(table: &str, batches: &[RecordBatch]) -> Result<Vec<T>> {
    let mut rows = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for batch in batches {
        let read: Vec<T> = serde_arrow::from_record_batch(batch)
            .with_context(|| format!("cannot read rows of `{table}`"))?;
        rows.extend(read);
    }
    Ok(rows)
}
