//! Which rows a read may see: the one place that adds the user scope. Values become typed literals, never SQL text.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use lancedb::datafusion::scalar::ScalarValue;
use lancedb::expr::{DfExpr, col, is_in, lit};

use super::kind::Kind;

/// Says whose history is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom<'u> {
    Me,
    Named(&'u str),
    Everyone,
}

/// Says whose rows may be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Those of one user, by id.
    User(String),
    Everyone,
}

/// Narrows down a read. There is none without a scope.
#[derive(Debug, Clone)]
pub struct Filter {
    scope: Scope,
    session: Option<String>,
    except_session: Option<String>,
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    ids: Option<Vec<String>>,
    kind: Kind,
    /// The turns of that kind, once they are known.
    kindred: Option<Arc<HashSet<String>>>,
}

/// So many turns are named in a condition at most; of more each row is looked at.
const NAMED: usize = 5_000;

impl Filter {
    /// Returns a filter that lets through all that the scope allows.
    pub fn new(scope: Scope) -> Filter {
        Filter {
            scope,
            session: None,
            except_session: None,
            from: None,
            until: None,
            ids: None,
            kind: Kind::default(),
            kindred: None,
        }
    }

    /// Returns whose rows are let through.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Returns whether nothing is left out.
    pub fn is_whole(&self) -> bool {
        self.turns().is_none()
    }

    /// Keeps what lies within a half-open range of time.
    #[must_use]
    pub fn within(self, from: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>) -> Filter {
        Filter {
            from,
            until,
            ..self
        }
    }

    /// Keeps what belongs to one session.
    #[must_use]
    pub fn in_session(self, session_id: &str) -> Filter {
        Filter {
            session: Some(session_id.to_owned()),
            ..self
        }
    }

    /// Keeps these interactions alone.
    #[must_use]
    pub fn only(self, ids: Vec<String>) -> Filter {
        Filter {
            ids: Some(ids),
            ..self
        }
    }

    /// Leaves out what belongs to one session.
    #[must_use]
    pub fn except_session(self, session_id: &str) -> Filter {
        Filter {
            except_session: Some(session_id.to_owned()),
            ..self
        }
    }

    /// Keeps turns of one kind; which these are is found out by [`Store::kindred`](crate::store::Store::kindred).
    pub(in crate::store) fn of_kind(self, kind: Kind) -> Filter {
        Filter { kind, ..self }
    }

    /// Says which turns are of the kind that the filter keeps.
    pub(in crate::store) fn knowing(self, kindred: impl IntoIterator<Item = String>) -> Filter {
        Filter {
            kindred: Some(Arc::new(kindred.into_iter().collect())),
            ..self
        }
    }

    /// Returns the condition on interactions.
    pub fn turns(&self) -> Option<DfExpr> {
        // What they are is said in their own columns, apart from tools.
        let by_tool = !self.kind.tools.is_empty();
        let known = by_tool.then(|| self.named(usize::MAX)).flatten();
        let kind = self.kind.expr();
        let all = [self.common(), kind, known].into_iter().flatten();
        all.reduce(DfExpr::and)
    }

    /// Returns the condition on rows that have `user_id`, `session_id`, `interaction_id` and `timestamp`. It may let through more turns
    /// than [`Filter::has`] does.
    pub fn expr(&self) -> Option<DfExpr> {
        let all = [self.common(), self.named(NAMED)].into_iter().flatten();
        all.reduce(DfExpr::and)
    }

    /// Returns whether a turn is of the kind that the filter keeps.
    pub fn has(&self, interaction_id: &str) -> bool {
        let known = self.kindred.as_ref();
        known.is_none_or(|known| known.contains(interaction_id))
    }

    /// Names the turns, if they are no more than so many.
    fn named(&self, most: usize) -> Option<DfExpr> {
        let known = self.kindred.as_ref().filter(|known| known.len() <= most)?;
        Some(one_of("interaction_id", known.iter().map(String::as_str)))
    }

    fn common(&self) -> Option<DfExpr> {
        let session = self
            .session
            .as_ref()
            .map(|id| col("session_id").eq(lit(id.as_str())));
        let except = self
            .except_session
            .as_ref()
            .map(|id| col("session_id").not_eq(lit(id.as_str())));
        let from = self.from.map(|from| col("timestamp").gt_eq(moment(from)));
        let until = self.until.map(|until| col("timestamp").lt(moment(until)));
        let ids = self.ids.as_deref().map(among);
        [self.scope_expr(), session, except, from, until, ids]
            .into_iter()
            .flatten()
            .reduce(DfExpr::and)
    }

    /// Returns the condition on rows that have only `user_id`.
    pub fn scope_expr(&self) -> Option<DfExpr> {
        match &self.scope {
            Scope::User(id) => Some(col("user_id").eq(lit(id.as_str()))),
            Scope::Everyone => None,
        }
    }

    /// Returns the condition that a turn is one of these, and all else that the filter asks of interactions.
    pub fn turns_among(&self, ids: &[String]) -> DfExpr {
        both(self.turns(), among(ids))
    }

    /// Returns the condition that rows are of one of these turns, and all else that the filter asks of rows.
    pub fn and_ids(&self, ids: &[String]) -> DfExpr {
        both(self.expr(), among(ids))
    }
}

/// Returns both conditions as one.
pub fn both(some: Option<DfExpr>, more: DfExpr) -> DfExpr {
    match some {
        Some(some) => some.and(more),
        None => more,
    }
}

/// Returns the condition that the interaction is one of these.
pub fn among(ids: &[String]) -> DfExpr {
    one_of("interaction_id", ids.iter().map(String::as_str))
}

/// Returns the condition that a column holds one of these.
pub fn one_of<'v>(column: &str, values: impl IntoIterator<Item = &'v str>) -> DfExpr {
    let values: Vec<DfExpr> = values.into_iter().map(lit).collect();
    match values.is_empty() {
        true => lit(false),
        false => is_in(col(column), values),
    }
}

fn moment(time: DateTime<Utc>) -> DfExpr {
    // What lies outside chrono's range cannot be written as a literal, and nothing is recorded there.
    let bounded = time.clamp(
        DateTime::UNIX_EPOCH,
        DateTime::from_timestamp(253_402_300_799, 0).unwrap_or(DateTime::<Utc>::MAX_UTC),
    );
    lit(ScalarValue::TimestampMicrosecond(
        Some(bounded.timestamp_micros()),
        Some("UTC".into()),
    ))
}
