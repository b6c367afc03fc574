//! Who speaks and in which conversation: users and sessions, each made once.

use std::collections::HashSet;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::store::open::Store;
use crate::store::tables::{Record, Session, User, one_of, username};
use crate::store::words::{new_id, now};

impl Store {
    /// Returns the user of that name, made if need be. The first user of a store is its admin.
    pub async fn ensure_user(&self, username: &str) -> Result<User> {
        if let Some(user) = self.users.named(username).await? {
            return Ok(user);
        }
        let pass = self.locks.enter().await?;
        let _rows = self.locks.rows(&pass).await?;
        if let Some(user) = self.users.named(username).await? {
            return Ok(user);
        }
        let role = if self.users.count(None).await? == 0 {
            "admin"
        } else {
            "member"
        };
        let user = User {
            user_id: new_id(),
            username: username.to_owned(),
            created_at: now(),
            metadata: json!({"role": role}).to_string(),
        };
        self.users.add(std::slice::from_ref(&user)).await?;
        Ok(user)
    }

    /// Adds a user, for an admin.
    pub async fn add_user(&self, me: &str, name: &str) -> Result<()> {
        let name = username(name)?;
        self.must_be_admin(me, "add users").await?;
        if self.users.named(&name).await?.is_some() {
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
        let pass = self.locks.enter().await?;
        let _rows = self.locks.rows(&pass).await?;
        let mut user = self.known_user(name).await?;
        if self.users.named(&new).await?.is_some() {
            bail!("there is a user `{new}` already");
        }
        user.username = new;
        self.users.replace("user_id", &[user]).await
    }

    /// Makes a user an admin, or a member again; the last admin stays one.
    pub async fn set_admin(&self, me: &str, name: &str, admin: bool) -> Result<()> {
        self.must_be_admin(me, "change roles").await?;
        let pass = self.locks.enter().await?;
        let _rows = self.locks.rows(&pass).await?;
        let mut user = self.known_user(name).await?;
        let admins = self.users.list().await?;
        let admins = admins.iter().filter(|user| user.is_admin()).count();
        if !admin && user.is_admin() && admins == 1 {
            bail!("`{name}` is the only admin: `/users grant` another one first");
        }
        let mut metadata: Value = serde_json::from_str(&user.metadata).unwrap_or_default();
        metadata["role"] = json!(if admin { "admin" } else { "member" });
        user.metadata = metadata.to_string();
        self.users.replace("user_id", &[user]).await
    }

    async fn known_user(&self, name: &str) -> Result<User> {
        match self.users.named(name).await? {
            Some(user) => Ok(user),
            None => bail!("there is no user `{name}`"),
        }
    }

    async fn must_be_admin(&self, me: &str, what: &str) -> Result<()> {
        if !self
            .users
            .named(me)
            .await?
            .is_some_and(|user| user.is_admin())
        {
            bail!("`{me}` is no admin and may not {what}");
        }
        Ok(())
    }

    /// Writes the rows of sessions that are not there yet, in one commit.
    pub async fn ensure_sessions(&self, sessions: &[&Session]) -> Result<()> {
        if self.unknown(sessions).await?.is_empty() {
            return Ok(());
        }
        let pass = self.locks.enter().await?;
        let _rows = self.locks.rows(&pass).await?;
        let unknown = self.unknown(sessions).await?;
        self.sessions.add(&unknown).await
    }

    /// Returns those that have no row, each once.
    async fn unknown(&self, sessions: &[&Session]) -> Result<Vec<Session>> {
        let ids = sessions.iter().map(|session| session.key());
        let known = self.sessions.keys(Some(one_of(Session::KEY, ids)));
        let mut known: HashSet<String> = known.await?.into_iter().collect();
        let is_new = |session: &&&Session| known.insert(session.session_id.clone());
        Ok(sessions
            .iter()
            .filter(is_new)
            .map(|session| (*session).clone())
            .collect())
    }
}
