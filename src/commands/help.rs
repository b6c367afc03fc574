//! `/help`: the commands, or one of them.

use anyhow::{Result, bail};
use clap::CommandFactory;

use super::list::{Line, names_of, table};
use crate::ui::Ui;

pub fn run(command: Option<&str>, ui: &Ui) -> Result<()> {
    if let Some(name) = command {
        let name = format!("/{}", name.trim_start_matches('/'));
        let mut line = Line::command();
        line.build();
        let Some(command) = line.find_subcommand_mut(&name) else {
            bail!("there is no command `{name}`: `/help` lists them all");
        };
        let text = command
            .clone()
            .render_help()
            .to_string()
            .replace("Usage:  /", "Usage: /");
        return if ui.json {
            ui.print_json(&serde_json::json!({"type": "help", "text": text}))
        } else {
            ui.print(&text)
        };
    }
    let rows = table();
    if ui.json {
        let commands: Vec<_> = rows
            .iter()
            .map(|(name, about)| serde_json::json!({"name": name, "about": about}))
            .collect();
        return ui.print_json(&serde_json::json!({"type": "help", "commands": commands}));
    }
    let line = Line::command();
    let named: Vec<_> = line
        .get_subcommands()
        .map(|command| (names_of(command).join(", "), command.get_about()))
        .collect();
    let widest = named
        .iter()
        .map(|(names, _)| names.len())
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    for (names, about) in named {
        let about = about.map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("{names:<widest$}  {about}\n"));
    }
    text.push_str("\nAnything else is said to the model; //text sends /text. `/help /search` explains one command.");
    ui.print(&text)
}
