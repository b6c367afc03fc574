//! The users table: who is who.

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use lancedb::arrow::arrow_schema::Field;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::column::{moment, text};
use super::table::{Order, Record, Table};
use crate::store::words::{new_id, now};

/// Holds a person who talks through this store.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    pub user_id: String,
    pub username: String,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub created_at: DateTime<Utc>,
    /// JSON text; `role` is `admin` or `member`, and `former_names` are those of before.
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
const ROLE: &str = "role";
const FORMER_NAMES: &str = "former_names";
const ADMIN: &str = "admin";
const MEMBER: &str = "member";

impl User {
    /// Returns a user who is not stored yet.
    pub fn new(username: &str) -> User {
        User {
            user_id: new_id(),
            username: username.to_owned(),
            created_at: now(),
            metadata: json!({ ROLE: MEMBER }).to_string(),
        }
    }

    /// Returns what the user is found again by.
    pub fn me(&self) -> Me<'_> {
        Me {
            user_id: &self.user_id,
            username: &self.username,
        }
    }

    /// Returns the word for what the user may do.
    pub fn role(&self) -> &'static str {
        if self.is_admin() { ADMIN } else { MEMBER }
    }

    /// Returns whether the user may read what others said.
    pub fn is_admin(&self) -> bool {
        self.metadata().get(ROLE).is_some_and(|role| role == ADMIN)
    }

    /// Says what the user may do.
    pub fn set_admin(&mut self, admin: bool) {
        self.set(ROLE, json!(if admin { ADMIN } else { MEMBER }));
    }

    /// Gives the user another name; the one of before is remembered.
    pub fn rename(&mut self, new: &str) {
        let mut names = self.former_names();
        names.retain(|name| name != new && *name != self.username);
        names.push(std::mem::replace(&mut self.username, new.to_owned()));
        self.set(FORMER_NAMES, json!(names));
    }

    /// Forgets that the user had a name. Returns whether they had.
    pub fn lose_name(&mut self, name: &str) -> bool {
        let mut names = self.former_names();
        let before = names.len();
        names.retain(|former| former != name);
        let had = names.len() < before;
        if had {
            self.set(FORMER_NAMES, json!(names));
        }
        had
    }

    fn former_names(&self) -> Vec<String> {
        let names = self.metadata().remove(FORMER_NAMES).unwrap_or_default();
        serde_json::from_value(names).unwrap_or_default()
    }

    /// What is no object says nothing.
    fn metadata(&self) -> Map<String, Value> {
        serde_json::from_str(&self.metadata).unwrap_or_default()
    }

    fn set(&mut self, name: &str, value: Value) {
        let mut metadata = self.metadata();
        metadata.insert(name.to_owned(), value);
        self.metadata = Value::Object(metadata).to_string();
    }
}

/// Says who speaks: by id, and by name as long as nobody has the id.
#[derive(Debug, Clone, Copy)]
pub struct Me<'m> {
    pub user_id: &'m str,
    pub username: &'m str,
}

/// Holds all users, oldest first; one of them is an admin.
#[derive(Debug)]
pub struct Users(pub Vec<User>);

impl Users {
    fn new(mut users: Vec<User>) -> Users {
        // Where a part of an export was brought back there may be none, and nobody else could make one.
        if !users.iter().any(User::is_admin)
            && let Some(oldest) = users.first_mut()
        {
            oldest.set_admin(true);
        }
        Users(users)
    }

    /// Returns who goes by a name, or went by it before, as long as nobody else does.
    pub fn called(&self, name: &str) -> Option<&User> {
        let is_called = self.0.iter().find(|user| user.username == name);
        let was_called = |user: &&User| user.former_names().iter().any(|former| former == name);
        is_called.or_else(|| self.0.iter().find(was_called))
    }

    /// Returns who speaks, if they are stored.
    pub fn find(&self, me: Me<'_>) -> Option<&User> {
        let user = self.0.iter().find(|user| user.user_id == me.user_id);
        user.or_else(|| self.called(me.username))
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
    /// Returns all users, oldest first.
    pub async fn all(&self) -> Result<Users> {
        let users = self.select(None, &ALL, Some(Order::Ascending("created_at")), None);
        Ok(Users::new(users.await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, metadata: &str) -> User {
        User {
            metadata: metadata.to_owned(),
            ..User::new(name)
        }
    }

    // Finding L28.
    #[test]
    fn metadata_that_is_no_object_is_written_over() {
        for metadata in ["[]", "\"admin\"", "7", "null", "", "{"] {
            let mut user = user("alice", metadata);
            assert!(!user.is_admin(), "{metadata}");
            user.set_admin(true);
            user.rename("al");
            assert!(user.is_admin() && user.username == "al", "{metadata}");
        }
    }

    // Finding M6.
    #[test]
    fn a_former_name_finds_its_user_until_someone_else_has_it() {
        let (mut alice, bob) = (user("alice", "{}"), user("bob", "{}"));
        alice.rename("al");
        alice.rename("alice");
        alice.rename("ally");
        assert_eq!(alice.former_names(), ["al", "alice"]);
        let (id, other) = (alice.user_id.clone(), bob.user_id.clone());
        let found = |users: &Users, name| users.called(name).map(|user| user.user_id.clone());
        let mut users = Users::new(vec![alice, bob]);
        for name in ["ally", "al", "alice"] {
            assert_eq!(found(&users, name).as_ref(), Some(&id), "{name}");
        }
        users.0[1].rename("alice");
        assert_eq!(found(&users, "alice").as_ref(), Some(&other));
        assert_eq!(found(&users, "bob").as_ref(), Some(&other));
        let me = Me {
            user_id: &id,
            username: "alice",
        };
        assert_eq!(users.find(me).map(|user| &user.user_id), Some(&id));
    }

    // Finding M9.
    #[test]
    fn where_nobody_is_an_admin_the_oldest_is_one() {
        let roles = |users: Vec<User>| -> Vec<&str> {
            Users::new(users).0.iter().map(User::role).collect()
        };
        let (alice, bob) = (user("alice", "{}"), user("bob", "{\"role\":\"member\"}"));
        assert_eq!(roles(vec![alice.clone(), bob.clone()]), ["admin", "member"]);
        let eve = user("eve", "{\"role\":\"admin\"}");
        assert_eq!(roles(vec![alice, bob, eve]), ["member", "member", "admin"]);
        assert!(roles(Vec::new()).is_empty());
    }
}
