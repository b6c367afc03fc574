//! The users table: who is who.

use anyhow::{Result, bail};
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

    /// Adds a user, for an admin.
    pub async fn add_user(&self, me: &str, name: &str) -> Result<()> {
        let name = username(name)?;
        self.must_be_admin(me, "add users").await?;
        if self.user(&name).await?.is_some() {
            bail!("there is a user `{name}` already");
        }
        self.ensure_user(&name).await?;
        Ok(())
    }

    /// Gives a user another name: oneself, or anyone for an admin.
    pub async fn rename_user(&self, me: &str, name: &str, new: &str) -> Result<()> {
        let new = username(new)?;
        if name != me {
            self.must_be_admin(me, "rename others").await?;
        }
        let _lock = self.lock()?;
        let mut user = self.known_user(name).await?;
        if self.user(&new).await?.is_some() {
            bail!("there is a user `{new}` already");
        }
        user.username = new;
        self.users.replace("user_id", &[user]).await
    }

    /// Makes a user an admin, or a member again; the last admin stays one.
    pub async fn set_admin(&self, me: &str, name: &str, admin: bool) -> Result<()> {
        self.must_be_admin(me, "change roles").await?;
        let _lock = self.lock()?;
        let mut user = self.known_user(name).await?;
        let admins = self.list_users().await?;
        let admins = admins.iter().filter(|user| user.is_admin()).count();
        if !admin && user.is_admin() && admins == 1 {
            bail!("`{name}` is the only admin: `/users grant` another one first");
        }
        let mut metadata: Value = serde_json::from_str(&user.metadata).unwrap_or_default();
        metadata["role"] = json!(if admin { "admin" } else { "member" });
        user.metadata = metadata.to_string();
        self.users.replace("user_id", &[user]).await
    }

    /// Returns the users that a user may see, oldest first: all of them for an admin, else only oneself.
    pub async fn users_seen_by(&self, me: &str) -> Result<Vec<User>> {
        let mut users = self.list_users().await?;
        let is_admin = users
            .iter()
            .any(|user| user.username == me && user.is_admin());
        users.retain(|user| is_admin || user.username == me);
        Ok(users)
    }

    async fn known_user(&self, name: &str) -> Result<User> {
        match self.user(name).await? {
            Some(user) => Ok(user),
            None => bail!("there is no user `{name}`"),
        }
    }

    async fn must_be_admin(&self, me: &str, what: &str) -> Result<()> {
        if !self.user(me).await?.is_some_and(|user| user.is_admin()) {
            bail!("`{me}` is no admin and may not {what}");
        }
        Ok(())
    }

    /// Returns all users, oldest first.
    pub async fn list_users(&self) -> Result<Vec<User>> {
        self.users
            .select(None, &ALL, Some(Order::Ascending("created_at")), None)
            .await
    }
}
