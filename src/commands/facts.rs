//! `/facts`: what answers have taught.

use anyhow::Result;

use super::arguments::Found;
use super::shown::{Shown, named};
use crate::chat::{Chat, Memory};
use crate::store::{Fact, Named, Origin};
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /facts\n  /facts which database\n  /facts 1a2b3c4d\n  /facts on\n\n`on` and `off` say, in a chat, whether the model is asked for the facts in each of its answers; that is one more request a turn."
)]
pub struct Args {
    /// What to look for, or the id of an interaction or a session, or in a chat its number; without it the latest facts
    #[arg(allow_negative_numbers = true)]
    words: Vec<String>,
    #[command(flatten)]
    found: Found,
}

impl Args {
    /// Returns whether extraction is to be switched, and how.
    pub fn switch(&self) -> Option<bool> {
        match &self.words[..] {
            [word] if word == "on" => Some(true),
            [word] if word == "off" => Some(false),
            _ => None,
        }
    }
}

pub fn switch(on: bool, chat: &mut Chat, ui: &Ui) -> Result<()> {
    chat.settings.facts = on;
    ui.setting("facts", &on.into())
}

pub async fn run(mut args: Args, memory: &Memory, shown: &mut Shown, ui: &Ui) -> Result<()> {
    if args.switch().is_some() {
        anyhow::bail!("facts are switched on and off in a chat, or with `allm chat --facts`");
    }
    let ids = match &args.words[..] {
        [_] => shown.ids(&args.words, &mut args.found.whose)?,
        _ => Vec::new(),
    };
    let filter = args.found.filter(&mut args.words, memory, ui).await?;
    let limit = args.found.limit(memory.limit);
    let text = args.words.join(" ");
    let named = named(&ids, &filter, memory).await?.pop();
    let facts = if text.is_empty() {
        memory.store.facts(&filter, limit).await?
    } else if let Some(Named::Session(session)) = named {
        let filter = filter.in_session(&session.session_id);
        memory.store.facts(&filter, limit).await?
    } else if let Some(Named::Interaction(interaction)) = named {
        let fact = |text: &String| Fact {
            interaction_id: interaction.interaction_id.clone(),
            timestamp: interaction.timestamp,
            text: text.clone(),
        };
        interaction.facts_extracted.iter().map(fact).collect()
    } else {
        let mut query = memory.query(&text, filter, limit);
        query.quoted = true;
        query.sources = vec![Origin::Fact];
        let found = memory.store.search(&query).await?;
        ui.notices(&found.notices);
        let hits = found.hits.into_iter();
        let fact = |hit: crate::store::Hit| {
            Some(Fact {
                interaction_id: hit.interaction.interaction_id,
                timestamp: hit.interaction.timestamp,
                text: hit.matched?.text,
            })
        };
        hits.filter_map(fact).collect()
    };
    let ids = facts.iter().map(|fact| &fact.interaction_id);
    shown.list(ids.collect(), &args.found.whose);
    ui.facts(&facts)
}
