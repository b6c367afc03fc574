//! Reads lines, from a person at a terminal or from a pipe, and runs each: a command, or a message to the model.

mod early;
mod helper;
mod input;
mod piped;

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Cmd, CompletionType, Config, Editor, EventHandler, KeyCode, KeyEvent, Modifiers};
use tokio::runtime::Runtime;
use unicode_width::UnicodeWidthStr;

use crate::chat::Chat;
use crate::commands::{Command, Flow, History, Line, OUTSIDE, Shown, interrupt, until_interrupted};
use crate::conversation::{Status, counted};
use crate::store::{Hinted, Whom};
use crate::ui::{Live, Ui, Unread, is_dumb};
use helper::{Keys, LineHelper};
use input::{Input, elsewhere, goes_on, parse};

pub use piped::message;

/// Says how a run of the shell ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// A turn or a command failed.
    Failed,
    /// Ctrl-C ended a run that nobody can type into.
    Interrupted,
}

/// Runs lines in a chat.
pub struct Repl<'a> {
    pub chat: Chat,
    pub ui: &'a Ui,
    pub runtime: &'a Runtime,
    /// Whether a script ends with its first failure.
    pub fail_fast: bool,
    /// What was shown last, which commands may mean.
    pub shown: Shown,
    /// What is typed while nobody reads it.
    pub unread: Unread,
}

/// Says what came of one line.
enum Ran {
    Went(Flow),
    Failed,
    Interrupted,
}

