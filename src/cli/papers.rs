//! What is printed about the command line: for a shell that completes it, and for `man`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use serde_json::json;

use crate::config::path;
use crate::repl::Outcome;
use crate::store::Hinted;
use crate::ui::{Ui, suggestion};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  allm completions bash > ~/.local/share/bash-completion/completions/allm\n  allm completions zsh > ~/.zfunc/_allm\n  allm completions fish > ~/.config/fish/completions/allm.fish"
)]
pub struct CompletionsArgs {
    /// The shell [default: that of $SHELL]
    shell: Option<Shell>,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  allm man | man -l -\n  allm man search | man -l -\n  allm man --output ~/.local/share/man/man1"
)]
pub struct ManArgs {
    /// The command to explain; without it the program as a whole
    #[arg(conflicts_with = "output")]
    command: Vec<String>,
    /// Write a page for each command into this folder
    #[arg(short, long, value_name = "DIR", value_parser = path())]
    output: Option<PathBuf>,
}

/// Prints what a shell reads to complete the words of this command line.
pub fn completions(args: &CompletionsArgs, mut command: Command, ui: &Ui) -> Result<Outcome> {
    let shell = args
        .shell
        .or_else(Shell::from_env)
        .with_context(|| Hinted {
            message: "cannot tell which shell this is".to_owned(),
            hint: "name it: `allm completions bash`".to_owned(),
        })?;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "allm", &mut script);
    let script = String::from_utf8(script)?;
    print("completions", &script, ui)
}

/// Prints a page of the manual, or writes all of them into a folder.
pub fn man(args: &ManArgs, mut command: Command, ui: &Ui) -> Result<Outcome> {
    command = command.disable_help_subcommand(true);
    if let Some(folder) = &args.output {
        let context = || format!("cannot write the manual into `{}`", folder.display());
        std::fs::create_dir_all(folder).with_context(context)?;
        clap_mangen::generate_to(command, folder).with_context(context)?;
        ui.note(&format!("the manual is in `{}`", folder.display()));
        return Ok(Outcome::Done);
    }
    command.build();
    let mut page = &command;
    for name in &args.command {
        let known = page.get_subcommands().map(Command::get_name);
        page = page.find_subcommand(name).with_context(|| Hinted {
            message: format!("there is no command `{name}`"),
            hint: suggestion(name, known) + "`allm help` lists the commands",
        })?;
    }
    let mut text = Vec::new();
    Man::new(page.clone()).render(&mut text)?;
    print("man", &String::from_utf8(text)?, ui)
}

fn print(what: &str, text: &str, ui: &Ui) -> Result<Outcome> {
    match ui.json {
        true => ui.print_json(&json!({"type": what, "text": text}))?,
        false => ui.put(text)?,
    }
    Ok(Outcome::Done)
}
