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
    let (store, me) = (&memory.store, memory.username.as_str());
    match &args.action {
        None => {}
        Some(Action::Add { name }) => store.add_user(me, name).await?,
        Some(Action::Rename { name, new }) => store.rename_user(me, name, new).await?,
        Some(Action::Grant { name }) => store.set_admin(me, name, true).await?,
        Some(Action::Revoke { name }) => store.set_admin(me, name, false).await?,
    }
    // Who has renamed themselves goes by the new name.
    let me = match &args.action {
        Some(Action::Rename { name, new }) if name == me => new,
        _ => me,
    };
    ui.users(&store.users_seen_by(me).await?)
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
        if chat.memory.store.user(&name).await?.is_none() {
            bail!("there is no user `{name}`: `/users add {name}` adds one");
        }
        chat.become_user(name);
    }
    ui.setting("user", &chat.memory.username.as_str().into())
}
