//! `/sessions`, `/resume`, `/history`, `/last`: conversations.

use std::collections::HashSet;

use anyhow::{Context, Result};

use super::arguments::{Found, Whose};
use crate::chat::{Chat, Memory};
use crate::store::{SearchQuery, Whom};
use crate::ui::Ui;

/// How many sessions or turns are shown when nobody says.
const SHOWN: usize = 20;
/// How many interactions are looked through for words.
const SEARCHED: usize = 200;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /sessions\n  /sessions deadlock --from 'last month'\n  /sessions --folder . --source codex\n  /sessions --limit 50"
)]
pub struct Args {
    /// What was talked about; without words all of them
    #[arg(allow_negative_numbers = true)]
    words: Vec<String>,
    #[command(flatten)]
    found: Found,
}

pub async fn run(mut args: Args, memory: &Memory, ui: &Ui) -> Result<()> {
    let filter = args.found.filter(&mut args.words, memory, ui).await?;
    let limit = args.found.limit(SHOWN);
    let mut sessions = memory.store.sessions(&filter).await?;
    let text = args.words.join(" ");
    if !text.is_empty() {
        let found = memory
            .store
            .search(&SearchQuery::new(text.clone(), filter, SEARCHED))
            .await?;
        ui.notices(&found.notices);
        let hits = found.hits.into_iter();
        let ids: HashSet<String> = hits.map(|hit| hit.interaction.session_id).collect();
        let words = text.to_lowercase();
        sessions.retain(|summary| {
            let title = summary.session.title.as_deref().unwrap_or_default();
            ids.contains(&summary.session.session_id) || title.to_lowercase().contains(&words)
        });
    }
    let more = sessions.len().saturating_sub(limit);
    sessions.truncate(limit);
    ui.sessions(&sessions, more)
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  /resume 1a2b3c4d")]
pub struct ResumeArgs {
    /// The id of a session, or its first 4 characters or more
    id: String,
}

pub async fn resume(args: ResumeArgs, chat: &mut Chat, ui: &Ui) -> Result<()> {
    let filter = chat.memory.filter(Whom::Me, None, None).await?;
    let session = chat.memory.store.session(&filter, &args.id).await?;
    let (id, title) = (session.session_id.clone(), session.title.clone());
    let turns = chat.resume(session).await?;
    ui.resumed(&id, &title.unwrap_or_default(), turns)
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  /history\n  /history 5")]
pub struct HistoryArgs {
    /// Show only this many turns, the latest
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    count: Option<u16>,
}

pub async fn history(args: HistoryArgs, chat: &mut Chat, ui: &Ui) -> Result<()> {
    let memory = &chat.memory;
    let filter = memory.filter(Whom::Me, None, None).await?;
    let mut turns = memory.store.history(&filter, chat.session_id()).await?;
    let more = turns
        .len()
        .saturating_sub(args.count.map_or(usize::MAX, usize::from));
    turns.drain(..more);
    ui.history(&turns, &memory.names().await?, more)
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  /last\n  allm last > answer.txt")]
pub struct LastArgs {
    #[command(flatten)]
    whose: Whose,
}

pub async fn last(args: LastArgs, memory: &Memory, last: Option<&str>, ui: &Ui) -> Result<()> {
    let whom = args.whose.whom();
    let filter = memory.filter(whom, None, None).await?;
    let store = &memory.store;
    let interaction = if let Some(id) = last.filter(|_| whom == Whom::Me) {
        store.interaction(&filter, id).await?
    } else {
        let latest = store.interactions_in(&filter, Some(1)).await?.pop();
        latest.context("nothing is recorded yet")?
    };
    ui.last(&interaction, &memory.names().await?)
}
