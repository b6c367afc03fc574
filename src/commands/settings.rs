//! `/model`, `/system`, `/temperature`, `/max-tokens`, `/seed`, `/think`, `/tools`: how the chat is answered.

use std::str::FromStr;

use anyhow::{Result, bail};
use clap::ValueEnum as _;
use serde_json::{Value, json};

use crate::chat::Chat;
use crate::config::TEMPERATURE;
use crate::provider::Think;
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
pub struct ModelArgs {
    /// The model to answer from now on
    name: Option<String>,
}

pub async fn model(args: ModelArgs, chat: &mut Chat, ui: &Ui) -> Result<()> {
    let listed = chat.settings.provider.models().await;
    if let Some(name) = args.name {
        // Ollama lists `llama3.2:latest` and takes `llama3.2`; gateways take names that nobody lists.
        let is_listed =
            |model: &String| *model == name || model.strip_suffix(":latest") == Some(&name);
        let unsure = match &listed {
            Ok(models) if models.iter().any(is_listed) => None,
            Ok(models) => Some(format!(
                "the server lists no `{name}`; it has {}",
                models.join(", ")
            )),
            Err(error) => Some(format!(
                "whether it has a model `{name}` is not known: {error}"
            )),
        };
        if let Some(notice) = unsure {
            ui.warn(&notice);
        }
        chat.settings.model = name;
        return ui.setting("model", &json!(chat.settings.model));
    }
    if ui.json {
        let models = listed.as_ref().map_or(Value::Null, |models| json!(models));
        return ui.print_json(
            &json!({"type": "setting", "name": "model", "value": chat.settings.model, "models": models}),
        );
    }
    ui.setting("model", &json!(chat.settings.model))?;
    match listed {
        Ok(models) => ui.print(&models.join("\n")),
        Err(error) => {
            ui.warn(&format!("what else there is is not known: {error}"));
            Ok(())
        }
    }
}

#[derive(Debug, clap::Args)]
pub struct SystemArgs {
    /// The prompt, to the end of the line
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    text: Vec<String>,
}

pub fn system(args: SystemArgs, chat: &mut Chat, ui: &Ui) -> Result<()> {
    if !args.text.is_empty() {
        chat.settings.system = args.text.join(" ");
    }
    ui.setting("system", &json!(chat.settings.system))
}

#[derive(Debug, clap::Args)]
pub struct TemperatureArgs {
    #[arg(allow_negative_numbers = true)]
    value: Option<String>,
}

pub fn temperature(args: TemperatureArgs, chat: &mut Chat, ui: &Ui) -> Result<()> {
    set(
        "temperature",
        args.value,
        &mut chat.settings.options.temperature,
        |value| TEMPERATURE.contains(value),
        "a number from 0 to 2",
        ui,
    )
}

#[derive(Debug, clap::Args)]
pub struct MaxTokensArgs {
    #[arg(allow_negative_numbers = true)]
    value: Option<String>,
}

pub fn max_tokens(args: MaxTokensArgs, chat: &mut Chat, ui: &Ui) -> Result<()> {
    set(
        "max-tokens",
        args.value,
        &mut chat.settings.options.max_tokens,
        |value| *value > 0,
        "a whole number from 1 on",
        ui,
    )
}

#[derive(Debug, clap::Args)]
pub struct SeedArgs {
    #[arg(allow_negative_numbers = true)]
    value: Option<String>,
}

pub fn seed(args: SeedArgs, chat: &mut Chat, ui: &Ui) -> Result<()> {
    set(
        "seed",
        args.value,
        &mut chat.settings.options.seed,
        |_| true,
        "a whole number",
        ui,
    )
}

#[derive(Debug, clap::Args)]
pub struct ThinkArgs {
    #[arg(value_parser = ["on", "off", "low", "medium", "high", "default"])]
    value: Option<String>,
}

pub fn think(args: ThinkArgs, chat: &mut Chat, ui: &Ui) -> Result<()> {
    let think = &mut chat.settings.options.think;
    if let Some(value) = args.value {
        *think = Think::from_str(&value, false).ok();
    }
    ui.setting("think", &json!(think))
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  /tools\n  /tools off run_command\n  /tools on run_command")]
pub struct ToolsArgs {
    /// Whether the model is to be offered a tool
    #[arg(requires = "name")]
    switch: Option<Switch>,
    /// The tool
    name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Switch {
    On,
    Off,
}

pub fn tools(args: ToolsArgs, chat: &mut Chat, ui: &Ui) -> Result<()> {
    if let (Some(switch), Some(name)) = (args.switch, args.name) {
        let tools = &mut chat.settings.tools;
        tools.switch(&name, switch == Switch::On)?;
    }
    ui.tools(&chat.settings.tools)
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /private on\n  /private off\n\nWhat is said in private is written nowhere, and forgotten with `off`."
)]
pub struct PrivateArgs {
    /// Whether nothing is to be recorded
    switch: Option<Switch>,
}

pub fn private(args: PrivateArgs, chat: &mut Chat, ui: &Ui) -> Result<()> {
    if let Some(switch) = args.switch {
        chat.set_private(switch == Switch::On);
    }
    ui.setting("private", &json!(chat.is_private()))
}

fn set<T: FromStr + serde::Serialize>(
    name: &str,
    value: Option<String>,
    option: &mut Option<T>,
    allowed: impl Fn(&T) -> bool,
    expected: &str,
    ui: &Ui,
) -> Result<()> {
    match value.as_deref() {
        None => {}
        Some("default") => *option = None,
        Some(text) => match text.parse().ok().filter(allowed) {
            Some(value) => *option = Some(value),
            None => bail!("`{text}` is no {name}: give {expected}, or `default`"),
        },
    }
    ui.setting(
        name,
        &option.as_ref().map_or(Value::Null, |value| json!(value)),
    )
}
