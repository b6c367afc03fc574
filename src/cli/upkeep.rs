//! `allm doctor`: what is wrong with the home, the tables, the embedding model and the provider.

use anyhow::Result;

use super::args::Server;
use super::opening::{self, connection};
use crate::config::Config;
use crate::conversation::counted;
use crate::embedder::Lazy;
use crate::provider;
use crate::repl::Outcome;
use crate::store::{self, Finding, Options, State};
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  allm doctor\n  allm doctor --fix\n\nWithout --fix nothing is changed. What --fix sets aside is kept in the home, in `aside`."
)]
pub struct Args {
    /// Repair what can be
    #[arg(long)]
    fix: bool,
    /// Go back to an earlier version of a table without asking, also where that one has fewer rows
    #[arg(long, requires = "fix")]
    yes: bool,
    #[command(flatten)]
    server: Server,
}

/// Examines everything, and with `--fix` repairs what can be.
pub async fn doctor(options: Options, args: Args, config: &Config, ui: &Ui) -> Result<Outcome> {
    let embedder = options.embedder.clone();
    // Where nobody is there to ask, nobody agrees.
    let agree = |question: &str| args.yes || ui.confirm(question).unwrap_or(false);
    let mut findings = store::examine(options, args.fix, &agree).await;
    findings.push(model(&embedder));
    findings.push(answers(&args.server, config).await);
    ui.doctor(&findings)?;
    let is_wrong = |finding: &Finding| finding.state == State::Wrong;
    Ok(match findings.iter().any(is_wrong) {
        true => Outcome::Failed,
        false => Outcome::Done,
    })
}

/// Examines the embedding model.
fn model(embedder: &Lazy) -> Finding {
    let embedded = embedder.get().and_then(|embedder| {
        embedder.embed(&["a text"])?;
        Ok(embedder.description())
    });
    match embedded {
        Ok(about) => {
            let detail = format!("{}: {about}", embedder.name());
            Finding::new("embedding model", State::Fine, detail)
        }
        Err(error) => Finding::new("embedding model", State::Wrong, format!("{error:#}")),
    }
}

/// Examines the provider, as a chat would find it; that there is none is no fault.
async fn answers(server: &Server, config: &Config) -> Finding {
    let what = "provider";
    let asked = async {
        let connected = provider::connect(&connection(server, config)?).await?;
        let name = connected.provider.name();
        let models = connected.provider.models().await?;
        let found = format!("{name}, {}", counted(models.len(), "model"));
        let named = opening::model(server, config).filter(|_| name != "offline");
        anyhow::Ok(match named {
            Some(model) if !provider::is_listed(&model, &models) => Finding::new(
                what,
                State::Odd,
                format!("{found}; `{model}` is none of them"),
            ),
            Some(model) => Finding::new(
                what,
                State::Fine,
                format!("{found}; `{model}` is one of them"),
            ),
            None => Finding::new(what, State::Fine, found),
        })
    };
    match asked.await {
        Ok(finding) => finding,
        Err(error) => Finding::new(what, State::Odd, format!("{error:#}")),
    }
}
