//! The question whether a tool may do what it is about to do.

use std::collections::HashSet;
use std::io::{self, IsTerminal};

use anyhow::{Result as Anyhow, bail};
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Behavior, Config, Editor};

use super::theme::{alarm, dim, good, strong, visible};
use super::{Ui, say};
use crate::agent::Approval;
use crate::conversation::ToolCall;

/// Holds what needs no question any more.
#[derive(Debug)]
pub struct Approvals {
    /// Every call is approved.
    all: bool,
    /// The tools that are approved for the rest of the chat.
    tools: HashSet<String>,
}

impl Approvals {
    /// Approves every call, or none.
    pub fn new(all: bool) -> Approvals {
        Approvals {
            all,
            tools: HashSet::new(),
        }
    }
}

/// Shows a call and asks whether it may run.
pub fn ask(ui: &Ui, approvals: &mut Approvals, call: &ToolCall, preview: &str) -> Approval {
    if approvals.all || approvals.tools.contains(&call.name) {
        return Approval::Yes;
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Approval::Nobody;
    }
    let color = ui.color_err;
    say(&format!("{}\n", colored(preview, color)));
    loop {
        let run = format!("Run {}?", visible(&call.name));
        let choices = "[y]es, [a]lways in this chat, [n]o, or why not:";
        let plain = format!("{run} {choices} ");
        let styled = format!("{} {choices} ", strong(&run, color));
        let line = match read(&plain, &styled) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => return Approval::Interrupt,
            // Ctrl-D, or a terminal that is gone: silence is no approval.
            Err(_) => return Approval::No(String::new()),
        };
        let line = line.trim();
        let (first, reason) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match first
            .trim_end_matches([',', ':', '.', ';'])
            .to_lowercase()
            .as_str()
        {
            "y" | "yes" if reason.is_empty() => return Approval::Yes,
            "a" | "always" if reason.is_empty() => {
                approvals.tools.insert(call.name.clone());
                return Approval::Yes;
            }
            "n" | "no" => return Approval::No(reason.trim().to_owned()),
            "" => {}
            _ if line.len() > 3 => return Approval::No(line.to_owned()),
            _ => say(&format!("{}\n", dim("answer y, a or n", color))),
        }
    }
}

/// Asks a question that only `y` and `yes` agree to.
pub fn confirm(ui: &Ui, question: &str) -> Anyhow<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        bail!("nobody is there to say yes: add --yes, or --dry-run to see what it would do");
    }
    let choices = "[y]es or [n]o:";
    let plain = format!("{question} {choices} ");
    let styled = format!("{} {choices} ", strong(question, ui.color_err));
    match read(&plain, &styled) {
        Ok(line) => Ok(["y", "yes"].contains(&line.trim().to_lowercase().as_str())),
        Err(_) => Ok(false),
    }
}

/// Reads a line from the terminal itself, wherever the output goes. Ctrl-C is a key here, and heard at once.
fn read(plain: &str, styled: &str) -> Result<String, ReadlineError> {
    let config = Config::builder().behavior(Behavior::PreferTerm).build();
    let mut editor: Editor<(), DefaultHistory> = Editor::with_config(config)?;
    editor.readline(&(plain, styled))
}

/// Colours the lines that a diff adds and removes.
fn colored(preview: &str, color: bool) -> String {
    let is_diff = preview.starts_with("--- ") || preview.starts_with("new file ");
    let line = |line: &str| {
        let shown = visible(line);
        match line.as_bytes().first() {
            Some(b'+') if is_diff => good(&shown, color),
            Some(b'-') if is_diff => alarm(&shown, color),
            _ => shown,
        }
    };
    preview.lines().map(line).collect::<Vec<_>>().join("\n")
}
