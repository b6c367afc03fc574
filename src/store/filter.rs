//! Which rows a read may see: the one place that adds the user scope. Values become typed literals, never SQL text.

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use lancedb::datafusion::scalar::ScalarValue;
use lancedb::expr::{DfExpr, col, is_in, lit};

use super::Store;
use super::table::{Record, Table};

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
}

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
        }
    }

    /// Returns whose rows are let through.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Returns whether nothing is left out.
    pub fn is_whole(&self) -> bool {
        self.expr().is_none()
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

    /// Returns the condition on rows that have `user_id`, `session_id` and `timestamp`.
    pub fn expr(&self) -> Option<DfExpr> {
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

    /// Returns the condition that the id is one of these, and all else that the filter asks.
    pub fn and_ids(&self, ids: &[String]) -> DfExpr {
        let ids = among(ids);
        match self.expr() {
            Some(expr) => expr.and(ids),
            None => ids,
        }
    }
}

/// Returns the condition that the interaction is one of these.
pub fn among(ids: &[String]) -> DfExpr {
    let ids = ids.iter().map(|id| lit(id.as_str())).collect();
    is_in(col("interaction_id"), ids)
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

impl Store {
    /// Returns what the user called `me` may see of the history of whom they ask for.
    ///
    /// A user who has not said anything yet sees nothing; an admin may name another user, or everyone.
    pub async fn scope(&self, me: &str, whom: Whom<'_>) -> Result<Scope> {
        let user = self.user(me).await?;
        let is_admin = user.as_ref().is_some_and(super::User::is_admin);
        match whom {
            Whom::Named(other) if other != me => {
                if !is_admin {
                    bail!("`{me}` may not read the history of `{other}`");
                }
                match self.user(other).await? {
                    Some(other) => Ok(Scope::User(other.user_id)),
                    None => bail!("there is no user `{other}`"),
                }
            }
            Whom::Everyone if is_admin => Ok(Scope::Everyone),
            Whom::Everyone => bail!("`{me}` may not read the history of all users"),
            Whom::Me | Whom::Named(_) => Ok(Scope::User(
                user.map_or_else(String::new, |user| user.user_id),
            )),
        }
    }
}

/// Finds the one row whose id starts with `prefix`, within `scope`; `what` names the kind of row in errors.
pub async fn find_one<R: Record>(
    table: &Table<R>,
    what: &str,
    column: &str,
    scope: Option<DfExpr>,
    prefix: &str,
    columns: &[&str],
    id: impl Fn(&R) -> &String,
) -> Result<R> {
    const LISTED: usize = 5;
    let prefix = prefix.to_lowercase();
    if prefix.len() < 4 || !prefix.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        bail!("`{prefix}` is not an id: give at least its first 4 characters (0-9, a-f)");
    }
    // All characters of an id sort before the tilde.
    let starts = col(column)
        .gt_eq(lit(prefix.as_str()))
        .and(col(column).lt(lit(format!("{prefix}~"))));
    let filter = scope.map_or(starts.clone(), |scope| scope.and(starts));
    let mut found = table
        .select(Some(filter), columns, None, Some(LISTED))
        .await?;
    match found.len() {
        0 => bail!("no {what} has an id that starts with `{prefix}`"),
        1 => Ok(found.remove(0)),
        _ => {
            let ids: Vec<&str> = found.iter().map(|row| id(row).as_str()).collect();
            bail!(
                "more than one {what} has an id that starts with `{prefix}`: {}",
                ids.join(", ")
            )
        }
    }
}
