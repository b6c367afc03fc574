//! What is done with the store as a whole: `allm doctor`.

use anyhow::Result;

use super::args::ChatArgs;
use super::opening::connection;
use crate::config::Config;
use crate::embedder::Lazy;
use crate::provider;
use crate::repl::Outcome;
use crate::store::{self, Finding, Options, State};
use crate::ui::Ui;

/// Examines everything, and with `fix` repairs what can be.
pub async fn doctor(options: Options, fix: bool, config: &Config, ui: &Ui) -> Result<Outcome> {
    let embedder = options.embedder.clone();
    let mut findings = store::examine(options, fix).await?;
    findings.push(model(&embedder));
    findings.push(server(config).await);
    ui.doctor(&findings)?;
    let is_wrong = |finding: &Finding| finding.state == State::Wrong;
    Ok(match findings.iter().any(is_wrong) {
        true => Outcome::Failed,
        false => Outcome::Done,
    })
}

/// Examines the embedding model.
fn model(embedder: &Lazy) -> Finding {
    let embedded = embedder
        .get()
        .and_then(|embedder| embedder.embed(&["a text"]));
    match embedded {
        Ok(_) => Finding::new("embedding model", State::Fine, embedder.name()),
        Err(error) => Finding::new("embedding model", State::Wrong, format!("{error:#}")),
    }
}

/// Examines the provider; that there is none is no fault.
async fn server(config: &Config) -> Finding {
    let what = "provider";
    let asked = async {
        let connected = provider::connect(&connection(&ChatArgs::default(), config)?).await?;
        let name = connected.provider.name();
        anyhow::Ok(format!(
            "{name}, {} models",
            connected.provider.models().await?.len()
        ))
    };
    match asked.await {
        Ok(detail) => Finding::new(what, State::Fine, detail),
        Err(error) => Finding::new(what, State::Odd, format!("{error:#}")),
    }
}
