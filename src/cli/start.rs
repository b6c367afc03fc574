//! How flags, the environment and the settings become a store, a provider and a chat.

use std::io::{self, IsTerminal};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::runtime::Runtime;

use super::{ChatArgs, Cli, Sub, import, upkeep};
use crate::chat::{Chat, Memory, SearchMemory, Settings};
use crate::config::Config;
use crate::embedder::{Lazy, Source};
use crate::provider::{self, Kind, Provider, ProviderError};
use crate::repl::{Outcome, Repl};
use crate::store::{self, Store, Whom};
use crate::tools::{self, Access, Toolbox};
use crate::ui::{Approvals, Ui};

/// The system prompt when none is set.
const SYSTEM: &str = include_str!("../../assets/prompts/system.md");

/// Does what the command line asks for.
pub fn start(cli: Cli, ui: &Ui) -> Result<Outcome> {
    let home = home(cli.global.home.as_deref())?;
    let config = Config::load(&home.join("config.toml"))?;
    let runtime = Runtime::new().context("cannot start the async runtime")?;
    let embedder = cli.global.embedder.as_deref().unwrap_or(&config.embedder);
    let source = Source::parse(embedder, &home.join("embeddings").join("model_cache"))?;
    runtime.block_on(source.fetch(ui.watched()))?;
    let uri = match cli.global.db.filter(|uri| !uri.is_empty()) {
        Some(uri) if uri.contains("://") && !uri.starts_with("file://") => uri,
        Some(path) => {
            let path = path.strip_prefix("file://").unwrap_or(&path);
            absolute(Path::new(path))?.display().to_string()
        }
        None => home.join("lancedb").display().to_string(),
    };
    let options = store::Options {
        home: home.clone(),
        uri,
        embedder: Lazy::new(source),
        redact: config.redact && !matches!(&cli.command, Sub::Chat(args) if args.no_redact),
    };
    match cli.command {
        Sub::History(mut command) => {
            command.or_input(|| {
                if io::stdin().is_terminal() {
                    return Ok(String::new());
                }
                io::read_to_string(io::stdin()).context("cannot read standard input")
            })?;
            let username = username(cli.user)?;
            let asked = runtime.block_on(async {
                if !command.prepare(&options, ui).await? {
                    return Ok(Outcome::Done);
                }
                let memory = remember(options, username, &config, ui).await?;
                tokio::select! {
                    result = command.run(&memory, None, ui) => result.map(|()| Outcome::Done),
                    _ = tokio::signal::ctrl_c() => Ok(Outcome::Interrupted),
                }
            });
            runtime.shutdown_background();
            asked
        }
        Sub::Import(args) => bring_in(args, options, cli.user, runtime, ui),
        Sub::Migrate(args) => bring_in(args.into(), options, cli.user, runtime, ui),
        Sub::Doctor { fix } => runtime.block_on(upkeep::doctor(options, fix, &config, ui)),
        Sub::Chat(args) => {
            let username = username(args.user.clone().or(cli.user))?;
            chat(args, options, username, &config, &home, &runtime, ui)
        }
    }
}

/// Brings a history in, unless Ctrl-C stops it.
fn bring_in(
    args: import::Args,
    options: store::Options,
    user: Option<String>,
    runtime: Runtime,
    ui: &Ui,
) -> Result<Outcome> {
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = import::import(args, options, user, ui) => outcome,
            _ = tokio::signal::ctrl_c() => {
                ui.note("stopped: the same command goes on from here");
                Ok(Outcome::Interrupted)
            }
        }
    });
    runtime.shutdown_background();
    outcome
}

async fn remember(
    options: store::Options,
    username: String,
    config: &Config,
    ui: &Ui,
) -> Result<Memory> {
    let store = Store::open(options).await?;
    let mode = std::fs::metadata(store.home()).map(|home| home.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o077 != 0) {
        ui.warn("others can read your history: `allm doctor --fix` closes its folder");
    }
    let recovered = store.recover().await?;
    if recovered.turns > 0 {
        ui.note(&format!(
            "{} turn{} that {} only in the journal {} stored now",
            recovered.turns,
            if recovered.turns == 1 { "" } else { "s" },
            if recovered.turns == 1 { "was" } else { "were" },
            if recovered.turns == 1 { "is" } else { "are" },
        ));
    }
    for aside in recovered.aside {
        ui.warn(&format!(
            "a journal has lines that cannot be read; it is kept as `{}`",
            aside.display()
        ));
    }
    // What is stored can be read all the same, and the journal keeps what is not.
    if let Some(error) = recovered.failure {
        ui.caution(
            &error.context("some turns are only in the journal, and stored when that works again"),
        );
    }
    Ok(Memory {
        store: Arc::new(store),
        username,
        zone: ui.zone(),
        limit: config.limit,
    })
}

fn chat(
    args: ChatArgs,
    options: store::Options,
    username: String,
    config: &Config,
    home: &Path,
    runtime: &Runtime,
    ui: &Ui,
) -> Result<Outcome> {
    let embedder = options.embedder.clone();
    // The model is read while the person types; whoever needs it first waits for it.
    std::thread::spawn(move || drop(embedder.get().map(drop)));
    let chat = runtime.block_on(async {
        let memory = remember(options, username, config, ui).await?;
        upkeep::retain(&memory, config, home, ui).await?;
        converse(&args, memory, config, home, ui).await
    })?;
    let interactive = args.message.is_empty() && io::stdin().is_terminal();
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
        last: None,
        told: false,
        approvals: Approvals::new(args.yes),
    };
    let outcome = if !args.message.is_empty() {
        repl.once(&args.message.join(" "))
    } else if interactive {
        repl.interactive(&home.join("history.txt"))
    } else {
        repl.script(io::stdin())
    };
    runtime.block_on(close(&mut repl.chat, ui));
    outcome
}

