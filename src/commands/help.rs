//! `/help`: the commands, or one of them.

use anyhow::{Result, bail};
use clap::CommandFactory;
use serde_json::json;

use super::list::{Line, OUTSIDE, explained, names_of, table};
use crate::ui::{Ui, columns, listed};

/// With which command a group of `/help` begins, and what it is called.
const GROUPS: [(&str, &str); 7] = [
    ("/search", "Find what was said"),
    ("/show", "Look at one turn"),
    ("/sessions", "Conversations and people"),
    ("/export", "Keep, move and forget"),
    ("/recall", "How you are answered"),
    ("/resume", "This conversation"),
    ("/help", "The shell"),
];

pub fn run(command: Option<&str>, ui: &Ui) -> Result<()> {
    if let Some(name) = command {
        let name = name.trim_start_matches('/');
        let Some(text) = explained(&format!("/{name}")) else {
            match OUTSIDE.contains(&name) {
                true => {
                    bail!("`{name}` works outside of a chat: `allm {name} --help` explains it")
                }
                false => bail!("there is no command `/{name}`: `/help` lists them all"),
            }
        };
        return ui.help(&text);
    }
    if ui.json {
        let rows = table().into_iter();
        let commands: Vec<_> = rows
            .map(|(name, about)| json!({"name": name, "about": about}))
            .collect();
        return ui.print_json(&json!({"type": "help", "commands": commands}));
    }
    ui.print(&overview(columns()))
}

/// Lists the commands in groups, within so many columns.
fn overview(width: usize) -> String {
    let line = Line::command();
    let rows: Vec<(String, String)> = line
        .get_subcommands()
        .map(|command| {
            let about = command.get_about().map(ToString::to_string);
            let mut about = about.unwrap_or_default();
            let mut names = names_of(command).into_iter();
            let name = names.next().unwrap_or_default();
            let others = names.collect::<Vec<_>>().join(", ");
            if !others.is_empty() {
                about.push_str(&format!(" (also {others})"));
            }
            (name, about)
        })
        .collect();
    let group = |row: &(String, String)| GROUPS.iter().find(|(first, _)| *first == row.0);
    let behind = rows.iter().map(|(name, _)| name.len()).max();
    let behind = behind.unwrap_or_default() + 4;
    let mut text = String::new();
    for rows in rows.chunk_by(|_, next| group(next).is_none()) {
        let heading = group(&rows[0]).map_or("", |(_, heading)| heading);
        text.push_str(&format!("{heading}\n{}\n", listed(rows, behind, width)));
    }
    text.push_str(
        "Anything else is said to the model.\n`//text` says `/text` to it.\n`/help search` explains one command.",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overview_fits_and_has_each_command_in_a_group() {
        for width in [110, 80, 50] {
            let text = overview(width);
            let long = text
                .lines()
                .find(|line| line.chars().count() > width.min(80));
            assert_eq!(long, None, "at {width}");
            for (_, heading) in GROUPS {
                assert!(
                    text.contains(&format!("{heading}\n  /")),
                    "{heading}:\n{text}"
                );
            }
            for (name, _) in table() {
                assert!(text.contains(&format!("\n  {name}")), "{name}");
            }
        }
    }

    #[test]
    fn each_command_has_an_example() {
        for (name, _) in table() {
            let help = explained(&name).unwrap();
            assert!(help.contains(&format!("Examples:\n  {name}")), "{help}");
        }
    }
}
