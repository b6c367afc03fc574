//! The users table: who is who.

use anyhow::Result;
use chrono::{DateTime, Utc};
use lancedb::arrow::arrow_schema::Field;
use lancedb::expr::{col, lit};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Store;
use super::table::{Order, Record, moment, text};

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
    /// Returns whether the user may read what others said.
    pub fn is_admin(&self) -> bool {
        serde_json::from_str::<Value>(&self.metadata)
            .is_ok_and(|metadata| metadata["role"] == "admin")
    }
}

impl Store {
    /// Returns the user of that name, if there is one.
    pub async fn user(&self, username: &str) -> Result<Option<User>> {
        let found = self
            .users
            .select(Some(col("username").eq(lit(username))), &ALL, None, Some(1))
            .await?;
        Ok(found.into_iter().next())
    }

    /// Returns the user of that name, made if need be. The first user of a store is its admin.
    pub async fn ensure_user(&self, username: &str) -> Result<User> {
        if let Some(user) = self.user(username).await? {
            return Ok(user);
        }
        let _lock = self.lock()?;
        if let Some(user) = self.user(username).await? {
            return Ok(user);
        }
        let role = if self.users.count(None).await? == 0 {
            "admin"
        } else {
            "member"
        };
        let user = User {
            user_id: super::new_id(),
            username: username.to_owned(),
            created_at: super::now(),
            metadata: json!({"role": role}).to_string(),
        };
        self.users.add(std::slice::from_ref(&user)).await?;
        Ok(user)
    }

    /// Returns all users, oldest first.
    pub async fn list_users(&self) -> Result<Vec<User>> {
        self.users
            .select(None, &ALL, Some(Order::Ascending("created_at")), None)
            .await
    }
}
