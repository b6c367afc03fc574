//! Runs commands.

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

use super::list::{Command, History, LiveCommand};
use super::shown::Shown;
use super::{
    export, facts, forget, help, recall, reindex, search, sessions, settings, show, similar, sql,
    stats, timeframe, users,
};
use crate::chat::{Chat, Memory};
use crate::store::{Options, Removing, Store};
use crate::ui::Ui;

/// Says whether the shell goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Continue,
    Quit,
}

/// Does something until Ctrl-C, and returns nothing then. What removes history is not left half done: it is finished first.
pub async fn until_interrupted<T>(
    work: impl Future<Output = T>,
    store: &Store,
    ui: &Ui,
) -> Option<T> {
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            () = interrupt() => {}
        }
        let Removing { step, steps } = store.removing()?;
        ui.note(&format!(
            "finishing, {step} of {steps}: what is half removed would be no use to anyone"
        ));
    }
}

/// Waits for Ctrl-C: what is pressed from this call on counts, whenever somebody begins to wait. It is called within the runtime.
pub fn interrupt() -> impl Future<Output = ()> {
    let heard = signal(SignalKind::interrupt());
    async move {
        match heard {
            Ok(mut heard) => drop(heard.recv().await),
            // Without a handler the signal ends the process, as it does anyway.
            Err(_) => std::future::pending().await,
        }
    }
}

impl History {
    /// Lets a command take what it works on from standard input, where it was not given any.
    pub fn or_input(&mut self, input: impl FnOnce() -> Result<String>) -> Result<()> {
        match self {
            History::Sql(args) => args.or_query(input),
            _ => Ok(()),
        }
    }

    /// Does what has to be done before the store can be opened; returns whether to go on.
    pub async fn prepare(&self, options: &Options, ui: &Ui) -> Result<bool> {
        match self {
            History::Reindex(args) => args.prepare(options, ui).await,
            _ => Ok(true),
        }
    }

    /// Asks the history; `shown` is what was shown before.
    pub async fn run(self, memory: &Memory, shown: &mut Shown, ui: &Ui) -> Result<()> {
        match self {
            History::Search(args) => search::run(args, memory, shown, ui).await,
            History::Timeframe(args) => timeframe::run(args, memory, shown, ui).await,
            History::Similar(args) => similar::run(args, memory, shown, ui).await,
            History::Sql(args) => sql::run(args, memory, ui).await,
            History::Show(args) => show::show(args, memory, shown, ui).await,
            History::Context(args) => show::context(args, memory, shown, ui).await,
            History::Scratchpad(args) => show::scratchpad(args, memory, shown, ui).await,
            History::Facts(args) => facts::run(args, memory, shown, ui).await,
            History::Last(args) => sessions::last(args, memory, shown, ui).await,
            History::Sessions(args) => sessions::run(args, memory, shown, ui).await,
            History::Users(args) => users::users(args, memory, ui).await,
            History::Export(args) => export::run(args, memory, shown, ui).await,
            History::Forget(args) => forget::forget(args, memory, shown, ui).await.map(drop),
            History::Cleanup(args) => forget::cleanup(args, memory, ui).await.map(drop),
            History::Reindex(args) => reindex::run(args, memory, ui).await,
            History::Stats(args) => stats::run(args, memory, ui).await,
        }
    }
}

impl Command {
    /// Runs a command in a chat; `shown` is what was shown before.
    pub async fn run(self, chat: &mut Chat, shown: &mut Shown, ui: &Ui) -> Result<Flow> {
        self.catch_up(chat, ui).await;
        match self {
            Command::History(History::Facts(args)) if args.switch().is_some() => {
                facts::switch(args.switch() == Some(true), chat, ui)?;
            }
            Command::History(History::Export(args)) => {
                export::in_chat(args, chat, shown, ui).await?;
            }
            Command::History(History::Forget(args)) => {
                if forget::forget(args, &chat.memory, shown, ui).await? {
                    chat.reload().await?;
                }
            }
            Command::History(History::Cleanup(args)) => {
                if forget::cleanup(args, &chat.memory, ui).await? {
                    chat.reload().await?;
                }
            }
            Command::History(History::Users(args)) => users::users_in_chat(args, chat, ui).await?,
            Command::History(command) => command.run(&chat.memory, shown, ui).await?,
            Command::Live(command) => return command.run(chat, shown, ui).await,
        }
        Ok(Flow::Continue)
    }
}

impl Command {
    /// Waits until what was said is where the command looks for it.
    async fn catch_up(&self, chat: &Chat, ui: &Ui) {
        let (what, backlog) = (|| Some("storing what was said last"), &chat.memory.backlog);
        match self {
            // These change what is stored: nothing may be on its way.
            Command::History(History::Forget(_) | History::Cleanup(_) | History::Reindex(_)) => {
                ui.wait(what, backlog.done()).await;
            }
            Command::Live(LiveCommand::Help { .. } | LiveCommand::Quit) => {}
            _ => ui.wait(what, backlog.rows()).await,
        }
    }
}

impl LiveCommand {
    /// Acts on the chat.
    async fn run(self, chat: &mut Chat, shown: &Shown, ui: &Ui) -> Result<Flow> {
        match self {
            LiveCommand::Model(args) => settings::model(args, chat, ui).await?,
            LiveCommand::Provider(args) => settings::provider(args, chat, ui).await?,
            LiveCommand::Config => settings::config(chat, ui)?,
            LiveCommand::System(args) => settings::system(args, chat, ui)?,
            LiveCommand::Temperature(args) => settings::temperature(args, chat, ui)?,
            LiveCommand::MaxTokens(args) => settings::max_tokens(args, chat, ui)?,
            LiveCommand::Seed(args) => settings::seed(args, chat, ui)?,
            LiveCommand::Think(args) => settings::think(args, chat, ui)?,
            LiveCommand::Stream(args) => settings::stream(args, chat, ui)?,
            LiveCommand::Tools(args) => settings::tools(args, chat, ui)?,
            LiveCommand::Recall(args) => recall::run(args, chat, shown, ui).await?,
            LiveCommand::Private(args) => settings::private(args, chat, ui)?,
            LiveCommand::User(args) => users::user(args, chat, ui).await?,
            LiveCommand::Resume(args) => sessions::resume(args, chat, shown, ui).await?,
            LiveCommand::History(args) => sessions::history(args, chat, ui).await?,
            LiveCommand::New => {
                chat.renew();
                ui.setting("session", &chat.session_id().into())?;
            }
            LiveCommand::Help { command } => help::run(command.as_deref(), ui)?,
            LiveCommand::Quit => return Ok(Flow::Quit),
        }
        Ok(Flow::Continue)
    }
}
