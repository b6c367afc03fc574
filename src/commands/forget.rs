//! `/forget` and `/cleanup`: what is removed for good, after it has been shown and agreed to.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use super::arguments::{self, When, Whose};
use super::export;
use super::shown::Shown;
use super::which::Which;
use crate::chat::Memory;
use crate::store::{Filter, Interaction, Outline, Whom, now};
use crate::timeframe::{self, Zone};
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /forget 3f2a9c1e\n  /forget --session 8c1d20aa --dry-run\n  /forget --match \"the offer to Acme\" --since 2025-09-01\n  /forget --folder ~/work/secret --dry-run\n\nWhat is forgotten is in no file of the store any more. It is exported first, unless you say --no-backup. A conversation that is open in another shell knows it until it ends there."
)]
pub struct ForgetArgs {
    /// The interactions, by ids, or in a chat by numbers in the last list
    ids: Vec<String>,
    /// Forget what has these words, as they stand, in question or answer
    #[arg(long = "match", value_name = "WORDS")]
    matching: Option<String>,
    /// Forget a whole conversation
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    when: When,
    #[command(flatten)]
    which: Box<Which>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /cleanup --older-than 90d --dry-run\n  /cleanup --older-than 1y --user bob\n  /cleanup --older-than 2025-01-01\n\nNothing is ever removed unasked; `retention` in config.toml asks once for all."
)]
pub struct CleanupArgs {
    /// How old what is removed is at least, for example 90d, 6 months, 2y, or the date it was before
    #[arg(long, value_name = "AGE")]
    older_than: String,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct How {
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Keep no export of what is removed
    #[arg(long)]
    no_backup: bool,
}

/// Forgets interactions. Returns whether any is gone.
pub async fn forget(mut args: ForgetArgs, memory: &Memory, shown: &Shown, ui: &Ui) -> Result<bool> {
    for id in args.ids.iter_mut().chain(&mut args.session) {
        // A list of others' history does not say that theirs is to go.
        shown.id(id, &mut Whose::default())?;
    }
    let (from, until) = args.when.bounds(ui)?;
    let said = args.matching.is_some() || args.session.is_some() || args.whose.is_given();
    let narrow = said || args.which.is_given() || from.is_some() || until.is_some();
    if args.ids.is_empty() && !narrow {
        bail!(
            "say what to forget: ids, or --match, --session, --from, --to, --user, --folder, --source, --model, --provider, --status, --tool"
        );
    }
    let filter = memory.filter(args.whose.whom(), from, until).await?;
    let mut filter = args.which.narrow(filter, memory).await?;
    if let Some(session) = &args.session {
        let session = arguments::session(session, &args.whose, memory).await?;
        filter = filter.in_session(&session.session_id);
    }
    if !args.ids.is_empty() {
        let mut ids = Vec::new();
        for id in &args.ids {
            let turn = memory.store.interaction(&filter, id).await?;
            ids.push(turn.interaction_id);
        }
        filter = filter.only(ids);
    }
    let words = args.matching.as_deref();
    let turns = memory.store.outlines(&filter, words).await?;
    remove(turns, filter, &args.how, memory, ui).await
}

/// Removes what is older than some age. Returns whether any is gone.
pub async fn cleanup(args: CleanupArgs, memory: &Memory, ui: &Ui) -> Result<bool> {
    let until = before(&args.older_than, memory.zone)?;
    let filter = memory.filter(args.whose.whom(), None, Some(until)).await?;
    let turns = memory.store.outlines(&filter, None).await?;
    remove(turns, filter, &args.how, memory, ui).await
}

/// Returns the beginning of a day, or else how long ago an age is: what is removed for good is told apart by days, not by minutes.
fn before(age: &str, zone: Zone) -> Result<DateTime<Utc>> {
    match NaiveDate::parse_from_str(age.trim(), "%Y-%m-%d") {
        Ok(date) if age.trim().len() == "2025-01-01".len() => {
            Ok(zone.moment(date.and_time(NaiveTime::MIN)))
        }
        _ => timeframe::age(age, now(), zone),
    }
}

/// Is what a setting says is too old, of one's own history.
pub struct Expired {
    filter: Filter,
    /// How many interactions are too old, and how many there are.
    pub old: usize,
    pub all: usize,
}

/// Looks for what is older than an age, of one's own history.
pub async fn expired(age: &str, memory: &Memory) -> Result<Expired> {
    let until = timeframe::age(age, now(), memory.zone)?;
    let all = memory.filter(Whom::Me, None, None).await?;
    let filter = all.clone().within(None, Some(until));
    Ok(Expired {
        old: memory.store.count(&filter).await?,
        all: memory.store.count(&all).await?,
        filter,
    })
}

/// Removes what is too old. Returns how many interactions.
pub async fn expire(expired: &Expired, memory: &Memory) -> Result<usize> {
    memory.store.expire(&expired.filter).await
}

async fn remove(
    turns: Vec<Outline>,
    filter: Filter,
    how: &How,
    memory: &Memory,
    ui: &Ui,
) -> Result<bool> {
    let (Some(first), Some(last)) = (turns.first(), turns.last()) else {
        ui.forgotten(0, &[], None, how.dry_run)?;
        return Ok(false);
    };
    let names = memory.names().await?;
    let mut by_user: BTreeMap<&str, usize> = BTreeMap::new();
    for turn in &turns {
        let name = names.get(&turn.user_id).map_or("?", String::as_str);
        *by_user.entry(name).or_default() += 1;
    }
    let alone = by_user.len() == 1;
    let users: Vec<String> = by_user
        .iter()
        .map(|(name, count)| match alone {
            true => (*name).to_owned(),
            false => format!("{name} ({count})"),
        })
        .collect();
    let shown = |turn: &Outline| ui.zone().shown(turn.timestamp);
    let when = match turns.len() {
        1 => format!("1 interaction, {}", shown(first)),
        count => format!("{count} interactions, {} to {}", shown(first), shown(last)),
    };
    ui.note(&format!("{when}, of {}", users.join(", ")));
    if how.dry_run || !(how.yes || ui.json) {
        let first = beginning(&turns, &filter, memory).await?;
        if how.dry_run {
            ui.forgotten(turns.len(), &first, None, true)?;
            return Ok(false);
        }
        ui.doomed(&first, turns.len())?;
    }
    if !how.yes && !ui.confirm("Remove them for good?")? {
        ui.declined("forgotten")?;
        return Ok(false);
    }
    let ids: Vec<String> = turns.into_iter().map(|turn| turn.interaction_id).collect();
    let filter = filter.only(ids);
    let backup = match how.no_backup {
        true => None,
        false => Some(back_up(&filter, memory, ui).await?),
    };
    let erased = memory.store.erase(&filter).await?;
    ui.forgotten(erased, &[], backup.as_deref(), false)?;
    Ok(true)
}

/// Returns the first of what is about to be removed, as many as a person looks at.
async fn beginning(
    turns: &[Outline],
    filter: &Filter,
    memory: &Memory,
) -> Result<Vec<Interaction>> {
    const SHOWN: usize = 10;
    let ids = turns.iter().take(SHOWN);
    let ids = ids.map(|turn| turn.interaction_id.clone()).collect();
    let these = filter.clone().only(ids);
    memory.store.interactions_in(&these, None).await
}

/// Exports what is about to be removed, into the home.
async fn back_up(filter: &Filter, memory: &Memory, ui: &Ui) -> Result<PathBuf> {
    let folder = memory.store.home().join("backups");
    let name = now().format("removed-%Y%m%dT%H%M%S%.6fZ.jsonl");
    let path = folder.join(name.to_string());
    let mut folders = std::fs::DirBuilder::new();
    let made = folders.recursive(true).mode(0o700).create(&folder);
    let made = made.and_then(|()| File::open(memory.store.home())?.sync_all());
    made.with_context(|| format!("cannot create `{}`", folder.display()))?;
    let what = export::What {
        filter: filter.clone(),
        form: None,
        vectors: true,
    };
    export::to_file(&path, &what, false, memory, ui).await?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Finding H3.
    #[test]
    fn what_is_cleaned_up_is_told_apart_by_days() {
        let zone = Zone::named("Europe/Berlin").unwrap();
        let day = before(" 2025-01-01 ", zone).unwrap();
        assert_eq!(
            day,
            "2024-12-31T23:00:00Z".parse::<DateTime<Utc>>().unwrap()
        );
        let days = now() - before("90d", zone).unwrap();
        assert!((89..=91).contains(&days.num_days()), "{days}");
        for text in [
            "6m",
            "2h",
            "today",
            "now",
            "yesterday",
            "25-01-01",
            "2025-01-01T10:00",
            "2025-13-01",
            "",
        ] {
            assert!(before(text, zone).is_err(), "{text}");
        }
    }
}