/// Waits for what is still done in the background, unless Ctrl-C says not to.
async fn close(chat: &mut Chat, ui: &Ui) {
    const PATIENCE: Duration = Duration::from_secs(1);
    let learning = chat.is_learning();
    let closing = async {
        let closed = chat.close();
        tokio::pin!(closed);
        if let Ok(notice) = tokio::time::timeout(PATIENCE, &mut closed).await {
            return notice;
        }
        if learning && ui.watched() {
            ui.note("drawing the facts from the last answer; Ctrl-C leaves at once");
        }
        closed.await
    };
    let notice = tokio::select! {
        notice = closing => notice,
        _ = tokio::signal::ctrl_c() => None,
    };
    if let Some(notice) = notice {
        ui.warn(&notice);
    }
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
        Arc::new(SearchMemory(memory.clone())),
        Duration::from_secs(config.command_timeout_s),
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
    let connected = provider::connect(&connection(args, config)?).await?;
    if let Some(notice) = connected.notice {
        ui.note(&notice);
    }
    let provider = connected.provider;
    let named = args
        .model
        .clone()
        .or_else(|| Some(config.model.clone()))
        .filter(|model| !model.is_empty());
    let model = match named {
        Some(model) if provider.name() != "offline" => model,
        _ => default_model(provider.as_ref(), config).await?,
    };
    let system = match args.system.as_deref().unwrap_or(&config.system) {
        "" => SYSTEM.trim().to_owned(),
        text => match text.strip_prefix('@') {
            Some(file) => {
                std::fs::read_to_string(file).with_context(|| format!("cannot read `{file}`"))?
            }
            None => text.to_owned(),
        },
    };
    let window = if provider.name() == "openai" {
        config.openai_window
    } else {
        config.ollama_window
    };
    let options = provider::Options {
        temperature: args.temperature.or(config.temperature),
        max_tokens: args.max_tokens.or(config.max_tokens),
        seed: args.seed.or(config.seed),
        top_p: args.top_p.or(config.top_p),
        context_window: window,
    };
    let tools = toolbox(args, &memory, config, home)?;
    let settings = Settings {
        provider,
        model,
        options,
        system,
        tools,
        react: args.react.unwrap_or(config.react),
        max_steps: args.max_steps.map_or(config.max_steps.max(1), usize::from),
        recall: args.recall.map_or(config.recall, usize::from),
        recall_floor: config.recall_floor,
        facts: args.facts || config.facts,
    };
    let mut chat = Chat::new(memory, settings);
    chat.set_private(args.private);
    let filter = chat.memory.filter(Whom::Me, None, None).await?;
    let session = match &args.session {
        Some(id) => Some(chat.memory.store.session(&filter, id).await?),
        None if args.go_on => match chat
            .memory
            .store
            .sessions(&filter)
            .await?
            .into_iter()
            .next()
        {
            Some(summary) => Some(summary.session),
            None => bail!("there is no conversation to go on with"),
        },
        None => None,
    };
    if let Some(session) = session {
        let title = session.title.clone().unwrap_or_default();
        let turns = chat.resume(session).await?;
        ui.note(&format!("going on after {turns} turn(s): {title}"));
    }
    Ok(chat)
}

pub fn connection(args: &ChatArgs, config: &Config) -> Result<provider::Settings> {
    let kind = match args
        .provider
        .as_deref()
        .filter(|name| !name.is_empty())
        .unwrap_or(&config.provider)
    {
        "auto" => Kind::Auto,
        "ollama" => Kind::Ollama,
        "openai" => Kind::OpenAi,
        "offline" => Kind::Offline,
        other => bail!("there is no provider `{other}`: choose auto, ollama, openai or offline"),
    };
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    Ok(provider::Settings {
        kind,
        base_url: args.base_url.clone(),
        ollama_url: variable("OLLAMA_HOST").unwrap_or_else(|| config.ollama_url.clone()),
        openai_url: variable("OPENAI_BASE_URL").unwrap_or_else(|| config.openai_url.clone()),
        openai_key: variable("OPENAI_API_KEY"),
        connect_timeout: Duration::from_secs(config.connect_timeout_s),
        idle_timeout: Duration::from_secs(config.idle_timeout_s),
        retries: config.retries,
    })
}

async fn default_model(provider: &dyn Provider, config: &Config) -> Result<String> {
    let models = provider.models().await?;
    let preferred = models
        .iter()
        .find(|model| provider.name() == "openai" && **model == config.openai_model);
    match preferred.or(models.first()) {
        Some(model) => Ok(model.clone()),
        None => Err(ProviderError::NoModel {
            provider: if provider.name() == "ollama" {
                "Ollama"
            } else {
                "the server"
            },
        }
        .into()),
    }
}

fn home(named: Option<&Path>) -> Result<PathBuf> {
    // An empty variable is as good as none.
    match named.filter(|home| !home.as_os_str().is_empty()) {
        Some(home) => absolute(home),
        None => match std::env::home_dir() {
            Some(home) if home.is_absolute() => Ok(home.join(".abstractllm")),
            _ => bail!("cannot find your home directory: name one with `--home`"),
        },
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path)
        .with_context(|| format!("cannot use `{}` as a folder", path.display()))
}

pub fn username(named: Option<String>) -> Result<String> {
    match named.filter(|name| !name.trim().is_empty()) {
        Some(name) => store::username(&name),
        None => {
            whoami::username().context("cannot find out your user name: give one with `--user`")
        }
    }
}
