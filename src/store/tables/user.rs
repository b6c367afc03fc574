//! The users table: who is who.

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use lancedb::arrow::arrow_schema::Field;
use lancedb::expr::{col, lit};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::table::{Order, Record, Table, moment, text};

/// Holds a person who talks through this store.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    pub user_id: String,
    pub username: String,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub created_at: DateTime<Utc>,
    /// JSON text; `role` is `admin` or `member`.
    pub metadata: String,
}

impl Record for User {
    const NAME: &'static str = "users";
    const KEY: &'static str = "user_id";

    fn key(&self) -> &str {
        &self.user_id
    }

    fn columns(_dimension: usize) -> Vec<Field> {
        vec![
            text("user_id"),
            text("username"),
            moment("created_at"),
            text("metadata"),
        ]
    }
}

const ALL: [&str; 4] = ["user_id", "username", "created_at", "metadata"];

impl User {
    /// Returns the word for what the user may do.
    pub fn role(&self) -> &'static str {
        if self.is_admin() { "admin" } else { "member" }
    }

    /// Returns whether the user may read what others said.
    pub fn is_admin(&self) -> bool {
        serde_json::from_str::<Value>(&self.metadata)
            .is_ok_and(|metadata| metadata["role"] == "admin")
    }
}

/// Returns a name without blanks around it.
///
/// # Errors
///
/// Fails when it is empty or has control characters, which no one could see.
pub fn username(name: &str) -> Result<String> {
    let name = name.trim();
    if name.is_empty() || name.chars().any(char::is_control) {
        bail!("`{}` is no user name", name.escape_debug());
    }
    Ok(name.to_owned())
}

impl Table<User> {
    /// Returns the user of that name, if there is one.
    pub async fn named(&self, username: &str) -> Result<Option<User>> {
        let found = self.select(Some(col("username").eq(lit(username))), &ALL, None, Some(1));
        Ok(found.await?.into_iter().next())
    }

    /// Returns all users, oldest first.
    pub async fn list(&self) -> Result<Vec<User>> {
        self.select(None, &ALL, Some(Order::Ascending("created_at")), None)
            .await
    }
}
