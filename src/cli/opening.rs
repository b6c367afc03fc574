//! Who, where and with whom: the user, the home, the store and the provider that flags, environment and settings name.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::args::{Global, Server};
use super::secrets;
use crate::chat::Memory;
use crate::config::{Config, PROVIDERS, expanded, home_directory, path_in, variable};
use crate::conversation::counted;
use crate::embedder::{Lazy, Source};
use crate::provider::{self, Kind};
use crate::redact::Redactor;
use crate::store::{self, Backlog, Hinted, Options, Store};
use crate::ui::{Ui, suggestion};

/// Returns the data directory: the one given, that of the environment, else the one below the person's home.
pub fn home(named: Option<PathBuf>) -> Result<PathBuf> {
    let named = named.map_or_else(|| path_in("ALLM_HOME"), |home| Ok(Some(home)))?;
    match named.or_else(|| Some(home_directory()?.join(".abstractllm"))) {
        Some(home) => absolute(&home),
        None => bail!("cannot find your home directory: name one with `--home`"),
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    let context = || format!("cannot use `{}` as a folder", path.display());
    let path = std::path::absolute(path).with_context(context)?;
    // LanceDB takes text for paths, and would make a folder of another name.
    path.to_str()
        .context("its path is no valid UTF-8")
        .with_context(context)?;
    Ok(path)
}

/// Returns who speaks: the name given, that of the environment, else the system's user name.
pub fn username(named: Option<String>) -> Result<String> {
    let is_given = |name: &String| !name.trim().is_empty();
    let set = || variable("ALLM_USER");
    match named.filter(is_given).or_else(set) {
        Some(name) => store::username(&name),
        None => {
            whoami::username().context("cannot find out your user name: give one with `--user`")
        }
    }
}

/// Returns which model embeds the text of the store. It may have to be fetched.
pub fn embedder(global: &Global, home: &Path, config: &Config) -> Result<Source> {
    let named = global.embedder.as_deref().unwrap_or(&config.embedder);
    let named = expanded(Path::new(named))?;
    let cache = home.join("embeddings").join("model_cache");
    Source::parse(&named.to_string_lossy(), &cache)
}

/// Returns where the store is, and what embeds its text.
pub fn options(
    global: &Global,
    home: &Path,
    config: &Config,
    source: Source,
    redact: bool,
    ui: &Ui,
) -> Result<Options> {
    let uri = place(global, home)?;
    Ok(Options {
        redact: match redact {
            true => Redactor::new(secrets::known(config)),
            false => Redactor::off(),
        },
        notice: ui.notice(),
        ..Options::new(home, uri, Lazy::new(source))
    })
}

/// Returns where the tables are.
pub fn place(global: &Global, home: &Path) -> Result<String> {
    let named = global.db.clone().or_else(|| variable("ALLM_DB"));
    let folder = match named.as_deref().filter(|place| !place.is_empty()) {
        None => home.join("lancedb"),
        Some(place) => {
            let path = place.strip_prefix("file://").unwrap_or(place);
            if path.contains("://") {
                return Err(anyhow::Error::new(Hinted {
                    message: format!(
                        "cannot keep the tables at `{place}`: only a folder can hold them"
                    ),
                    hint: "name a folder, such as `--db /data/allm`".to_owned(),
                }));
            }
            absolute(&expanded(Path::new(path))?)?
        }
    };
    Ok(folder.display().to_string())
}

/// Opens the store, and stores what dead processes left in the journal; `later` lets vectors that take long be made meanwhile.
pub async fn remember(
    options: Options,
    later: bool,
    username: String,
    config: &Config,
    ui: &Ui,
) -> Result<Memory> {
    let store = Store::open(options).await?;
    let mode = std::fs::metadata(store.home()).map(|home| home.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o077 != 0) {
        ui.warn("others can read your history: `allm doctor --fix` closes its folder");
    }
    let storing = || Some("storing what was only in the journal");
    let backlog = Backlog::new(&store);
    let catching_up = async {
        match later {
            true => backlog.catch_up(&store).await,
            false => store.catch_up().await,
        }
    };
    let recovered = ui.wait(storing, catching_up).await?;
    if recovered.turns > 0 {
        let (was, is) = match recovered.turns {
            1 => ("was", "is"),
            _ => ("were", "are"),
        };
        let turns = counted(recovered.turns, "turn");
        ui.note(&format!(
            "{turns} that {was} only in the journal {is} stored now"
        ));
    }
    ui.notices(&recovered.aside);
    // What is stored can be read all the same, and the journal keeps what is not.
    if let Some(error) = recovered.failure {
        ui.caution(
            &error.context("some turns are only in the journal, and stored when that works again"),
        );
    }
    if let Some(error) = recovered.unembedded {
        ui.caution(&error.context("some turns are stored but cannot be found by meaning"));
    }
    let user = store.who(&username).await?;
    if user.username != username {
        ui.note(&format!("`{username}` is called `{}` now", user.username));
    }
    Ok(Memory {
        backlog,
        store: Arc::new(store),
        user_id: user.user_id,
        username: user.username,
        zone: ui.zone(),
        limit: config.limit,
    })
}

/// Returns how the provider is to be found.
pub fn connection(server: &Server, config: &Config) -> Result<provider::Settings> {
    let named = given(server.provider.as_ref(), "ALLM_PROVIDER");
    let kind = match named.as_deref().unwrap_or(&config.provider) {
        "auto" => Kind::Auto,
        "ollama" => Kind::Ollama,
        "openai" => Kind::OpenAi,
        "offline" => Kind::Offline,
        other => {
            return Err(anyhow::Error::new(Hinted {
                message: format!("there is no provider `{other}`"),
                hint: suggestion(other, PROVIDERS) + "choose one of " + &PROVIDERS.join(", "),
            }));
        }
    };
    let headers = |provider: &str, others: Kind| match kind {
        Kind::Offline => Ok(Vec::new()),
        kind if kind == others => Ok(Vec::new()),
        _ => secrets::headers(config, provider),
    };
    Ok(provider::Settings {
        kind,
        base_url: server.base_url.clone().filter(|url| !url.is_empty()),
        ollama_url: variable("OLLAMA_HOST").unwrap_or_else(|| config.ollama_url.clone()),
        openai_url: variable("OPENAI_BASE_URL").unwrap_or_else(|| config.openai_url.clone()),
        openai_key: variable(secrets::OPENAI_KEY),
        ollama_key: variable(secrets::OLLAMA_KEY),
        openai_headers: headers("openai", Kind::Ollama)?,
        ollama_headers: headers("ollama", Kind::OpenAi)?,
        connect_timeout: Duration::from_secs(config.connect_timeout_s),
        idle_timeout: Duration::from_secs(config.idle_timeout_s),
        retries: config.retries,
    })
}

/// Returns the model that is named, if one is.
pub fn model(server: &Server, config: &Config) -> Option<String> {
    let named = given(server.model.as_ref(), "ALLM_MODEL");
    named.or_else(|| Some(config.model.clone()).filter(|model| !model.is_empty()))
}

/// Returns what a flag says, else what a variable of the environment says.
fn given(flag: Option<&String>, name: &str) -> Option<String> {
    let flag = flag.filter(|flag| !flag.is_empty()).cloned();
    flag.or_else(|| variable(name))
}
