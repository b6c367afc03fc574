//! `/sessions`: list past conversations.

use anyhow::Result;

use crate::chat::Memory;
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  /sessions\n  /sessions --limit 50")]
pub struct Args {
    /// List another user's conversations
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Show at most this many, the latest
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    limit: u16,
}

pub async fn run(args: Args, memory: &Memory, ui: &Ui) -> Result<()> {
    let filter = memory.filter(args.user.as_deref(), None, None).await?;
    ui.sessions(
        &memory
            .store
            .sessions(&filter, Some(args.limit.into()))
            .await?,
    )
}
