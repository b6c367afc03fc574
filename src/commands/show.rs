//! `/show`, `/context`, `/scratchpad`: one interaction, all of it or one side of it, or the turns of a session.

use anyhow::{Context, Result, bail};

use super::arguments::Whose;
use super::shown::Shown;
use crate::chat::Memory;
use crate::conversation::short_id;
use crate::store::{Filter, Hinted, Interaction, Named, Whom};
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
pub struct Which {
    /// The id, or its first 4 characters or more, or in a chat the number in the last list; without it the last turn
    id: Option<String>,
    #[command(flatten)]
    whose: Whose,
}

impl Which {
    async fn find(&mut self, memory: &Memory, shown: &Shown) -> Result<(Filter, Named)> {
        if let Some(id) = &mut self.id {
            shown.id(id, &mut self.whose)?;
        }
        let filter = memory.filter(self.whose.whom(), None, None).await?;
        let last = shown.last.as_deref();
        let last = last.filter(|_| self.whose.whom() == Whom::Me);
        let id = if let Some(id) = self.id.as_deref().or(last) {
            id.to_owned()
        } else {
            let latest = memory.store.interactions_in(&filter, Some(1)).await?.pop();
            latest.context("nothing is recorded yet")?.interaction_id
        };
        let named = memory.store.named(&filter, &id).await?;
        Ok((filter, named))
    }

    /// Finds an interaction where a session cannot be meant.
    async fn turn(&mut self, memory: &Memory, shown: &Shown) -> Result<(Filter, Interaction)> {
        match self.find(memory, shown).await? {
            (filter, Named::Interaction(turn)) => Ok((filter, *turn)),
            (_, Named::Session(session)) => {
                let id = short_id(&session.session_id);
                bail!(Hinted {
                    message: format!("`{id}` is a session, and one of its turns is asked for"),
                    hint: format!("`/show {id}` lists them"),
                })
            }
        }
    }
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /show\n  /show 1a2b3c4d\n\nIn a chat `/show 2`, or `/show #2`, shows the second row of the last list; from four digits on a number needs the mark, as `1234` may begin an id.\nOf a session its turns are listed."
)]
pub struct ShowArgs {
    #[command(flatten)]
    which: Which,
}

pub async fn show(mut args: ShowArgs, memory: &Memory, shown: &mut Shown, ui: &Ui) -> Result<()> {
    let (filter, named) = args.which.find(memory, shown).await?;
    let names = memory.names().await?;
    let interaction = match named {
        Named::Interaction(turn) => turn,
        Named::Session(session) => {
            let turns = memory.store.history(&filter, &session.session_id).await?;
            let ids = turns.iter().map(|turn| &turn.interaction_id);
            shown.list(ids.collect(), &args.which.whose);
            return ui.session(&session, &turns, &names);
        }
    };
    let steps = memory
        .store
        .steps(&filter, &interaction.interaction_id)
        .await?;
    // Parts of a history may have been brought back, or forgotten: what was said is there all the same.
    let requests = match requests(memory, &filter, &interaction).await {
        Ok(requests) => Some(requests),
        Err(error) => {
            ui.caution(&error);
            None
        }
    };
    ui.show(&interaction, &steps, requests.as_deref(), &names)
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  /context\n  /context 1a2b3c4d\n  /context 1a2b3c4d --raw")]
pub struct ContextArgs {
    #[command(flatten)]
    which: Which,
    /// Print each request on one line, byte for byte as it was sent
    #[arg(long)]
    raw: bool,
}

pub async fn context(mut args: ContextArgs, memory: &Memory, shown: &Shown, ui: &Ui) -> Result<()> {
    let (filter, interaction) = args.which.turn(memory, shown).await?;
    let requests = requests(memory, &filter, &interaction).await?;
    ui.context(&interaction, &requests, args.raw)
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  /scratchpad\n  /scratchpad 1a2b3c4d")]
pub struct ScratchpadArgs {
    #[command(flatten)]
    which: Which,
}

pub async fn scratchpad(
    mut args: ScratchpadArgs,
    memory: &Memory,
    shown: &Shown,
    ui: &Ui,
) -> Result<()> {
    let (filter, interaction) = args.which.turn(memory, shown).await?;
    let steps = memory
        .store
        .steps(&filter, &interaction.interaction_id)
        .await?;
    ui.scratchpad(&interaction, &steps)
}

async fn requests(
    memory: &Memory,
    filter: &Filter,
    interaction: &Interaction,
) -> Result<Vec<String>> {
    let (session, id) = (&interaction.session_id, &interaction.interaction_id);
    let requests = memory.store.context(filter, session, id).await;
    requests.context("its requests cannot be put together")
}
