//! What SQL shows of a table: its columns, vectors by their length alone, times in the person's zone, and what is JSON text also as
//! columns of its own.

use std::sync::{Arc, LazyLock};

use anyhow::{Context, Result, anyhow, bail};
use lancedb::arrow::arrow_array::StringArray;
use lancedb::arrow::arrow_schema::{DataType, Field, TimeUnit};
use lancedb::datafusion::common::cast::as_string_array;
use lancedb::datafusion::logical_expr::{ColumnarValue, Volatility, cast, create_udf, try_cast};
use lancedb::datafusion::prelude::{SessionContext, when};
use lancedb::expr::{DfExpr, col, lit};
use regex::Regex;
use serde_json::{Value, json};

use super::sql::Rows;
use crate::store::tables::Record;
use crate::store::words::Hinted;

/// The views, with what they hold.
const VIEWS: [(&str, &str); 5] = [
    (
        "interactions",
        "questions, their answers, and how they went",
    ),
    (
        "react_cycles",
        "the steps of a turn: thoughts, calls of tools, what was seen",
    ),
    ("sessions", "conversations"),
    ("users", "who speaks"),
    ("passages", "the pieces of text that are searched"),
];

/// What a view shows of JSON text: its table, the column of the text, the name of what is in it, its own name and type.
const INSIDE: [(&str, &str, &str, &str, DataType); 5] = [
    (
        "interactions",
        "token_usage",
        "/input_tokens",
        "input_tokens",
        DataType::Int64,
    ),
    (
        "interactions",
        "token_usage",
        "/output_tokens",
        "output_tokens",
        DataType::Int64,
    ),
    (
        "interactions",
        "metadata",
        "/error",
        "error",
        DataType::Utf8,
    ),
    (
        "sessions",
        "metadata",
        "/import/source",
        "source",
        DataType::Utf8,
    ),
    ("users", "metadata", "/role", "role", DataType::Utf8),
];

/// Returns the columns of the view of a table.
pub fn columns<R: Record>(dimension: usize, zone: &str) -> Result<Vec<DfExpr>> {
    let column = |field: Field| {
        let name = field.name().as_str();
        Ok(match field.data_type() {
            DataType::FixedSizeList(_, length) => {
                let shown = lit(format!("[{length} floats]"));
                when(col(name).is_not_null(), shown).end()?.alias(name)
            }
            DataType::Timestamp(unit, _) => {
                cast(col(name), DataType::Timestamp(*unit, Some(zone.into()))).alias(name)
            }
            _ => col(name),
        })
    };
    let more = INSIDE.into_iter().filter(|(table, ..)| *table == R::NAME);
    let more = more.map(|(_, column, place, name, kind)| {
        Ok(try_cast(inside(place).call(vec![col(column)]), kind).alias(name))
    });
    R::columns(dimension)
        .into_iter()
        .map(column)
        .chain(more)
        .collect()
}

/// Returns a function that takes a text or a number out of JSON text; null where there is none.
fn inside(place: &'static str) -> lancedb::datafusion::logical_expr::ScalarUDF {
    let read = move |text: &str| {
        let json: Value = serde_json::from_str(text).ok()?;
        match json.pointer(place)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    };
    let call = move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let texts = as_string_array(&arrays[0])?.iter();
        let found: StringArray = texts.map(|text| text.and_then(read)).collect();
        Ok(ColumnarValue::Array(Arc::new(found)))
    };
    let name = place.trim_start_matches('/').replace('/', "_");
    let text = DataType::Utf8;
    create_udf(
        &name,
        vec![text.clone()],
        text,
        Volatility::Immutable,
        Arc::new(call),
    )
}

/// Returns what is asked about the views themselves, in the words of several databases; none where a query is asked.
pub async fn about(context: &SessionContext, query: &str) -> Result<Option<Rows>> {
    let lower = query.trim().trim_end_matches(';').to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    let name = match words[..] {
        ["show", "tables" | "views"] | ["\\d" | "\\dt" | ".tables"] => {
            return Ok(Some(Rows {
                columns: vec!["table".to_owned(), "what it holds".to_owned()],
                rows: VIEWS
                    .map(|(name, what)| vec![json!(name), json!(what)])
                    .into(),
                ..Rows::default()
            }));
        }
        ["describe" | "desc" | "\\d" | ".schema", name]
        | ["describe" | "desc", "table" | "view", name]
        | ["show", "columns", "from" | "in", name] => name.trim_matches(['"', '`']),
        _ => return Ok(None),
    };
    if !VIEWS.iter().any(|(view, _)| *view == name) {
        bail!(unknown(format!("there is no table `{name}`")));
    }
    let view = context
        .table(name)
        .await
        .context("cannot read the columns")?;
    let fields = view.schema().fields().iter();
    let row = |field: &Arc<Field>| {
        vec![
            json!(field.name()),
            json!(kind(field.data_type())),
            json!(field.is_nullable()),
        ]
    };
    Ok(Some(Rows {
        columns: ["column", "type", "may be null"].map(str::to_owned).into(),
        rows: fields.map(row).collect(),
        ..Rows::default()
    }))
}

/// Returns an error with what there is.
pub fn unknown(message: String) -> anyhow::Error {
    let names = VIEWS.map(|(name, _)| name).join(", ");
    anyhow!(Hinted {
        message,
        hint: format!("there are {names}; `describe interactions` shows the columns"),
    })
}

fn kind(kind: &DataType) -> &'static str {
    match kind {
        DataType::Boolean => "truth",
        DataType::Timestamp(TimeUnit::Microsecond, _) => "time",
        DataType::List(_) => "list of texts",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text",
        kind if kind.is_integer() => "integer",
        kind if kind.is_numeric() => "number",
        _ => "other",
    }
}

/// Returns the heading of a column as a person would write it: `count(*)` for `count(Int64(1))`.
pub fn heading(name: &str, query: &str) -> String {
    static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"\b(?:U?Int(?:8|16|32|64)|Float(?:16|32|64)|Boolean)\(([^()]*)\)").ok()
    });
    static TEXT: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"\b(?:Large)?Utf8(?:View)?\("(.*?)"\)"#).ok());
    static TABLE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"('[^']*')|\b[A-Za-z_]\w*\.([A-Za-z_*"])"#).ok());
    // A name that stands in the query is the person's own.
    if query.contains(name) {
        return name.to_owned();
    }
    let name = name.replace("count(Int64(1))", "count(*)");
    let patterns = [(&NUMBER, "$1"), (&TEXT, "'$1'"), (&TABLE, "$1$2")];
    patterns
        .into_iter()
        .fold(name, |name, (pattern, shown)| match &**pattern {
            Some(pattern) => pattern.replace_all(&name, shown).into_owned(),
            None => name,
        })
}