impl Repl<'_> {
    /// Talks with a person at a terminal until they leave.
    pub fn interactive(&mut self, history: &Path) -> Result<Outcome> {
        let keys = Keys::default();
        let mut editor = editor(self.ui.colored(), &keys)?;
        // There is no history before the first line.
        drop(editor.load_history(history));
        let (mut early, mut begun) = early::texts(self.unread.lines());
        loop {
            let model = &self.chat.settings.model;
            let prompt = self.ui.prompt(model, self.chat.is_private());
            self.ui.notices(&self.chat.memory.backlog.troubles());
            let read = match early.pop_front() {
                Some(Some(line)) => {
                    self.ui.typed(&prompt.1, &line)?;
                    Ok(line)
                }
                Some(None) => Err(ReadlineError::Eof),
                None => {
                    let columns = editor.dimensions().map_or(0, |(columns, _)| columns.into());
                    if let Some(helper) = editor.helper_mut() {
                        helper.room = (prompt.0.width(), columns);
                    }
                    let typed = std::mem::take(&mut begun) + &self.unread.rest();
                    // Whatever comes of the line, only an answer keeps what is typed from here on.
                    self.unread.keeps(false);
                    editor.readline_with_initial(&prompt, (&typed, ""))
                }
            };
            match read {
                Ok(_) if keys.interrupted() => {}
                Ok(mut line) => {
                    if is_dumb() {
                        let lines = std::mem::take(&mut line);
                        for next in lines.split('\n') {
                            goes_on(&mut line, next);
                        }
                    }
                    if !self.chat.is_private()
                        && let Err(error) = self.remember(&mut editor, &line, history)
                    {
                        self.ui
                            .warn(&format!("cannot write the line history: {error}"));
                    }
                    // In a script they are meant as they stand.
                    if let Some(command) = elsewhere(&line) {
                        let word = line.trim();
                        self.ui.note(&format!(
                            "`{command}` is the command; `\"\"\"{word}\"\"\"` says it to the model"
                        ));
                        continue;
                    }
                    match self.run(&line)? {
                        Ran::Went(Flow::Quit) => return Ok(Outcome::Done),
                        // Ctrl-C takes what runs, and not what was typed.
                        Ran::Interrupted => early::give_back(&mut early, &mut begun),
                        Ran::Went(Flow::Continue) | Ran::Failed => {}
                    }
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(Outcome::Done),
                Err(error) => return Err(error).context("cannot read from the terminal"),
            }
        }
    }

    /// Puts a line into the history that the arrow keys go through, without secrets.
    fn remember(
        &self,
        editor: &mut Editor<LineHelper, FileHistory>,
        line: &str,
        history: &Path,
    ) -> rustyline::Result<()> {
        let line = self.chat.memory.store.cleaned_text(line);
        editor.add_history_entry(line)?;
        editor.append_history(history)
    }

    /// Runs the lines of a script, one after the other.
    pub fn script(&mut self, lines: impl Read + Send + 'static) -> Result<Outcome> {
        let mut outcome = Outcome::Done;
        let mut open = String::new();
        // A read cannot be interrupted, so it waits in a thread of its own, and Ctrl-C is heard here.
        let (sender, mut lines_read) = tokio::sync::mpsc::channel(1);
        std::thread::spawn(move || {
            BufReader::new(lines)
                .split(b'\n')
                .try_for_each(|line| sender.blocking_send(line))
        });
        loop {
            let next = async {
                tokio::select! {
                    biased;
                    () = interrupt() => None,
                    line = lines_read.recv() => Some(line),
                }
            };
            let Some(line) = self.runtime.block_on(next) else {
                return Ok(Outcome::Interrupted);
            };
            let line = line.transpose().context("cannot read standard input")?;
            let ended = line.is_none();
            let line = line.unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            if !ended && goes_on(&mut open, &line) {
                continue;
            }
            match self.run(&std::mem::take(&mut open))? {
                Ran::Went(Flow::Quit) => return Ok(outcome),
                Ran::Went(Flow::Continue) => {}
                Ran::Interrupted => return Ok(Outcome::Interrupted),
                Ran::Failed => {
                    outcome = Outcome::Failed;
                    if self.fail_fast {
                        return Ok(outcome);
                    }
                }
            }
            if ended {
                return Ok(outcome);
            }
            if !self.is_stored() {
                return Ok(Outcome::Interrupted);
            }
        }
    }

    /// Waits until what was said is stored: the next line of a script finds all of it. Returns false when Ctrl-C ended that.
    fn is_stored(&self) -> bool {
        let backlog = &self.chat.memory.backlog;
        let stored = self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = interrupt() => false,
                _ = backlog.done() => true,
            }
        });
        self.ui.notices(&backlog.troubles());
        stored
    }

    /// Answers one message.
    pub fn once(&mut self, message: &str) -> Result<Outcome> {
        if message.trim().is_empty() {
            bail!("there is no message in what was given: leave it out to begin a conversation");
        }
        Ok(match self.say(message)? {
            Ran::Went(_) => Outcome::Done,
            Ran::Failed => Outcome::Failed,
            Ran::Interrupted => Outcome::Interrupted,
        })
    }

    /// Runs one line. An error of the line is reported; what is returned as an error ends the shell.
    fn run(&mut self, line: &str) -> Result<Ran> {
        match parse(line) {
            Input::Blank => Ok(Ran::Went(Flow::Continue)),
            Input::Message(message) => self.say(&message),
            Input::Command(words) => self.command(&words),
        }
    }

    fn command(&mut self, words: &[String]) -> Result<Ran> {
        let name = words[0].trim_start_matches('/');
        if OUTSIDE.contains(&name) {
            self.ui.error(&anyhow::Error::new(Hinted {
                message: format!("`{name}` works outside of a chat"),
                hint: format!("`allm {name} --help` explains it"),
            }))?;
            return Ok(Ran::Failed);
        }
        self.unread.keeps(false);
        let line = match Line::read(words) {
            Ok(line) => line,
            Err(error) => {
                self.ui.usage(&error)?;
                return Ok(if error.use_stderr() {
                    Ran::Failed
                } else {
                    Ran::Went(Flow::Continue)
                });
            }
        };
        let erases = matches!(
            &line.command,
            Command::History(History::Forget(_) | History::Cleanup(_))
        );
        let session = self.chat.session_id().to_owned();
        let (chat, ui, shown) = (&mut self.chat, self.ui, &mut self.shown);
        let store = Arc::clone(&chat.memory.store);
        let running = until_interrupted(line.command.run(chat, shown, ui), &store, ui);
        let ran = self.runtime.block_on(running);
        if erases || self.chat.session_id() != session {
            self.shown.last = self.runtime.block_on(latest(&self.chat)).unwrap_or(None);
        }
        match ran {
            None => Ok(Ran::Interrupted),
            Some(Ok(flow)) => Ok(Ran::Went(flow)),
            Some(Err(error)) => {
                self.report(&error, error.downcast_ref::<io::Error>())?;
                Ok(Ran::Failed)
            }
        }
    }

    fn say(&mut self, message: &str) -> Result<Ran> {
        let watched = self.ui.watched();
        self.unread.keeps(true);
        self.space();
        // Before anything shows that something is waited for.
        let ctrl_c = {
            let _within = self.runtime.enter();
            interrupt()
        };
        let mut live = Live::new(self.ui, &mut self.unread);
        if !self.chat.settings.stream {
            live.hold();
        }
        let ended = self
            .runtime
            .block_on(self.chat.turn(message, &mut live, ctrl_c));
        let interrupted =
            matches!(&ended, Ok(ended) if ended.interaction.status == Status::Interrupted);
        let shown = live.finish(interrupted);
        let ended = match ended {
            Ok(ended) => ended,
            Err(error) => {
                self.report(&error, None)?;
                return Ok(Ran::Failed);
            }
        };
        shown?;
        if !ended.private {
            self.shown.last = Some(ended.interaction.interaction_id.clone());
        }
        if ended.redacted > 0 {
            let secrets = counted(ended.redacted, "secret");
            self.ui.note(&format!(
                "{secrets} left out of what is stored; --no-redact keeps them"
            ));
        }
        let status = ended.interaction.status;
        self.ui.turn(&ended, &self.chat.memory.username)?;
        if watched && ended.private {
            self.ui.note("in private: nothing of this is recorded");
        } else if watched {
            self.ui.footer(&ended.interaction, ended.window);
        }
        self.ui.took(&ended.interaction, &ended.steps);
        if let Some(failure) = ended.failure.filter(|_| !self.ui.json) {
            self.ui.error(&failure.into())?;
        }
        self.space();
        Ok(match status {
            Status::Completed => Ran::Went(Flow::Continue),
            Status::Interrupted => Ran::Interrupted,
            Status::Failed => Ran::Failed,
        })
    }

    /// Sets an answer apart from what was typed before it and is typed after it.
    fn space(&self) {
        if self.unread.is_hushed() && self.ui.watched() {
            self.ui.note("");
        }
    }

    /// Reports an error of a line; a closed stdout ends the shell.
    fn report(&self, error: &anyhow::Error, io: Option<&io::Error>) -> Result<()> {
        match io {
            Some(io) if io.kind() == io::ErrorKind::BrokenPipe => {
                Err(io::Error::from(io::ErrorKind::BrokenPipe).into())
            }
            _ => self.ui.error(error),
        }
    }
}

/// Returns what edits lines.
fn editor(color: bool, keys: &Keys) -> Result<Editor<LineHelper, FileHistory>> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .auto_add_history(false)
        // The default keeps a hundred lines.
        .max_history_size(usize::MAX)?
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(LineHelper::new(color, keys.clone())));
    for key in [
        KeyEvent(KeyCode::Enter, Modifiers::ALT),
        KeyEvent::ctrl('J'),
    ] {
        editor.bind_sequence(key, Cmd::Newline);
    }
    for key in Keys::heard() {
        editor.bind_sequence(key, EventHandler::Conditional(Box::new(keys.clone())));
    }
    Ok(editor)
}

/// Returns the id of the last turn of the conversation.
async fn latest(chat: &Chat) -> Result<Option<String>> {
    let memory = &chat.memory;
    let filter = memory.filter(Whom::Me, None, None).await?;
    let filter = filter.in_session(chat.session_id());
    let turns = memory.store.interactions_in(&filter, Some(1)).await?;
    Ok(turns.into_iter().next().map(|turn| turn.interaction_id))
}
