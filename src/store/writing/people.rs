//! Who speaks and in which conversation: users and sessions, each made once.

use std::collections::HashSet;

use anyhow::{Result, bail};

use super::Turn;
use crate::store::open::Store;
use crate::store::tables::{Me, Record, Session, User, Users, one_of, username};

impl Store {
    /// Returns the user of that name, made if need be. The first user of a store is its admin.
    pub async fn ensure_user(&self, name: &str) -> Result<User> {
        self.ensure(self.who(name).await?.me()).await
    }

    /// Returns who speaks, made if need be.
    pub async fn ensure(&self, me: Me<'_>) -> Result<User> {
        if let Some(user) = self.users.all().await?.find(me) {
            return Ok(user.clone());
        }
        let pass = self.locks.enter().await?;
        let _rows = self.locks.rows(&pass).await?;
        let users = self.users.all().await?;
        if let Some(user) = users.find(me) {
            return Ok(user.clone());
        }
        let mut user = User::new(me.username);
        if !me.user_id.is_empty() {
            me.user_id.clone_into(&mut user.user_id);
        }
        user.set_admin(users.0.is_empty());
        self.users.add(std::slice::from_ref(&user)).await?;
        Ok(user)
    }

    /// Says in a turn who speaks, by the id that it has, else by the name, and returns them.
    pub async fn attribute(&self, turn: &mut Turn) -> Result<User> {
        let me = Me {
            user_id: &turn.interaction.user_id,
            username: &turn.username,
        };
        let user = self.ensure(me).await?;
        turn.attribute(&user);
        Ok(user)
    }

    /// Returns whose it becomes what a user brings in for someone of that name: one's own, or for an admin anyone's. Who is not there
    /// is returned all the same, and made by [`Store::ensure`].
    pub async fn owner(&self, me: Me<'_>, name: &str) -> Result<User> {
        let users = self.users.all().await?;
        let user = users.find(me);
        let owner = match users.called(name) {
            Some(owner) => owner.clone(),
            None if name == me.username => User {
                user_id: me.user_id.to_owned(),
                ..User::new(name)
            },
            None => User::new(name),
        };
        let is_me = owner.user_id == user.map_or(me.user_id, |user| &user.user_id);
        // Whoever comes first is the admin.
        if !is_me && !users.0.is_empty() && !user.is_some_and(User::is_admin) {
            bail!(
                "`{}` may not write into the history of `{name}`",
                me.username
            );
        }
        Ok(owner)
    }

    /// Adds a user, for an admin.
    pub async fn add_user(&self, me: Me<'_>, name: &str) -> Result<()> {
        let name = username(name)?;
        let pass = self.locks.enter().await?;
        let _rows = self.locks.rows(&pass).await?;
        let users = self.users.all().await?;
        must_be_admin(&users, me, "add users")?;
        must_be_free(&users, &name)?;
        self.users.add(&[User::new(&name)]).await
    }

    /// Gives a user another name: oneself, or anyone for an admin. Who had it before, and has another now, is not found by it any more.
    pub async fn rename_user(&self, me: Me<'_>, name: &str, new: &str) -> Result<()> {
        let new = username(new)?;
        let pass = self.locks.enter().await?;
        let _rows = self.locks.rows(&pass).await?;
        let users = self.users.all().await?;
        let mut user = known(&users, name)?;
        if users.find(me).is_none_or(|me| me.user_id != user.user_id) {
            must_be_admin(&users, me, "rename others")?;
        }
        must_be_free(&users, &new)?;
        let old = user.username.clone();
        user.rename(&new);
        let mut changed = vec![user];
        for mut other in users.0 {
            if other.user_id != changed[0].user_id && other.lose_name(&old) {
                changed.push(other);
            }
        }
        self.users.replace(&changed).await
    }

    /// Makes a user an admin, or a member again; the last admin stays one.
    pub async fn set_admin(&self, me: Me<'_>, name: &str, admin: bool) -> Result<()> {
        let pass = self.locks.enter().await?;
        let _rows = self.locks.rows(&pass).await?;
        let mut users = self.users.all().await?;
        must_be_admin(&users, me, "change roles")?;
        let user = known(&users, name)?;
        // Those that are admins as long as nobody else is have to be written down, too.
        users
            .0
            .retain(|other| other.is_admin() || other.user_id == user.user_id);
        if !admin && user.is_admin() && users.0.len() == 1 {
            bail!("`{name}` is the only admin: `/users grant` another one first");
        }
        for other in &mut users.0 {
            if other.user_id == user.user_id {
                other.set_admin(admin);
            }
        }
        self.users.replace(&users.0).await
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

fn known(users: &Users, name: &str) -> Result<User> {
    match users.called(name) {
        Some(user) => Ok(user.clone()),
        None => bail!("there is no user `{name}`"),
    }
}

fn must_be_free(users: &Users, name: &str) -> Result<()> {
    match users.0.iter().any(|user| user.username == name) {
        true => bail!("there is a user `{name}` already"),
        false => Ok(()),
    }
}

fn must_be_admin(users: &Users, me: Me<'_>, what: &str) -> Result<()> {
    match users.find(me).is_some_and(User::is_admin) {
        true => Ok(()),
        false => bail!("`{}` is no admin and may not {what}", me.username),
    }
}
