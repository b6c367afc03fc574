//! `/recall`: put past interactions into the live context.

use std::collections::HashSet;

use anyhow::{Result, bail};

use super::arguments::Found;
use super::shown::{Shown, named};
use crate::chat::Chat;
use crate::store::{Hit, Named};
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /recall how we fixed the deadlock --from 2025-09-01\n  /recall 1a2b3c4d\n  /recall 1 3\n  /recall off\n\nNumbers are those of rows in the last list of this chat; of a session its turns are recalled, the latest first as far as they fit. What is recalled is quoted before each of your questions, until `/recall off`, another `/recall` or `/new`."
)]
pub struct Args {
    /// What to look for, or ids of interactions and sessions, or their numbers in the last list; `off` takes out what was recalled; without words, what is recalled now
    #[arg(allow_negative_numbers = true)]
    words: Vec<String>,
    #[command(flatten)]
    found: Found,
}

/// How many interactions are recalled when nobody says.
const LIMIT: usize = 3;

pub async fn run(mut args: Args, chat: &mut Chat, shown: &Shown, ui: &Ui) -> Result<()> {
    let names = chat.memory.names().await?;
    if args.words.is_empty() {
        return ui.recalled(chat.recalled(), &chat.quotes(), &names);
    }
    let ids = shown.ids(&args.words, &mut args.found.whose)?;
    let memory = &chat.memory;
    let filter = args.found.filter(&mut args.words, memory, ui).await?;
    let text = args.words.join(" ");
    let named = named(&ids, &filter, memory).await?;
    let interactions = if text == "off" {
        Vec::new()
    } else if !named.is_empty() {
        let mut turns = Vec::new();
        for named in named {
            match named {
                Named::Interaction(turn) => turns.push(*turn),
                Named::Session(session) => {
                    let session = memory.store.history(&filter, &session.session_id).await?;
                    turns.extend(session.into_iter().rev());
                }
            }
        }
        // A list may have a turn twice, and a session has its turns.
        let mut seen = HashSet::new();
        turns.retain(|turn| seen.insert(turn.interaction_id.clone()));
        turns
    } else {
        let mut query = memory.query(&text, filter, args.found.limit(LIMIT));
        query.quoted = true;
        let found = chat.memory.store.search(&query).await?;
        ui.notices(&found.notices);
        let hits = found.hits;
        if hits.is_empty() {
            bail!("nothing like `{text}` is recorded");
        }
        // The best is meant in any case; what is not like it at all would only mislead.
        let floor = chat.settings.recall_floor;
        let close = |(rank, hit): &(usize, Hit)| *rank == 0 || hit.score >= floor;
        let hits = hits.into_iter().enumerate().filter(close);
        hits.map(|(_, hit)| hit.interaction).collect()
    };
    chat.recall(interactions);
    ui.recalled(chat.recalled(), &chat.quotes(), &names)
}
