//! What kind of turns are meant: where they were had, by what, and how they ended. Values become typed literals, never SQL text.

use lancedb::datafusion::functions::regex::expr_fn::regexp_like;
use lancedb::expr::{DfExpr, col, contains, lit, lower};
use serde_json::Value;

use super::filter::one_of;
use crate::conversation::Status;

/// What turns are called that were not brought in from elsewhere.
pub const OWN: &str = "allm";
/// What stands in the metadata of those that were. What quotes it has a backslash before each quote.
pub const IMPORTED: &str = "\"import\":{";

/// Says which turns are meant; of several words for one thing, any will do, and what is empty says nothing.
#[derive(Debug, Clone, Default)]
pub struct Kind {
    /// Absolute paths; what is below them is meant, too.
    pub folders: Vec<String>,
    /// Programs that they come from, ours among them.
    pub sources: Vec<String>,
    pub models: Vec<String>,
    pub providers: Vec<String>,
    pub statuses: Vec<Status>,
    /// Tools that were called in them.
    pub tools: Vec<String>,
}

impl Kind {
    /// Returns the condition on interactions, apart from tools.
    pub(super) fn expr(&self) -> Option<DfExpr> {
        let any = |each: Vec<DfExpr>| each.into_iter().reduce(DfExpr::or);
        let statuses: Vec<&str> = self.statuses.iter().map(|status| status.as_str()).collect();
        let statuses = (!statuses.is_empty()).then(|| one_of("status", statuses));
        let providers: Vec<String> = self
            .providers
            .iter()
            .map(|name| name.to_lowercase())
            .collect();
        let provider = |name: &String| lower(col("provider")).eq(lit(name.as_str()));
        [
            any(self.folders.iter().map(|folder| below(folder)).collect()),
            any(self.sources.iter().map(|source| from(source)).collect()),
            any(self.models.iter().map(|model| by(model)).collect()),
            any(providers.iter().map(provider).collect()),
            statuses,
        ]
        .into_iter()
        .flatten()
        .reduce(DfExpr::and)
    }

    /// Returns the condition on ReAct cycles that a tool was called in them, if one is meant.
    pub(in crate::store) fn acted(&self) -> Option<DfExpr> {
        let called = |tool: &String| {
            let name = Value::from(tool.as_str());
            contains(
                col("scratchpad"),
                lit(format!("\"name\":{name},\"arguments\":")),
            )
        };
        self.tools.iter().map(called).reduce(DfExpr::or)
    }
}

/// A folder, or one below it: that is all that stands, in order, between its path with a separator and its path with what comes after
/// a separator.
fn below(folder: &str) -> DfExpr {
    let below = |separator: char, after: char| {
        let folder = folder.trim_end_matches(separator);
        let (first, end) = (format!("{folder}{separator}"), format!("{folder}{after}"));
        let this = col("folder").eq(lit(folder));
        let within = col("folder")
            .gt_eq(lit(first))
            .and(col("folder").lt(lit(end)));
        this.or(within)
    };
    match folder.starts_with('/') {
        true => below('/', '0'),
        // It is of another system.
        false => below('\\', ']').or(below('/', '0')),
    }
}

/// A program that turns come from.
fn from(source: &str) -> DfExpr {
    let source = source.to_lowercase().replace('_', "-");
    if source == OWN {
        return col("metadata").not_like(lit(format!("%{IMPORTED}%")));
    }
    let name = Value::from(source);
    contains(col("metadata"), lit(format!("{IMPORTED}\"source\":{name}")))
}

/// A model: by its name, or that without what says who serves it, which variant or which day it is; `*` is anything.
fn by(model: &str) -> DfExpr {
    let parts: Vec<String> = model.split('*').map(regex::escape).collect();
    let name = parts.join(".*");
    let pattern = format!(r"(?i)^(.*/)?{name}(:.*|[-@]\d{{4}}-?\d{{2}}-?\d{{2}})?$");
    let is = |column: &str| regexp_like(col(column), lit(pattern.as_str()), None);
    is("model").or(is("answered_model"))
}
