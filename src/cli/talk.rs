//! A chat: its model, its tools, and how it begins and ends.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::runtime::Runtime;

use super::args::ChatArgs;
use super::opening::remember;
use super::{answering, retention, secrets};
use crate::chat::{Answering, Chat, Memory, SearchMemory, Settings};
use crate::commands::Shown;
use crate::config::{Config, expanded};
use crate::conversation::short_id;
use crate::provider;
use crate::repl::{self, Outcome, Repl};
use crate::store::{self, Hinted, Whom};
use crate::tools::{self, Access, Toolbox};
use crate::ui::{Ui, Unread};

/// The system prompt when none is set.
const SYSTEM: &str = include_str!("../../assets/prompts/system.md");

/// Talks, until the person leaves or what was to be said is said.
pub fn chat(
    args: ChatArgs,
    options: store::Options,
    username: String,
    config: &Config,
    home: &Path,
    runtime: &Runtime,
    ui: &Ui,
) -> Result<Outcome> {
    let interactive = args.message.is_empty() && io::stdin().is_terminal();
    let mut unread = match interactive {
        true => Unread::of_terminal(runtime),
        false => Unread::default(),
    };
    let embedder = options.embedder.clone();
    // The model is read while the person types; whoever needs it first waits for it.
    std::thread::spawn(move || drop(embedder.get().map(drop)));
    let message = match &args.message[..] {
        [] => None,
        words => match runtime.block_on(repl::message(words, ui))? {
            None => return Ok(Outcome::Interrupted),
            message => message,
        },
    };
    let chat = runtime.block_on(async {
        let memory = remember(options, true, username, config, ui).await?;
        retention::retain(&memory, config, home, &mut unread, ui).await;
        converse(&args, memory, config, home, ui).await
    })?;
    if interactive && !ui.json {
        let (provider, user) = (chat.settings.provider.name(), &chat.memory.username);
        ui.note(&format!(
            "allm {} · {provider} · {user} · /help lists the commands, Ctrl-D leaves",
            env!("CARGO_PKG_VERSION")
        ));
    }
    let mut repl = Repl {
        chat,
        ui,
        runtime,
        fail_fast: args.fail_fast,
        shown: Shown::in_chat(),
        unread,
    };
    let outcome = if let Some(message) = message {
        repl.once(&message)
    } else if interactive {
        repl.interactive(&home.join("history.txt"))
    } else {
        repl.script(io::stdin())
    };
    runtime.block_on(close(&mut repl.chat, ui));
    if interactive && repl.chat.can_go_on() && !ui.json {
        let id = short_id(repl.chat.session_id());
        ui.note(&format!(
            "`allm chat -c` goes on from here, also `allm chat --session {id}`"
        ));
    }
    outcome
}

/// Waits for what is still done in the background, unless Ctrl-C says not to.
async fn close(chat: &mut Chat, ui: &Ui) {
    let backlog = chat.memory.backlog.clone();
    let waits_for = chat.waits_for();
    let notice = tokio::select! {
        notice = ui.wait(waits_for, chat.close()) => notice,
        _ = tokio::signal::ctrl_c() => None,
    };
    if let Some(notice) = notice {
        ui.warn(&notice);
    }
    ui.notices(&backlog.troubles());
}

/// Returns the tools that the model is offered.
fn toolbox(args: &ChatArgs, memory: &Memory, config: &Config, home: &Path) -> Result<Toolbox> {
    let folder = std::env::current_dir().context("cannot find the working directory")?;
    let named: Vec<PathBuf> = config
        .allow_paths
        .iter()
        .chain(&args.allow_path)
        .cloned()
        .collect();
    let mut private = vec![home.to_owned()];
    private.extend(memory.store.folder());
    let mut tools = tools::builtin(
        Access::new(&folder, &named, &private)?,
        Arc::new(SearchMemory::new(memory.clone())),
        Duration::from_secs(config.command_timeout_s),
        secrets::variables(config),
    );
    let chosen = match &args.tools[..] {
        [] => &config.tools[..],
        named => named,
    };
    if args.no_tools {
        tools.clear();
    } else if !chosen.is_empty() {
        tools.choose(chosen)?;
    }
    Ok(tools)
}

async fn converse(
    args: &ChatArgs,
    memory: Memory,
    config: &Config,
    home: &Path,
    ui: &Ui,
) -> Result<Chat> {
    let Answering {
        provider,
        model,
        context_window,
    } = answering::reach(&args.server, config, ui).await?;
    let system = match args.system.as_deref().unwrap_or(&config.system) {
        "" => SYSTEM.trim().to_owned(),
        text => match text.strip_prefix('@') {
            Some(file) => {
                let context = || format!("cannot read `{file}`");
                let file = expanded(Path::new(file)).with_context(context)?;
                std::fs::read_to_string(file).with_context(context)?
            }
            None => text.to_owned(),
        },
    };
    let options = provider::Options {
        temperature: args.temperature.or(config.temperature),
        max_tokens: args.max_tokens.or(config.max_tokens),
        seed: args.seed.or(config.seed),
        top_p: args.top_p.or(config.top_p),
        think: args.think.or(config.think),
        context_window,
    };
    let tools = toolbox(args, &memory, config, home)?;
    let settings = Settings {
        provider,
        model,
        reach: answering::again(config, ui),
        options,
        default_system: system.clone(),
        system,
        tools,
        approves_all: args.yes,
        react: args.react.unwrap_or(config.react),
        max_steps: args.max_steps.map_or(config.max_steps, usize::from),
        recall: args.recall.map_or(config.recall, usize::from),
        recall_floor: config.recall_floor,
        facts: args.facts || config.facts,
        stream: !args.no_stream,
    };
    let mut chat = Chat::new(memory, settings);
    chat.set_private(args.private);
    let filter = chat.memory.filter(Whom::Me, None, None).await?;
    let session = match &args.session {
        Some(id) => Some(chat.memory.store.session_of(&filter, id).await?),
        None if args.go_on => {
            let last = chat.memory.store.last_session(&filter).await?;
            let none = || {
                anyhow!(Hinted {
                    message: "there is no conversation to go on with".to_owned(),
                    hint: "`--session ID` takes any that `allm sessions` lists".to_owned(),
                })
            };
            Some(last.ok_or_else(none)?)
        }
        None => None,
    };
    if let Some(session) = session {
        let title = session.title.clone().unwrap_or_default();
        let resumed = chat.resume(session).await?;
        let exchange = resumed.last.filter(|_| args.message.is_empty());
        ui.goes_on(&title, resumed.turns, exchange.as_ref());
    }
    Ok(chat)
}
