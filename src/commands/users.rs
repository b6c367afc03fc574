//! `/users` and `/user`: who is who.

use anyhow::{Result, bail};

use crate::chat::{Chat, Memory};
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /users\n  /users add bob\n  /users rename bob robert\n  /users grant robert\n\nAdmins do all of it; others see and rename themselves. A new user is added by their first turn, too."
)]
pub struct UsersArgs {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
#[command(disable_help_subcommand = true)]
enum Action {
    /// Add a user
    Add { name: String },
    /// Give a user another name
    Rename { name: String, new: String },
    /// Make a user an admin, who may read what others said
    Grant { name: String },
    /// Make an admin a member again
    Revoke { name: String },
}

pub async fn users(args: UsersArgs, memory: &Memory, ui: &Ui) -> Result<()> {
    let (store, me) = (&memory.store, memory.me());
    match &args.action {
        None => {}
        Some(Action::Add { name }) => store.add_user(me, name).await?,
        Some(Action::Rename { name, new }) => store.rename_user(me, name, new).await?,
        Some(Action::Grant { name }) => store.set_admin(me, name, true).await?,
        Some(Action::Revoke { name }) => store.set_admin(me, name, false).await?,
    }
    ui.users(&store.users_seen_by(me).await?)
}

/// Does the same in a chat, which goes on under the new name of who has renamed themselves.
pub async fn users_in_chat(args: UsersArgs, chat: &mut Chat, ui: &Ui) -> Result<()> {
    users(args, &chat.memory, ui).await?;
    let memory = &mut chat.memory;
    if let Some(user) = memory.store.find(memory.me()).await? {
        memory.username = user.username;
    }
    Ok(())
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  /user\n  /user bob")]
pub struct UserArgs {
    /// The user to go on as, in a new conversation
    name: Option<String>,
}

pub async fn user(args: UserArgs, chat: &mut Chat, ui: &Ui) -> Result<()> {
    if let Some(name) = args.name {
        let name = crate::store::username(&name)?;
        match chat.memory.store.user(&name).await? {
            Some(user) => chat.become_user(user),
            None => bail!("there is no user `{name}`: `/users add {name}` adds one"),
        }
    }
    ui.setting("user", &chat.memory.username.as_str().into())
}
