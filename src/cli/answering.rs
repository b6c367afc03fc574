//! Who answers: the server that is named or found, and which of its models.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::args::Server;
use super::opening::{self, connection};
use crate::chat::{Answering, Reach};
use crate::config::Config;
use crate::provider::{self, Provider, ProviderError};
use crate::repl::Outcome;
use crate::ui::Ui;

/// How many models are asked about, at most, before one is chosen.
const MOST_ASKED: usize = 16;

/// How long a chat waits, before it begins, for the list that shows whether there is such a model.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  allm models\n  allm models -p openai --base-url http://127.0.0.1:8080/v1"
)]
pub struct ModelsArgs {
    #[command(flatten)]
    server: Server,
}

/// Lists the models of the server that would answer.
pub async fn models(args: &ModelsArgs, config: &Config, ui: &Ui) -> Result<Outcome> {
    let provider = connected(&args.server, config, ui).await?;
    let models = provider.models().await?;
    if ui.json {
        let (name, server) = (provider.name(), provider.server());
        ui.print_json(
            &json!({"type": "models", "provider": name, "server": server, "models": models}),
        )?;
    } else if models.is_empty() {
        ui.note("the server lists no models");
    } else {
        ui.print(&models.join("\n"))?;
    }
    Ok(Outcome::Done)
}

/// Finds out who answers, and warns of a model that the server does not list.
pub async fn reach(server: &Server, config: &Config, ui: &Ui) -> Result<Answering> {
    let provider = connected(server, config, ui).await?;
    let model = match opening::model(server, config) {
        Some(model) if provider.name() != "offline" => {
            let listed = tokio::time::timeout(PATIENCE, provider.models()).await;
            if let Ok(Ok(models)) = listed {
                ui.unlisted(&model, &models);
            }
            model
        }
        _ => default_model(provider.as_ref(), config).await?,
    };
    ui.reached(provider.name(), provider.server(), &model);
    Ok(answering(provider, model, config))
}

fn answering(provider: Arc<dyn Provider>, model: String, config: &Config) -> Answering {
    let context_window = match provider.name() {
        "openai" => config.openai_window,
        _ => config.ollama_window,
    };
    Answering {
        provider,
        model,
        context_window,
    }
}

/// Returns what a chat asks another server with. A model that was named is of the server before.
pub fn again(config: &Config, ui: &Ui) -> Reach {
    let (config, ui) = (config.clone(), ui.clone());
    Arc::new(move |name, base_url| {
        let (config, ui) = (config.clone(), ui.clone());
        let server = Server {
            provider: Some(name),
            model: None,
            base_url,
        };
        Box::pin(async move {
            let provider = connected(&server, &config, &ui).await?;
            let model = default_model(provider.as_ref(), &config).await?;
            Ok(answering(provider, model, &config))
        })
    })
}

async fn connected(server: &Server, config: &Config, ui: &Ui) -> Result<Arc<dyn Provider>> {
    let connected = provider::connect(&connection(server, config)?).await?;
    if let Some(notice) = connected.notice {
        ui.note(&notice);
    }
    if let Some(warning) = connected.warning {
        ui.warn(&warning);
    }
    Ok(connected.provider)
}

/// Returns the first model that answers messages, as far as the server or the name tells.
async fn default_model(provider: &dyn Provider, config: &Config) -> Result<String> {
    let models = match provider.models().await {
        Ok(models) => models,
        // It is there, but lists nothing.
        Err(ProviderError::Status {
            status: 404 | 405 | 501,
            ..
        }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    if provider.name() == "openai" && models.contains(&config.openai_model) {
        return Ok(config.openai_model.clone());
    }
    let (others, likely): (Vec<&String>, Vec<&String>) = models
        .iter()
        .partition(|model| provider::is_called_otherwise(model));
    for model in likely.into_iter().chain(others).take(MOST_ASKED) {
        if provider.told(model).await.chats != Some(false) {
            return Ok(model.clone());
        }
    }
    let server = match provider.name() {
        "ollama" => "Ollama",
        _ => "the server",
    };
    Err(ProviderError::NoModel { provider: server }.into())
}
