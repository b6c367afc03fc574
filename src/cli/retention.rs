//! What `retention` in config.toml says is too old: removed once a day, and much at once only where a person has said that it is meant.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::chat::Memory;
use crate::commands::{self, Expired};
use crate::config::Config;
use crate::conversation::counted;
use crate::store::{self, Scope, Whom};
use crate::ui::{Ui, Unread};

/// More than one in so many interactions is much.
const MUCH: usize = 10;

/// Is what was done for one user. The file `retention` in the home holds one for each, by id.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Mark {
    /// What the setting was.
    age: String,
    /// The days on which it was last followed, and on which it was said that it is not.
    followed: String,
    warned: String,
    /// What a person has said to it.
    agreed: Option<bool>,
}

/// Removes what the setting says is too old, once a day. A chat begins, whatever comes of it.
pub async fn retain(memory: &Memory, config: &Config, home: &Path, unread: &mut Unread, ui: &Ui) {
    let age = config.retention.trim();
    if age.is_empty() {
        return;
    }
    if let Err(error) = follow(age, memory, &home.join("retention"), unread, ui).await {
        ui.caution(&error.context("cannot do what `retention` in config.toml says"));
    }
}

async fn follow(
    age: &str,
    memory: &Memory,
    place: &Path,
    unread: &mut Unread,
    ui: &Ui,
) -> Result<()> {
    let own = memory.filter(Whom::Me, None, None).await?;
    let Scope::User(me) = own.scope() else {
        return Ok(());
    };
    if me.is_empty() {
        // Who has not said anything yet has nothing to lose.
        return Ok(());
    }
    let mut marks = read(place);
    let mark = marks.entry(me.clone()).or_default();
    if mark.age != age {
        *mark = Mark {
            age: age.to_owned(),
            ..Mark::default()
        };
    }
    let today = store::now().format("%F").to_string();
    if mark.followed == today {
        return Ok(());
    }
    let expired = commands::expired(age, memory).await?;
    let Expired { old, all, .. } = expired;
    let is_much = old * MUCH > all;
    if is_much && mark.agreed.is_none() && ui.watched() && io::stdin().is_terminal() {
        let question = format!(
            "`retention` is \"{age}\": remove {old} of your {all} interactions for good, and from now on what gets as old?"
        );
        // What was typed before the question is no answer to it.
        unread.keep();
        mark.agreed = Some(ui.confirm(&question)?);
    }
    if is_much && mark.agreed != Some(true) {
        if mark.warned != today {
            mark.warned = today;
            ui.warn(&format!(
                "nothing is removed: {old} of your {all} interactions are older than `retention` in config.toml says, and that is much to remove unasked; `allm cleanup --older-than \"{age}\"` does it"
            ));
        }
        return write(place, &marks);
    }
    mark.followed = today;
    if old > 0 {
        let removed = commands::expire(&expired, memory).await?;
        ui.note(&format!(
            "{} older than {age} removed, as `retention` in config.toml says",
            counted(removed, "interaction")
        ));
    }
    write(place, &marks)
}

/// Returns the marks. Where there are none, or none that can be read, nothing was agreed to.
fn read(place: &Path) -> BTreeMap<String, Mark> {
    let text = std::fs::read_to_string(place).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn write(place: &Path, marks: &BTreeMap<String, Mark>) -> Result<()> {
    let written = store::replace_file(place, &serde_json::to_vec(marks)?);
    written.with_context(|| format!("cannot write `{}`", place.display()))
}
