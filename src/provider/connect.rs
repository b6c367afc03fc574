//! Chooses a provider: the one that is named, or whichever answers.

use std::sync::Arc;
use std::time::Duration;

use super::url::{is_exposed, is_loopback, shown};
use super::{
    Connected, Kind, Offline, Ollama, OpenAi, Provider, ProviderError, Settings, ollama, openai,
};

/// How long a server may take to show that it is there.
const PROBE: Duration = Duration::from_secs(1);

/// Connects to the provider that the settings name. For [`Kind::Auto`]: what answers at the base URL, where there is one; else OpenAI
/// when there is a key, a server of its kind that wants none, Ollama, or nobody, with a notice.
pub async fn connect(settings: &Settings) -> Result<Connected, ProviderError> {
    let named = settings.base_url.as_deref();
    match (settings.kind, named) {
        (Kind::Ollama, _) => {
            let url = named.unwrap_or(&settings.ollama_url);
            Ok(found(Ollama::new(url, settings)?))
        }
        (Kind::OpenAi, _) => told(named.unwrap_or(&settings.openai_url), settings),
        (Kind::Offline, _) => Ok(found(Offline)),
        (Kind::Auto, Some(base)) => at(base, settings).await,
        (Kind::Auto, None) if settings.openai_key.is_some() => {
            untold(&settings.openai_url, settings)
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

/// Connects to a server that the person calls OpenAI-compatible; it gets the key.
fn told(url: &str, settings: &Settings) -> Result<Connected, ProviderError> {
    let connected = found(OpenAi::new(url, settings)?);
    let warning = key_at_risk(url, settings).map(|url| {
        format!(
            "`OPENAI_API_KEY` goes to `{url}` in clear text: who listens on the way can read it"
        )
    });
    Ok(Connected {
        warning,
        ..connected
    })
}

/// Connects to a server that nobody has called OpenAI-compatible; the key does not go where it can be read on the way.
fn untold(url: &str, settings: &Settings) -> Result<Connected, ProviderError> {
    let Some(shown) = key_at_risk(url, settings) else {
        return Ok(found(OpenAi::new(url, settings)?));
    };
    let without_key = Settings {
        openai_key: None,
        ..settings.clone()
    };
    let warning = format!(
        "`OPENAI_API_KEY` is not sent to `{shown}`, because it would go there in clear text: `--provider openai` sends it all the same"
    );
    Ok(Connected {
        warning: Some(warning),
        ..found(OpenAi::new(url, &without_key)?)
    })
}

/// Returns the URL, as it is shown, where sending the key to it would let others read it.
fn key_at_risk(url: &str, settings: &Settings) -> Option<String> {
    let url = openai::base_url(url);
    (settings.openai_key.is_some() && is_exposed(&url)).then(|| shown(&url))
}

/// Finds out without the key what is at a URL, and connects to it.
async fn at(base: &str, settings: &Settings) -> Result<Connected, ProviderError> {
    let ollama = Ollama::new(base, settings)?;
    match ollama.models().await {
        Ok(_) => Ok(found(ollama)),
        // The name of a service, which has nothing at Ollama's port.
        Err(ProviderError::Unreachable { .. })
            if settings.openai_key.is_some()
                && openai::base_url(base).starts_with("https:")
                && !base.contains("://") =>
        {
            untold(base, settings)
        }
        Err(ProviderError::Unreachable { url, reason, .. }) => Err(ProviderError::Unreachable {
            provider: "the server",
            url,
            reason,
        }),
        // It is there but speaks something else.
        Err(_) => untold(base, settings),
    }
}

/// Looks for a server that wants no key.
async fn around(settings: &Settings) -> Result<Connected, ProviderError> {
    let mut missing = Vec::new();
    let url = openai::base_url(&settings.openai_url);
    if is_loopback(&url) || is_exposed(&url) {
        let openai = OpenAi::new(&url, settings)?;
        if probe(&openai).await.is_some() {
            return Ok(found(openai));
        }
        missing.push(format!("no answer at `{}`", shown(&url)));
    }
    let ollama = Ollama::new(&settings.ollama_url, settings)?;
    match probe(&ollama).await {
        Some(models) if !models.is_empty() => return Ok(found(ollama)),
        Some(_) => {
            missing.push("Ollama has no model yet (`ollama pull llama3.2` fetches one)".to_owned());
        }
        None => {
            let url = shown(&ollama::base_url(&settings.ollama_url));
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

/// Returns the models of a server that shows soon that it is there.
async fn probe(provider: &dyn Provider) -> Option<Vec<String>> {
    let models = tokio::time::timeout(PROBE, provider.models()).await;
    models.ok()?.ok()
}
