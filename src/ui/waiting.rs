//! A sign that something is waited for, with its seconds, and above it the last lines of a command that runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::theme::{dim, fitted, is_dumb};
use super::{Ui, say};
use crate::tools::Heard;

/// How often it is drawn.
const EVERY: Duration = Duration::from_millis(200);
/// How many lines of a command are shown.
const LINES: usize = 3;
/// How much of what a command puts out is kept for them, in bytes.
const KEPT: usize = 4 << 10;

/// Is a sign on stderr that is taken away when it is dropped.
pub struct Waiting {
    bar: ProgressBar,
    output: Arc<Mutex<Vec<u8>>>,
}

impl Ui {
    /// Shows that something is waited for, where somebody watches.
    pub fn waiting(&self) -> Option<Waiting> {
        if !self.watched() || is_dumb() {
            return None;
        }
        let output: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (heard, color) = (Arc::clone(&output), self.color_err);
        let style = ProgressStyle::with_template("{sign}")
            .expect("the form is known to be right")
            .with_key(
                "sign",
                move |state: &ProgressState, to: &mut dyn std::fmt::Write| {
                    let mut lines = last_lines(&locked(&heard));
                    lines.push(sign(state.elapsed()));
                    let lines: Vec<String> = lines.iter().map(|line| dim(line, color)).collect();
                    // Whoever draws has nobody to tell.
                    to.write_str(&lines.join("\n")).ok();
                },
            );
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        bar.set_style(style);
        bar.enable_steady_tick(EVERY);
        Some(Waiting { bar, output })
    }
}

impl Waiting {
    /// Says something above the sign.
    pub fn above(&self, text: &str) {
        self.bar.suspend(|| say(text));
    }

    /// Returns what a command is to tell its output to.
    pub fn heard(&self) -> Heard {
        let output = Arc::clone(&self.output);
        Arc::new(move |bytes| {
            let mut output = locked(&output);
            output.extend_from_slice(&bytes[bytes.len().saturating_sub(KEPT)..]);
            let more = output.len().saturating_sub(KEPT);
            output.drain(..more);
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn locked(output: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sign(waited: Duration) -> String {
    const SIGNS: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
    let turn = waited.as_millis() / EVERY.as_millis();
    let sign = SIGNS[usize::try_from(turn).unwrap_or_default() % SIGNS.len()];
    format!("{sign} {} s", waited.as_secs())
}

/// Returns the last lines that say something, the oldest first, each as it stands on a terminal that has written it.
fn last_lines(output: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(output);
    let written = text.split('\n').rev().filter_map(|line| {
        let line = line.trim_end().rsplit('\r').next().unwrap_or_default();
        (!line.trim().is_empty()).then(|| fitted(line))
    });
    let mut lines: Vec<String> = written.take(LINES).collect();
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_those_that_a_terminal_would_show() {
        let shown = |output: &str| last_lines(output.as_bytes()).join("|");
        assert_eq!(shown(""), "");
        assert_eq!(shown("one\ntwo\n\nthree\nfour\n"), "  two|  three|  four");
        assert_eq!(shown("10%\r50%\rdone\r\n  half"), "  done|    half");
        assert_eq!(shown("\u{1b}[2Jred\tblue"), "  ␛[2Jred    blue");
        let long = shown(&"é".repeat(500));
        assert!(long.ends_with('…') && long.chars().count() < 400, "{long}");
        // It may begin in the middle of a character.
        assert_eq!(last_lines(&"é\nok".as_bytes()[1..]), ["  \u{fffd}", "  ok"]);
    }

    #[test]
    fn the_seconds_are_whole() {
        assert_eq!(sign(Duration::from_millis(300)), "⠙ 0 s");
        assert_eq!(sign(Duration::from_secs(75)), "⠴ 75 s");
    }
}
