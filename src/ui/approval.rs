//! The question whether a tool may do what it is about to do.

use std::io::{self, IsTerminal};
use std::sync::LazyLock;

use anyhow::{Result as Anyhow, bail};
use regex::{Captures, Regex};
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Behavior, Config, Editor};

use super::theme::{alarm, dim, good, strong, visible};
use super::{Ui, say, unread};
use crate::agent::Approval;
use crate::conversation::{ToolCall, cut};
use crate::tools::{Cover, Preview};

/// Previews of more lines or characters than these may push their own beginning off the screen.
const SCREEN: (usize, usize) = (20, 1500);
/// How much of the beginning of a long preview is shown again right above the question: lines, and characters of each.
const HEAD: (usize, usize) = (3, 160);
/// How many empty lines in a row are shown as they are.
const EMPTY: usize = 5;

/// Shows what a call would do.
pub fn show(ui: &Ui, preview: &Preview) {
    say(&format!("{}\n", shown(&preview.text, ui.color_err)));
}

/// Shows a call and asks whether it may run.
pub fn ask(ui: &Ui, call: &ToolCall, preview: &Preview) -> Approval {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Approval::Nobody;
    }
    let color = ui.color_err;
    show(ui, preview);
    if let Cover::Call(Some(why)) = preview.cover {
        say(&format!("{}\n", strong(&format!("careful: {why}"), color)));
    }
    let name = visible(&call.name);
    let run = format!("Run {name}?");
    let always = match &preview.cover {
        Cover::Tool => "[a]lways in this chat, ".to_owned(),
        Cover::Commands(_) => format!("[a]lways {} in this chat, ", preview.cover),
        Cover::Command(_) => "[a]lways this very command in this chat, ".to_owned(),
        Cover::Call(_) => String::new(),
    };
    let choices = format!("[y]es, {always}[n]o, or why not:");
    let plain = format!("{run} {choices} ");
    let styled = format!("{} {choices} ", strong(&run, color));
    loop {
        let line = match read(&plain, &styled) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => return Approval::Interrupt,
            // Ctrl-D, or a terminal that is gone: silence is no approval.
            Err(_) => return Approval::No(String::new()),
        };
        let line = line.trim();
        let (first, reason) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let word = first.trim_end_matches([',', ':', '.', ';']).to_lowercase();
        match word.as_str() {
            "y" | "yes" if reason.is_empty() => return Approval::Yes,
            "a" | "always" if reason.is_empty() && !always.is_empty() => {
                let until = format!("until the conversation ends, or `/tools ask {name}`");
                say(&format!("{}\n", dim(&until, color)));
                return Approval::Always;
            }
            "n" | "no" => return Approval::No(reason.trim().to_owned()),
            "" => {}
            _ if line.len() > 3 && word != "always" => return Approval::No(line.to_owned()),
            _ => {
                let letters = match always.is_empty() {
                    true => "y or n",
                    false => "y, a or n",
                };
                say(&format!("{}\n", dim(&format!("answer {letters}"), color)));
            }
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
    unread::forget();
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

/// Returns a preview as it is shown: whole, but for runs of nothing, and with its size and its head at the end if it is long.
fn shown(preview: &str, color: bool) -> String {
    let is_diff = preview.starts_with("--- ") || preview.starts_with("new file ");
    let colored = |line: &str| {
        let shown = marked(line);
        match line.as_bytes().first() {
            Some(b'+') if is_diff => good(&shown, color),
            Some(b'-') if is_diff => alarm(&shown, color),
            _ => shown,
        }
    };
    let lines: Vec<&str> = preview.trim_end_matches('\n').split('\n').collect();
    let is_empty = |line: &str| {
        let line = line.strip_prefix(['+', '-']).unwrap_or(line);
        line.trim().is_empty()
    };
    let mut text = Vec::new();
    for run in lines.chunk_by(|one, next| is_empty(one) == is_empty(next)) {
        if is_empty(run[0]) && run.len() > EMPTY {
            text.push(dim(&format!("[… {} empty lines …]", run.len()), color));
        } else {
            text.extend(run.iter().map(|line| colored(line)));
        }
    }
    if lines.len() > SCREEN.0 || preview.len() > SCREEN.1 {
        let size = format!(
            "{} lines, {} bytes, that begin with",
            lines.len(),
            preview.len()
        );
        text.push(dim(&format!("[… {size} …]"), color));
        let head = lines.iter().take(HEAD.0);
        text.extend(head.map(|line| colored(&cut(line, HEAD.1))));
    }
    text.join("\n")
}

/// Makes visible, beyond what may steer a terminal, what takes no room or only looks like nothing: text could hide in it. Of what emoji are
/// joined with, one each stays.
fn marked(line: &str) -> String {
    static UNSEEN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?x)
            ( \p{Extended_Pictographic} \x{FE0F}? \x{200D}? )
            | [ \p{Default_Ignorable_Code_Point} \p{Cf} \x{2800} ]
            | [\ \t]{81,}",
        )
        .expect("the pattern is well formed")
    });
    let shown = |found: &Captures| match (found.get(1), found[0].chars().next()) {
        (Some(emoji), _) => emoji.as_str().to_owned(),
        (None, Some(' ' | '\t') | None) => format!("[… {} blanks …]", found[0].len()),
        (None, Some(c)) => format!("<U+{:04X}>", u32::from(c)),
    };
    UNSEEN
        .replace_all(&visible(&line.replace('\r', "␍")), shown)
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Finding L6.
    #[test]
    fn a_preview_hides_nothing() {
        assert_eq!(
            marked("rm\u{200b}\u{61c} \u{e0041}\u{fe0f}x\u{2800}\r\u{202e}\x1b"),
            "rm<U+200B><U+061C> <U+E0041><U+FE0F>x<U+2800>␍<U+202E>␛"
        );
        assert_eq!(
            marked("naïve 東京 👩\u{200d}💻 ⚠\u{fe0f}"),
            "naïve 東京 👩\u{200d}💻 ⚠\u{fe0f}"
        );
        let far = format!("$ ls{}; rm -r .", " ".repeat(500));
        assert_eq!(marked(&far), "$ ls[… 500 blanks …]; rm -r .");
    }

    // Finding L6.
    #[test]
    fn a_long_preview_ends_with_its_size_and_its_head() {
        let command = format!("$ rm -r .{}\necho done", "\n".repeat(500));
        assert_eq!(
            shown(&command, false),
            "$ rm -r .\n[… 500 empty lines …]\necho done\n[… 502 lines, 519 bytes, that begin with …]\n$ rm -r .\n\n"
        );
        let file = format!("new file a\n{}+x", "+\n".repeat(400));
        let file = shown(&file, false);
        assert!(
            file.starts_with("new file a\n[… 400 empty lines …]\n+x\n[… 402 lines, "),
            "{file}"
        );
        assert_eq!(shown("$ ls\n\npwd\n", false), "$ ls\n\npwd");
    }
}
