//! Chooses a provider: the one that is named, or whichever answers.

use std::sync::Arc;
use std::time::Duration;

use super::url::shown;
use super::{Connected, Kind, Offline, Ollama, OpenAi, Provider, ProviderError, Settings, ollama};

/// How long a server may take to show that it is there.
const PROBE: Duration = Duration::from_secs(1);

/// Connects to the provider that the settings name. For [`Kind::Auto`]: OpenAI when there is a key, else Ollama when it answers, else
/// nobody, with a notice.
pub async fn connect(settings: &Settings) -> Result<Connected, ProviderError> {
    let base = settings.base_url.as_deref();
    let ollama = |url: &str| Ollama::new(url, settings);
    let found = |provider: Arc<dyn Provider>| {
        Ok(Connected {
            provider,
            notice: None,
        })
    };
    match (settings.kind, base) {
        (Kind::Ollama, _) => found(Arc::new(ollama(base.unwrap_or(&settings.ollama_url))?)),
        (Kind::OpenAi, _) => found(Arc::new(OpenAi::new(
            base.unwrap_or(&settings.openai_url),
            settings,
        )?)),
        (Kind::Offline, _) => found(Arc::new(Offline)),
        (Kind::Auto, _) if settings.openai_key.is_some() => found(Arc::new(OpenAi::new(
            base.unwrap_or(&settings.openai_url),
            settings,
        )?)),
        (Kind::Auto, Some(base)) => {
            let ollama = ollama(base)?;
            match ollama.models().await {
                Ok(_) => found(Arc::new(ollama)),
                // It is there but speaks something else.
                Err(ProviderError::Unreachable { url, reason, .. }) => {
                    Err(ProviderError::Unreachable {
                        provider: "the server",
                        url,
                        reason,
                    })
                }
                Err(_) => found(Arc::new(OpenAi::new(base, settings)?)),
            }
        }
        (Kind::Auto, None) => {
            let ollama = ollama(&settings.ollama_url)?;
            let url = shown(&ollama::base_url(&settings.ollama_url));
            let missing = match probe(&ollama).await {
                Ok(models) if !models.is_empty() => return found(Arc::new(ollama)),
                Ok(_) => "Ollama has no model yet (`ollama pull llama3.2` fetches one)".to_owned(),
                Err(_) => format!("no Ollama at `{url}` and no `OPENAI_API_KEY`"),
            };
            Ok(Connected {
                provider: Arc::new(Offline),
                notice: Some(format!(
                    "{missing}, so answers are quoted from your history"
                )),
            })
        }
    }
}

async fn probe(ollama: &Ollama) -> Result<Vec<String>, ProviderError> {
    let stalled = ProviderError::Stalled {
        provider: "Ollama",
        seconds: PROBE.as_secs(),
    };
    tokio::time::timeout(PROBE, ollama.models())
        .await
        .unwrap_or(Err(stalled))
}
