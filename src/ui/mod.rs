//! Draws: the only place that writes to the terminal. Data goes to stdout, talk to stderr.

mod approval;
mod fit;
mod hits;
mod json;
mod list;
mod lists;
mod live;
mod moves;
mod pager;
mod progress;
mod report;
mod sessions;
mod settings;
mod slips;
mod table;
mod talk;
mod theme;
mod unread;
mod waiting;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use anyhow::Result;
use serde_json::Value;

pub use json::Names;
pub use lists::listed;
pub use live::Live;
pub use pager::is_watched;
pub use progress::Bar;
pub use sessions::Matches;
pub use settings::Setting;
pub use slips::suggestion;
pub use talk::Talk;
pub use theme::is_dumb;
pub use theme::{clipped, visible, width as columns};
pub use unread::Unread;

use crate::chat::{Chat, Ended, Quotes};
use crate::conversation::Step;
use crate::store::{self, Around, CycleHit, Fact, Found, Hit, Interaction};
use crate::timeframe::{BEGINNING, Bound, Range, Zone};
use theme::Look;

/// Says when to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// Writes what a person, or a program, is to see.
#[derive(Debug, Clone)]
pub struct Ui {
    /// One JSON object for each command and turn, instead of text.
    pub json: bool,
    /// How much is said beside answers.
    talk: Talk,
    color_err: bool,
    /// How what goes to stdout looks.
    look: Look,
}

