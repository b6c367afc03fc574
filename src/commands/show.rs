//! `/show`, `/context`, `/scratchpad`: one interaction, all of it or one side of it.

use anyhow::{Context, Result};

use super::arguments::Whose;
use crate::chat::Memory;
use crate::store::{Filter, Interaction, Whom};
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
pub struct Which {
    /// The id of the interaction, or its first 4 characters or more; without it the last turn
    id: Option<String>,
    #[command(flatten)]
    whose: Whose,
}

impl Which {
    async fn find(&self, memory: &Memory, last: Option<&str>) -> Result<(Filter, Interaction)> {
        let filter = memory.filter(self.whose.whom(), None, None).await?;
        let last = last.filter(|_| self.whose.whom() == Whom::Me);
        let id = if let Some(id) = self.id.as_deref().or(last) {
            id.to_owned()
        } else {
            let latest = memory.store.interactions_in(&filter, Some(1)).await?.pop();
            latest.context("nothing is recorded yet")?.interaction_id
        };
        let interaction = memory.store.interaction(&filter, &id).await?;
        Ok((filter, interaction))
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  /show\n  /show 1a2b3c4d")]
pub struct ShowArgs {
    #[command(flatten)]
    which: Which,
}

pub async fn show(args: ShowArgs, memory: &Memory, last: Option<&str>, ui: &Ui) -> Result<()> {
    let (filter, interaction) = args.which.find(memory, last).await?;
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
    let names = memory.names().await?;
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

pub async fn context(
    args: ContextArgs,
    memory: &Memory,
    last: Option<&str>,
    ui: &Ui,
) -> Result<()> {
    let (filter, interaction) = args.which.find(memory, last).await?;
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
    args: ScratchpadArgs,
    memory: &Memory,
    last: Option<&str>,
    ui: &Ui,
) -> Result<()> {
    let (filter, interaction) = args.which.find(memory, last).await?;
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
