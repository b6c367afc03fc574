//! Chooses a provider: the one that is named, or whichever answers.

use std::sync::Arc;
use std::time::Duration;

use super::secrets::Secrets;
use super::url::{is_exposed, is_near, shown};
use super::{
    Connected, Kind, Offline, Ollama, OpenAi, Provider, ProviderError, Settings, host, openai,
};

/// How long a server may take to show that it is there.
const PROBE: Duration = Duration::from_secs(1);

/// Connects to the provider that the settings name. For [`Kind::Auto`]: what answers at the base URL, where there is one; else OpenAI
/// when there is a key, a server of its kind that wants none, Ollama, or nobody, with a notice.
pub async fn connect(settings: &Settings) -> Result<Connected, ProviderError> {
    let named = settings.base_url.as_deref();
    match (settings.kind, named) {
        (Kind::Ollama, _) => ollama_at(named.unwrap_or(&settings.ollama_url), settings, true),
        (Kind::OpenAi, _) => openai_at(named.unwrap_or(&settings.openai_url), settings, true),
        (Kind::Offline, _) => Ok(found(Offline)),
        (Kind::Auto, Some(base)) => at(base, settings).await,
        (Kind::Auto, None) if settings.openai_key.is_some() => {
            openai_at(&settings.openai_url, settings, false)
        }
        (Kind::Auto, None) => around(settings).await,
    }
}

fn found(provider: impl Provider + 'static) -> Connected {
    Connected {
        provider: Arc::new(provider),
        notice: None,
        warning: None,
    }
}

fn openai_at(url: &str, settings: &Settings, told: bool) -> Result<Connected, ProviderError> {
    let (sent, warning) = careful(
        &openai::base_url(url),
        settings,
        &Secrets::openai(settings),
        "openai",
        told,
    );
    Ok(Connected {
        warning,
        ..found(OpenAi::new(url, &sent)?)
    })
}

fn ollama_at(url: &str, settings: &Settings, told: bool) -> Result<Connected, ProviderError> {
    let (sent, warning) = careful(
        &host::base_url(url),
        settings,
        &Secrets::ollama(settings),
        "ollama",
        told,
    );
    Ok(Connected {
        warning,
        ..found(Ollama::new(url, &sent)?)
    })
}

/// Returns what a server may be given, and a warning where others may read it on the way: then it is sent only to a server whose kind
/// the person has named.
fn careful(
    url: &str,
    settings: &Settings,
    secrets: &Secrets,
    kind: &str,
    told: bool,
) -> (Settings, Option<String>) {
    if secrets.is_empty() || !is_exposed(url) {
        return (settings.clone(), None);
    }
    let (what, url) = (secrets.origin(), shown(url));
    if told {
        let warning =
            format!("{what} goes to `{url}` in clear text: who listens on the way can read it");
        return (settings.clone(), Some(warning));
    }
    let warning = format!(
        "{what} is not sent to `{url}`, because it would go there in clear text: `--provider {kind}` sends it all the same"
    );
    (bare(settings), Some(warning))
}

/// Returns settings without anything secret.
fn bare(settings: &Settings) -> Settings {
    Settings {
        openai_key: None,
        ollama_key: None,
        openai_headers: Vec::new(),
        ollama_headers: Vec::new(),
        ..settings.clone()
    }
}

