//! Long output on a terminal: a screen at a time, with the pager that the person uses.

use std::io::{self, IsTerminal, Write};
use std::process::{Child, Command, Stdio};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use unicode_width::UnicodeWidthStr;

use super::theme::is_dumb;
use super::unread::as_usual;

/// Shows a text in the pager where it is longer than the screen and somebody is there to turn its pages. Returns whether it was shown.
pub fn show(text: &str) -> bool {
    if !is_watched() || is_dumb() || !is_long(text) {
        return false;
    }
    match chosen(|name| std::env::var(name).ok()) {
        Some(pager) => as_usual(|| heard_by_pager(|| run(&pager, text))),
        None => false,
    }
}

/// Returns whether a person types, and sees what comes of it.
pub fn is_watched() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Returns the pager, unless none is wanted.
fn chosen(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.trim().is_empty());
    if is_set("NO_PAGER") {
        return None;
    }
    let pager = variable("PAGER").unwrap_or_else(|| "less".to_owned());
    Some(pager.trim().to_owned()).filter(|pager| !pager.is_empty() && pager != "cat")
}

/// Returns whether a text takes more rows than the screen has.
fn is_long(text: &str) -> bool {
    let Some((width, height)) = terminal_size::terminal_size() else {
        return false;
    };
    rows(text, usize::from(width.0)) >= usize::from(height.0)
}

/// Returns how many rows a text takes on a screen of so many columns.
fn rows(text: &str, width: usize) -> usize {
    let row = |line: &str| {
        // Colour takes no room.
        let mut parts = line.split('\x1b');
        let first = parts.next().map_or(0, UnicodeWidthStr::width);
        let rest = parts.filter_map(|part| part.split_once('m'));
        let columns = first + rest.map(|(_, text)| text.width()).sum::<usize>();
        columns.div_ceil(width.max(1)).max(1)
    };
    text.lines().map(row).sum()
}

/// Runs a pager on a text; returns false where it cannot be run.
fn run(pager: &str, text: &str) -> bool {
    let mut command = Command::new("sh");
    command.args(["-c", pager]).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        // Colours are shown, and what is read stays on the screen.
        command.env("LESS", "FRX");
    }
    let Ok(mut child) = command.spawn() else {
        return false;
    };
    // Whoever has seen enough leaves before the end.
    drop(hand_over(&mut child, text));
    let cannot_run = [126, 127];
    let code = child.wait().ok().and_then(|status| status.code());
    code.is_none_or(|code| !cannot_run.contains(&code))
}

fn hand_over(child: &mut Child, text: &str) -> io::Result<()> {
    match child.stdin.take() {
        Some(mut pipe) => writeln!(pipe, "{text}"),
        None => Ok(()),
    }
}

/// Does something while Ctrl-C is for the pager alone, and ends nothing here.
fn heard_by_pager<T>(work: impl FnOnce() -> T) -> T {
    let own = match Handle::try_current() {
        Ok(_) => None,
        Err(_) => Builder::new_current_thread().enable_all().build().ok(),
    };
    let _entered = own.as_ref().map(Runtime::enter);
    let _heard = signal(SignalKind::interrupt());
    work()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pager_is_the_persons_or_none() {
        for (variables, expected) in [
            (&[][..], Some("less")),
            (&[("PAGER", "less -S")], Some("less -S")),
            (&[("PAGER", "")], None),
            (&[("PAGER", " cat ")], None),
            (&[("PAGER", "more"), ("NO_PAGER", "1")], None),
            (&[("PAGER", "more"), ("NO_PAGER", "")], Some("more")),
        ] {
            let variable = |name: &str| {
                let set = variables.iter().find(|(set, _)| *set == name);
                set.map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(chosen(variable).as_deref(), expected, "{variables:?}");
        }
    }

    #[test]
    fn rows_are_counted_as_they_are_shown() {
        assert_eq!(rows("a\n\nb", 10), 3);
        assert_eq!(rows("0123456789x", 10), 2);
        assert_eq!(rows("\x1b[1m0123456789\x1b[0m", 10), 1);
        assert_eq!(rows("東京東京東京", 10), 2);
    }
}