impl Ui {
    /// Looks at the streams and the environment.
    pub fn new(json: bool, color: Color, zone: Zone) -> Ui {
        // https://no-color.org: set and not empty.
        let no_color =
            std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) || is_dumb();
        let colored = |terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !no_color,
        };
        let is_terminal = io::stdout().is_terminal();
        Ui {
            json,
            talk: Talk::default(),
            color_err: colored(io::stderr().is_terminal()),
            look: Look {
                columns: theme::columns(),
                color: colored(is_terminal) && !json,
                zone,
                is_terminal,
                numbered: false,
            },
        }
    }

    /// Returns what draws for a chat, where the rows of a list can be named by their numbers.
    #[must_use]
    pub fn numbered(&self) -> Ui {
        let mut ui = self.clone();
        ui.look.numbered = true;
        ui
    }

    /// Echoes the window that words came to, in the person's zone, and whether it lies ahead.
    pub fn window(&self, from: Bound, until: Bound) {
        let from = from.filter(|from| *from != BEGINNING);
        let shown = |bound: Bound| bound.map(|time| self.look.zone.shown(time));
        match (shown(from), shown(until)) {
            (Some(from), None) => self.note(&format!("only since {from}")),
            (None, Some(until)) => self.note(&format!("only before {until}")),
            (Some(from), Some(until)) => self.note(&format!("only from {from} to {until}")),
            (None, None) => {}
        }
        if from.is_some_and(|from| from > store::now()) {
            self.note("that is still to come");
        }
    }

    /// Writes lines of text to stdout: as they are, but for a terminal visible.
    pub fn print(&self, text: &str) -> Result<()> {
        draw(&self.look.text(text))
    }

    /// Writes a piece of text to stdout: as it is, but for a terminal visible.
    pub fn put(&self, text: &str) -> Result<()> {
        let mut out = io::stdout().lock();
        Ok(out.write_all(self.look.text(text).as_bytes())?)
    }

    /// Writes a piece of JSON to stdout: as it is, but for a terminal with escapes.
    pub fn put_json(&self, json: &str) -> Result<()> {
        let mut out = io::stdout().lock();
        Ok(out.write_all(self.look.json(json).as_bytes())?)
    }

    /// Returns whether stdout is a file, which keeps nobody waiting.
    pub fn fills_file(&self) -> bool {
        let out = io::stdout().as_fd().try_clone_to_owned();
        let metadata = out.and_then(|out| File::from(out).metadata());
        metadata.is_ok_and(|metadata| metadata.is_file())
    }

    /// Writes one JSON object to stdout, on a line of its own.
    pub fn print_json(&self, value: &Value) -> Result<()> {
        write(&self.look.json(&value.to_string()))
    }

    /// Reports an error: with `--json` as an object on stdout, else on stderr.
    pub fn error(&self, error: &anyhow::Error) -> Result<()> {
        if self.json {
            return self.print_json(&report::json(error));
        }
        let text = report::text(error, self.color_err);
        say(&format!("{}\n", theme::folded(&text)));
        Ok(())
    }

    /// Reports that a command was not understood, or shows its help.
    pub fn usage(&self, error: &clap::Error) -> Result<()> {
        if error.use_stderr() {
            return self.error(&report::usage(error));
        }
        let help = error.render();
        self.help(&match self.look.color {
            true => help.ansi().to_string(),
            false => help.to_string(),
        })
    }

    /// Shows a help of ours.
    pub fn help(&self, text: &str) -> Result<()> {
        match self.json {
            true => self.print_json(&serde_json::json!({"type": "help", "text": text})),
            false => draw(text),
        }
    }

    /// Returns whether a person watches stderr, who wants to see progress.
    pub fn watched(&self) -> bool {
        !self.json && self.talk != Talk::Quiet && io::stderr().is_terminal()
    }

    /// Returns the zone in which times are shown.
    pub fn zone(&self) -> Zone {
        self.look.zone
    }

    /// Returns whether stdout takes colour.
    pub fn colored(&self) -> bool {
        self.look.color
    }

    /// Returns the prompt of a chat with a model: plain, and as it is drawn.
    pub fn prompt(&self, model: &str, private: bool) -> (String, String) {
        let private = if private { " (private)" } else { "" };
        let prompt = format!("{}{private} › ", theme::short_name(model));
        let styled = theme::asking(&prompt, self.look.color);
        (prompt, styled)
    }

    /// Shows a line that was typed before its prompt was there.
    pub fn typed(&self, prompt: &str, line: &str) -> Result<()> {
        write(&format!("{prompt}{}", visible(line)))
    }

    /// Shows what a turn came to; the answer itself has been streamed already, unless JSON is asked for.
    pub fn turn(&self, ended: &Ended, username: &str) -> Result<()> {
        if self.json {
            return self.print_json(&json::turn(ended, username));
        }
        Ok(())
    }

    /// Says under an answer when it was, how to name it, what it took, and how full the model's window is, where that is known.
    pub fn footer(&self, interaction: &Interaction, window: Option<(u64, u32)>) {
        self.note(&report::footer(interaction, window, self.look.zone));
    }

    /// Says which words were looked for instead of some that nothing has.
    pub fn instead(&self, instead: &[(String, String)]) {
        for (typed, meant) in instead {
            let (typed, meant) = (theme::one_line(typed), theme::one_line(meant));
            self.note(&format!("nothing has `{typed}`: looked for `{meant}`"));
        }
    }

    /// Shows what a search found, and what stands around it, where that is asked for.
    pub fn hits(
        &self,
        query: &str,
        mode: &str,
        found: &Found,
        around: &[Around],
        explain: bool,
        names: &Names,
    ) -> Result<()> {
        if self.json {
            return self.print_json(&json::search(query, mode, &found.hits, around, names));
        }
        if found.hits.is_empty() {
            self.note("nothing found that is like it; `--min-score 0` shows what is closest");
            return Ok(());
        }
        draw(&hits::hits(&found.hits, around, explain, names, self.look))
    }

    /// Shows the whole interactions and ReAct cycles that are like something.
    pub fn similar(&self, hits: &[Hit], cycles: &[CycleHit], names: &Names) -> Result<()> {
        if self.json {
            return self.print_json(&json::similar(hits, cycles, names));
        }
        if hits.is_empty() && cycles.is_empty() {
            self.note("nothing found");
            return Ok(());
        }
        let mut parts = Vec::new();
        if !hits.is_empty() {
            parts.push(hits::hits(hits, &[], false, names, self.look));
        }
        if !cycles.is_empty() {
            let cycles = table::cycles(cycles, hits.len(), self.look);
            parts.push(format!(
                "ReAct cycles (`/scratchpad ID` shows one)\n{cycles}"
            ));
        }
        draw(&parts.join("\n\n"))
    }

    /// Shows the exact requests of a turn; `raw` leaves them as they were sent.
    pub fn context(&self, interaction: &Interaction, requests: &[String], raw: bool) -> Result<()> {
        if self.json {
            return self.print_json(&json::context(interaction, requests));
        }
        if requests.is_empty() {
            self.note("nothing was sent for this turn");
            return Ok(());
        }
        if raw {
            return draw(&self.look.json(&requests.join("\n")));
        }
        draw(&report::context(requests, self.look))
    }

    /// Shows the steps of a turn.
    pub fn scratchpad(&self, interaction: &Interaction, steps: &[Step]) -> Result<()> {
        if self.json {
            return self.print_json(&json::scratchpad(interaction, steps));
        }
        if steps.is_empty() {
            self.note("this turn was answered without a thought or an action that was recorded");
            return Ok(());
        }
        draw(&report::scratchpad(interaction, steps, self.look))
    }

    /// Shows what is put before the questions from now on.
    pub fn recalled(
        &self,
        interactions: &[Interaction],
        quotes: &Quotes,
        names: &Names,
    ) -> Result<()> {
        if self.json {
            return self.print_json(&json::recalled(interactions, quotes));
        }
        if quotes.ids.is_empty() && !interactions.is_empty() {
            self.warn("nothing of it fits into the model's window");
            return Ok(());
        }
        if interactions.is_empty() {
            self.note("nothing is recalled");
            return Ok(());
        }
        draw(&table::recalled(interactions, quotes, names, self.look))?;
        self.note(&quotes.to_string());
        Ok(())
    }

    /// Shows facts.
    pub fn facts(&self, facts: &[Fact]) -> Result<()> {
        if self.json {
            return self.print_json(&json::facts(facts));
        }
        if facts.is_empty() {
            self.note("no facts; `/facts on` in a chat, or `allm chat --facts`, has them drawn from answers");
            return Ok(());
        }
        draw(&table::facts(facts, self.look))
    }

    /// Shows the tools, which of them the model is offered, and what of them is asked for.
    pub fn tools(&self, chat: &Chat) -> Result<()> {
        if self.json {
            return self.print_json(&json::tools(chat));
        }
        draw(&table::tools(chat, self.look))
    }

    /// Shows the interactions of a window of time.
    pub fn timeframe(
        &self,
        range: &Range,
        interactions: &[Interaction],
        names: &Names,
        more: usize,
    ) -> Result<()> {
        if self.json {
            return self.print_json(&json::timeframe(range, interactions, names, more));
        }
        if interactions.is_empty() {
            self.note("nothing was said in that time");
            return Ok(());
        }
        draw(&table::interactions(interactions, names, self.look))?;
        self.more(more);
        Ok(())
    }

    /// Shows a whole interaction; without requests where these are not known.
    pub fn show(
        &self,
        interaction: &Interaction,
        steps: &[Step],
        requests: Option<&[String]>,
        names: &Names,
    ) -> Result<()> {
        if self.json {
            return self.print_json(&json::show(interaction, steps, requests, names));
        }
        let text = report::interaction(interaction, steps, requests.unwrap_or_default(), self.look);
        draw(&text)
    }
}

/// Shows lines that were drawn for stdout, page by page where they are more than the screen has.
fn draw(drawn: &str) -> Result<()> {
    match pager::show(drawn.trim_end_matches('\n')) {
        true => Ok(()),
        false => write(drawn),
    }
}

/// Writes lines to stdout.
fn write(drawn: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", drawn.trim_end_matches('\n'))?;
    Ok(out.flush()?)
}

/// Writes to stderr. When it is closed nobody listens, and there is nobody to tell.
fn say(text: &str) {
    let mut err = io::stderr().lock();
    drop(err.write_all(text.as_bytes()).and_then(|()| err.flush()));
}
