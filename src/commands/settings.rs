//! `/model`, `/system`, `/temperature`, `/max-tokens`, `/seed`, `/think`, `/stream`, `/tools`: how the chat is answered.

use std::str::FromStr;

use anyhow::{Result, bail};
use clap::ValueEnum as _;
use serde_json::{Value, json};

use crate::chat::Chat;
use crate::config::TEMPERATURE;
use crate::provider::Think;
use crate::ui::{Setting, Ui};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  /model\n  /model llama3.2")]
pub struct ModelArgs {
    /// The model to answer from now on
    name: Option<String>,
}

pub async fn model(args: ModelArgs, chat: &mut Chat, ui: &Ui) -> Result<()> {
    let listed = chat.settings.provider.models().await;
    if let Some(name) = args.name {
        match &listed {
            Ok(models) => ui.unlisted(&name, models),
            Err(error) => ui.warn(&format!(
                "whether it has a model `{name}` is not known: {error}"
            )),
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
#[command(
    after_help = "Examples:\n  /provider\n  /provider ollama\n  /provider openai http://127.0.0.1:8080/v1\n\nThe conversation goes on with the other server. Without a URL it is where the settings say."
)]
pub struct ProviderArgs {
    /// Who is to answer from now on: auto, ollama, openai or offline
    name: Option<String>,
    /// Where the server is
    url: Option<String>,
}

pub async fn provider(args: ProviderArgs, chat: &mut Chat, ui: &Ui) -> Result<()> {
    if let Some(name) = args.name {
        let found = (chat.settings.reach)(name, args.url).await?;
        chat.answer_with(found);
        ui.note(&format!("model: {}", chat.settings.model));
    }
    let settings = &chat.settings;
    ui.provider(settings.provider.name(), settings.provider.server())
}

/// Shows how the chat is answered.
pub fn config(chat: &Chat, ui: &Ui) -> Result<()> {
    let (settings, options) = (&chat.settings, chat.options());
    let rows = [
        ("provider", json!(settings.provider.name())),
        ("server", json!(settings.provider.server())),
        ("model", json!(settings.model)),
        ("system", json!(settings.system)),
        ("temperature", json!(options.temperature)),
        ("max_tokens", json!(options.max_tokens)),
        ("seed", json!(options.seed)),
        ("top_p", json!(options.top_p)),
        ("think", json!(options.think)),
        ("context_window", json!(options.context_window)),
        ("max_steps", json!(settings.max_steps)),
        ("recall", json!(settings.recall)),
        ("facts", json!(settings.facts)),
        ("stream", json!(settings.stream)),
        ("private", json!(chat.is_private())),
        ("user", json!(chat.memory.username)),
    ];
    let setting = |(name, value): (&str, Value)| Setting {
        name: name.to_owned(),
        value,
        origin: String::new(),
    };
    ui.settings(&rows.map(setting))
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /system\n  /system You are a patient teacher of physics.\n  /system default\n\n`default` is the prompt that the chat began with."
)]
pub struct SystemArgs {
    /// The prompt, to the end of the line, or `default`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    text: Vec<String>,
}

pub fn system(args: SystemArgs, chat: &mut Chat, ui: &Ui) -> Result<()> {
    match args.text.join(" ") {
        text if text.is_empty() => {}
        text if text == "default" => {
            chat.settings
                .system
                .clone_from(&chat.settings.default_system);
        }
        text => chat.settings.system = text,
    }
    ui.setting("system", &json!(chat.settings.system))
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  /temperature\n  /temperature 0.2\n  /temperature default")]
pub struct TemperatureArgs {
    /// A number from 0 to 2; or `default`, which leaves it to the server
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
#[command(after_help = "Examples:\n  /max-tokens\n  /max-tokens 1000\n  /max-tokens default")]
pub struct MaxTokensArgs {
    /// A number of tokens; or `default`, which leaves it to the server
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
#[command(after_help = "Examples:\n  /seed\n  /seed 42\n  /seed default")]
pub struct SeedArgs {
    /// A whole number; or `default`, which leaves it to the server
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
#[command(after_help = "Examples:\n  /think\n  /think off\n  /think high\n  /think default")]
pub struct ThinkArgs {
    /// Whether, and how long; or `default`, which leaves it to the server
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
#[command(
    after_help = "Examples:\n  /tools\n  /tools off run_command\n  /tools on run_command\n  /tools ask run_command\n\nWhat was approved for the rest of a conversation ends with it, with `off`, and with `ask`."
)]
pub struct ToolsArgs {
    /// Whether the model is to be offered a tool; `ask` takes back what was approved of it
    #[arg(requires = "name")]
    switch: Option<Tooling>,
    /// The tool
    name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Tooling {
    On,
    Off,
    Ask,
}

pub fn tools(args: ToolsArgs, chat: &mut Chat, ui: &Ui) -> Result<()> {
    if let (Some(switch), Some(name)) = (args.switch, args.name) {
        let tools = &mut chat.settings.tools;
        match switch {
            Tooling::On | Tooling::Off => tools.switch(&name, switch == Tooling::On)?,
            Tooling::Ask if chat.settings.approves_all => {
                bail!("this chat was begun with `--yes`: nothing in it is asked for")
            }
            Tooling::Ask => tools.place(&name).map(drop)?,
        }
        if switch != Tooling::On {
            chat.revoke(&name);
        }
    }
    ui.tools(chat)
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  /stream\n  /stream off\n  /stream on")]
pub struct StreamArgs {
    /// Whether an answer is to be shown as it comes
    switch: Option<Switch>,
}

pub fn stream(args: StreamArgs, chat: &mut Chat, ui: &Ui) -> Result<()> {
    if let Some(switch) = args.switch {
        chat.settings.stream = switch == Switch::On;
    }
    ui.setting("stream", &json!(chat.settings.stream))
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
