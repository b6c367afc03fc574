//! Who there is, and whose history who may see.

use anyhow::{Result, bail};

use crate::store::open::Store;
use crate::store::tables::{Me, Scope, User, Whom};

impl Store {
    /// Returns who goes by a name, or went by it before, if anyone does.
    pub async fn user(&self, name: &str) -> Result<Option<User>> {
        Ok(self.users.all().await?.called(name).cloned())
    }

    /// Returns the same, or where there is nobody a user who is stored with what they say first.
    pub async fn who(&self, name: &str) -> Result<User> {
        let user = self.user(name).await?;
        Ok(user.unwrap_or_else(|| User::new(name)))
    }

    /// Returns the row of who speaks, if there is one.
    pub async fn find(&self, me: Me<'_>) -> Result<Option<User>> {
        Ok(self.users.all().await?.find(me).cloned())
    }

    /// Returns all users, oldest first.
    pub async fn list_users(&self) -> Result<Vec<User>> {
        Ok(self.users.all().await?.0)
    }

    /// Returns the users that a user may see, oldest first: all of them for an admin, else only oneself.
    pub async fn users_seen_by(&self, me: Me<'_>) -> Result<Vec<User>> {
        let mut users = self.users.all().await?;
        let Some(me) = users.find(me).cloned() else {
            return Ok(Vec::new());
        };
        users
            .0
            .retain(|user| me.is_admin() || user.user_id == me.user_id);
        Ok(users.0)
    }

    /// Returns what a user may see of the history of whom they ask for.
    ///
    /// A user who has not said anything yet sees nothing; an admin may name another user, or everyone.
    pub async fn scope(&self, me: Me<'_>, whom: Whom<'_>) -> Result<Scope> {
        let users = self.users.all().await?;
        let user = users.find(me);
        let is_admin = user.is_some_and(User::is_admin);
        let (my_id, my_name) = user.map_or((me.user_id, me.username), |user| {
            (&user.user_id, &user.username)
        });
        match whom {
            Whom::Me => Ok(Scope::User(my_id.to_owned())),
            Whom::Named(name) => match users.called(name) {
                Some(other) if is_admin || other.user_id == my_id => {
                    Ok(Scope::User(other.user_id.clone()))
                }
                None if name == my_name => Ok(Scope::User(my_id.to_owned())),
                None if is_admin => bail!("there is no user `{name}`"),
                _ => bail!("`{my_name}` may not read the history of `{name}`"),
            },
            Whom::Everyone if is_admin => Ok(Scope::Everyone),
            Whom::Everyone => bail!("`{my_name}` may not read the history of all users"),
        }
    }
}
