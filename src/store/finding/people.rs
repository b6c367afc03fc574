//! Who there is, and whose history who may see.

use anyhow::{Result, bail};

use crate::store::open::Store;
use crate::store::tables::{Scope, User, Whom};

impl Store {
    /// Returns the user of that name, if there is one.
    pub async fn user(&self, username: &str) -> Result<Option<User>> {
        self.users.named(username).await
    }

    /// Returns all users, oldest first.
    pub async fn list_users(&self) -> Result<Vec<User>> {
        self.users.list().await
    }

    /// Returns the users that a user may see, oldest first: all of them for an admin, else only oneself.
    pub async fn users_seen_by(&self, me: &str) -> Result<Vec<User>> {
        let mut users = self.users.list().await?;
        let is_admin = users
            .iter()
            .any(|user| user.username == me && user.is_admin());
        users.retain(|user| is_admin || user.username == me);
        Ok(users)
    }

    /// Returns what the user called `me` may see of the history of whom they ask for.
    ///
    /// A user who has not said anything yet sees nothing; an admin may name another user, or everyone.
    pub async fn scope(&self, me: &str, whom: Whom<'_>) -> Result<Scope> {
        let user = self.users.named(me).await?;
        let is_admin = user.as_ref().is_some_and(User::is_admin);
        match whom {
            Whom::Named(other) if other != me => {
                if !is_admin {
                    bail!("`{me}` may not read the history of `{other}`");
                }
                match self.users.named(other).await? {
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