/// Finds out without any key what is at a URL, and connects to it.
async fn at(base: &str, settings: &Settings) -> Result<Connected, ProviderError> {
    let ollama = Ollama::new(base, &bare(settings))?;
    match ollama.models().await {
        Ok(_) if ollama.tells_version().await || !lists_as_openai(base, settings).await => {
            ollama_at(base, settings, false)
        }
        // The name of a service, which has nothing at Ollama's port.
        Err(ProviderError::Unreachable { .. })
            if settings.openai_key.is_some()
                && openai::base_url(base).starts_with("https:")
                && !base.contains("://") =>
        {
            openai_at(base, settings, false)
        }
        Err(ProviderError::Unreachable { url, reason, .. }) => Err(ProviderError::Unreachable {
            provider: "the server",
            url,
            reason,
        }),
        // Whoever has a key for Ollama alone means Ollama, as does who has none and names its port or what has nothing of OpenAI's.
        Err(ProviderError::Status {
            status: 401 | 403, ..
        }) if settings.openai_key.is_none()
            && (settings.ollama_key.is_some()
                || looks_like_ollama(base)
                || lacks_openai(base, settings).await) =>
        {
            ollama_at(base, settings, false)
        }
        // It is there but speaks something else.
        Ok(_) | Err(_) => openai_at(base, settings, false),
    }
}

/// Returns whether a URL is of Ollama's own port or service.
fn looks_like_ollama(base: &str) -> bool {
    let url = host::base_url(base);
    let host = url.split("://").last().unwrap_or_default();
    let host = host.split('/').next().unwrap_or_default();
    host.ends_with(":11434") || host.split([':', '.']).any(|part| part == "ollama")
}

/// Returns whether a server has nothing where those of OpenAI's kind list their models.
async fn lacks_openai(base: &str, settings: &Settings) -> bool {
    let Ok(openai) = OpenAi::new(base, &bare(settings)) else {
        return false;
    };
    let listed = openai.models().await;
    matches!(
        listed,
        Err(ProviderError::Status {
            status: 404 | 405,
            ..
        })
    )
}

/// Returns whether a server lists its models in OpenAI's form. Older ones of llama.cpp list them in Ollama's, too, and speak nothing else
/// of it.
async fn lists_as_openai(base: &str, settings: &Settings) -> bool {
    match OpenAi::new(base, &bare(settings)) {
        Ok(openai) => openai.models().await.is_ok_and(|models| !models.is_empty()),
        Err(_) => false,
    }
}

/// Looks for a server that wants no key.
async fn around(settings: &Settings) -> Result<Connected, ProviderError> {
    let mut missing = Vec::new();
    let url = openai::base_url(&settings.openai_url);
    let with_headers = !settings.openai_headers.is_empty();
    if is_near(&url) || with_headers {
        let connected = openai_at(&url, settings, false)?;
        if is_there(connected.provider.as_ref()).await {
            return Ok(connected);
        }
        missing.push(format!("no answer at `{}`", shown(&url)));
    }
    let connected = ollama_at(&settings.ollama_url, settings, false)?;
    match probe(connected.provider.as_ref()).await {
        Some(Ok(models)) if !models.is_empty() => return Ok(connected),
        // It is there and wants a key, or another one, which is to be said.
        Some(Err(
            ProviderError::Unauthorized { .. }
            | ProviderError::Status {
                status: 401 | 403, ..
            },
        )) => return Ok(connected),
        Some(Ok(_)) => {
            missing.push("Ollama has no model yet (`ollama pull llama3.2` fetches one)".to_owned());
        }
        _ => {
            let url = shown(&host::base_url(&settings.ollama_url));
            missing.push(format!("no Ollama at `{url}` and no `OPENAI_API_KEY`"));
        }
    }
    let notice = format!(
        "{}, so answers are quoted from your history",
        missing.join(", ")
    );
    Ok(Connected {
        notice: Some(notice),
        ..found(Offline)
    })
}

/// Returns whether a server shows soon that it is there; it need not list its models.
async fn is_there(provider: &dyn Provider) -> bool {
    match probe(provider).await {
        Some(Ok(_)) => true,
        Some(Err(error)) => !matches!(
            error,
            ProviderError::Unreachable { .. } | ProviderError::Broken { .. }
        ),
        None => false,
    }
}

/// Asks a server for its models, for a short while.
async fn probe(provider: &dyn Provider) -> Option<Result<Vec<String>, ProviderError>> {
    tokio::time::timeout(PROBE, provider.models()).await.ok()
}
