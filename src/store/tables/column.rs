//! The columns that tables are made of.

use std::sync::Arc;

use lancedb::arrow::arrow_schema::{DataType, Field, TimeUnit};

/// Returns a text column that is never null.
pub fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

/// Returns a text column that is null where nobody knows.
pub fn maybe(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

/// Returns a text column that compaction compresses with zstd.
pub fn long_text(name: &str) -> Field {
    text(name).with_metadata([("lance-encoding:compression".to_owned(), "zstd".to_owned())].into())
}

/// Returns a column of moments, in microseconds UTC.
pub fn moment(name: &str) -> Field {
    Field::new(
        name,
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        false,
    )
}

/// Returns a column of vectors; null where the embedder failed.
pub fn vector(name: &str, dimension: usize) -> Field {
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    Field::new(
        name,
        DataType::FixedSizeList(item, i32::try_from(dimension).unwrap_or(i32::MAX)),
        true,
    )
}
