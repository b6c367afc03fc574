//! `/stats`: what is stored, and what it adds up to.

use anyhow::Result;

use super::arguments::{When, Whose};
use super::which::Which;
use crate::chat::Memory;
use crate::store::By;
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /stats\n  /stats --by model --from 'last month'\n  /stats --by day --from '14 days ago'\n  /stats --by tool --folder ~/work"
)]
pub struct Args {
    /// Add turns up by model, user, session, day or tool
    #[arg(long, value_name = "WHAT", value_enum, hide_possible_values = true)]
    by: Option<By>,
    #[command(flatten)]
    when: When,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    which: Box<Which>,
}

pub async fn run(args: Args, memory: &Memory, ui: &Ui) -> Result<()> {
    let zone = memory.zone;
    let (from, until) = args.when.bounds(ui)?;
    let filter = memory.filter(args.whose.whom(), from, until).await?;
    let filter = args.which.narrow(filter, memory).await?;
    let stats = memory.store.stats(&filter).await?;
    let Some(by) = args.by else {
        return ui.stats(&stats);
    };
    let day = |time| zone.local(time).format("%Y-%m-%d").to_string();
    let mut groups = memory.store.groups(&filter, by, day).await?;
    if by == By::User {
        let names = memory.names().await?;
        for group in &mut groups {
            if let Some(name) = names.get(&group.key) {
                group.key.clone_from(name);
            }
        }
    }
    ui.groups(by.as_str(), &groups, &stats)
}
