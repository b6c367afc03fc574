//! `allm config`: each setting and where it comes from, and the file in which they are changed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::amended::{with, without};
use super::args::Global;
use super::opening::{place, username};
use super::secrets;
use crate::config::{Config, DEFAULTS, own, variable};
use crate::provider::shown;
use crate::repl::Outcome;
use crate::store::{self, Hinted};
use crate::ui::{Setting, Ui, is_watched, suggestion};

#[derive(Debug, clap::Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "Examples:\n  allm config\n  allm config get model\n  allm config set model llama3.2\n  allm config set tools read_file,current_time\n  allm config unset model\n  allm config edit\n\nA variable of the environment goes before the file, and a flag before both. Keys are never shown; they come from the environment."
)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Print the value of a setting
    Get { name: String },
    /// Put a setting into the file
    Set {
        name: String,
        /// What it is to be; lists with commas. After `--` it may begin with a dash
        #[arg(required = true, allow_negative_numbers = true)]
        value: Vec<String>,
    },
    /// Take a setting out of the file: its default counts again
    Unset { name: String },
    /// Open the file in $VISUAL or $EDITOR
    Edit,
    /// Print where the file is
    Path,
}

/// The settings that a variable of the environment goes before.
const VARIABLES: [(&str, &str); 4] = [
    ("provider", "ALLM_PROVIDER"),
    ("model", "ALLM_MODEL"),
    ("ollama_url", "OLLAMA_HOST"),
    ("openai_url", "OPENAI_BASE_URL"),
];

/// Shows the settings, or changes one.
pub fn run(
    args: Args,
    global: &Global,
    user: Option<String>,
    home: &Path,
    ui: &Ui,
) -> Result<Outcome> {
    let path = home.join("config.toml");
    match args.action {
        None => {
            let mut settings = all(&path, global)?;
            settings.extend(places(global, user, home)?);
            ui.settings(&settings)?;
        }
        Some(Action::Get { name }) => {
            known(&name)?;
            let mut all = all(&path, global)?.into_iter();
            let setting = all.find(|setting| setting.name == name);
            let setting = setting.context("it is one of those that are known")?;
            match (ui.json, setting.value) {
                (true, value) => ui.setting(&name, &value)?,
                (false, Value::Null) => ui.note(&format!("`{name}` is left to the server")),
                (false, Value::String(text)) => ui.print(&text)?,
                (false, value) => ui.print(&value.to_string())?,
            }
        }
        Some(Action::Set { name, value }) => {
            known(&name)?;
            let text = own(&path)?;
            let text = with(&text, &name, &value.join(" "))?;
            write(&path, &text)?;
            said(&name, &path, global, ui)?;
        }
        Some(Action::Unset { name }) => {
            known(&name)?;
            let text = own(&path)?;
            let rest = without(&text, &name)?;
            match rest == text {
                true => ui.note(&format!("`{name}` is not set in the file")),
                false => write(&path, &rest)?,
            }
            said(&name, &path, global, ui)?;
        }
        Some(Action::Edit) => edit(&path)?,
        Some(Action::Path) if ui.json => ui.setting("path", &path.to_string_lossy().into())?,
        Some(Action::Path) => ui.print(&path.to_string_lossy())?,
    }
    Ok(Outcome::Done)
}

/// Says what a setting is now, wherever that comes from.
fn said(name: &str, path: &Path, global: &Global, ui: &Ui) -> Result<()> {
    let mut all = all(path, global)?.into_iter();
    let setting = all.find(|setting| setting.name == name);
    let setting = setting.context("it is one of those that are known")?;
    ui.setting(name, &setting.value)?;
    if setting.origin.starts_with(['$', '-']) {
        ui.warn(&format!(
            "it comes from {}, which goes before the file",
            setting.origin
        ));
    }
    Ok(())
}

/// Returns the names of all settings, in the order of the file that is shipped, which has those without a default as comments.
fn names() -> impl Iterator<Item = &'static str> {
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let lines = DEFAULTS.lines().filter_map(|line| line.split_once(" = "));
    let names = lines.map(|(name, _)| name.trim_start_matches("# "));
    names.filter(move |name| is_name(name))
}

/// Refuses what is no setting.
fn known(name: &str) -> Result<()> {
    if names().any(|known| known == name) {
        return Ok(());
    }
    let near = suggestion(name, names());
    Err(anyhow::Error::new(Hinted {
        message: format!("there is no setting `{name}`"),
        hint: format!("{near}`allm config` lists them"),
    }))
}

/// Returns each setting with its value and where that comes from.
fn all(path: &Path, global: &Global) -> Result<Vec<Setting>> {
    // What is no good is said as everywhere else.
    Config::load(path)?;
    let defaults: toml::Table = toml::from_str(DEFAULTS)?;
    let own: toml::Table = toml::from_str(&own(path)?)?;
    let setting = |name: &str| {
        let set = VARIABLES.iter().find(|(setting, _)| *setting == name);
        let set = set.and_then(|(_, name)| Some((variable(name)?, format!("${name}"))));
        let flag = global.embedder.clone().filter(|_| name == "embedder");
        let flag = flag.map(|value| (value, "--embedder".to_owned()));
        let (value, origin) = match flag.or(set) {
            Some((value, origin)) => (Value::String(value), origin),
            None => match (own.get(name), defaults.get(name)) {
                (Some(value), _) => (serde_json::to_value(value)?, "config.toml".to_owned()),
                (None, Some(value)) => (serde_json::to_value(value)?, "default".to_owned()),
                (None, None) => (Value::Null, "default".to_owned()),
            },
        };
        let value = match value {
            Value::String(url) if name.ends_with("_url") => Value::String(shown(&url)),
            value if name == "headers" => hidden(value),
            value => value,
        };
        Ok(Setting {
            name: name.to_owned(),
            value,
            origin,
        })
    };
    names().map(setting).collect()
}

/// Returns headers without their values, which may be secret.
fn hidden(value: Value) -> Value {
    match value {
        Value::Object(headers) => {
            let headers = headers.into_iter();
            headers.map(|(name, value)| (name, hidden(value))).collect()
        }
        _ => "(not shown)".into(),
    }
}

/// Returns where things are, who speaks, and whether there are keys, which no file says.
fn places(global: &Global, user: Option<String>, home: &Path) -> Result<Vec<Setting>> {
    let origin = |flag: Option<&str>, name: &str| match (flag, std::env::var_os(name)) {
        (Some(flag), _) => flag.to_owned(),
        (None, Some(value)) if !value.is_empty() => format!("${name}"),
        _ => "default".to_owned(),
    };
    let setting = |name: &str, value: String, origin: String| Setting {
        name: name.to_owned(),
        value: value.into(),
        origin,
    };
    let flag = |is_given: bool, flag: &'static str| is_given.then_some(flag);
    let by_home = flag(global.home.is_some(), "--home");
    let by_db = flag(global.db.is_some(), "--db");
    let by_user = flag(user.is_some(), "--user");
    let mut places = vec![
        setting(
            "home",
            home.display().to_string(),
            origin(by_home, "ALLM_HOME"),
        ),
        setting("db", place(global, home)?, origin(by_db, "ALLM_DB")),
        setting("user", username(user)?, origin(by_user, "ALLM_USER")),
    ];
    for name in [secrets::OPENAI_KEY, secrets::OLLAMA_KEY] {
        let is_set = variable(name).map_or("not set", |_| "set, not shown");
        places.push(setting(name, is_set.to_owned(), origin(None, name)));
    }
    Ok(places)
}

/// Writes the file; where it is a link, what that points to.
fn write(path: &Path, text: &str) -> Result<()> {
    let context = || format!("cannot write `{}`", path.display());
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    store::make_folder(path.parent().with_context(context)?)?;
    store::replace_file(&path, text.as_bytes()).with_context(context)
}

/// Opens the file in an editor; a new one has every setting in it, as a comment.
fn edit(path: &Path) -> Result<()> {
    ensure!(
        is_watched(),
        "an editor wants a terminal: `allm config set` changes a setting without one"
    );
    if !path.exists() {
        let comment = |line: &str| match line.is_empty() || line.starts_with('#') {
            true => format!("{line}\n"),
            false => format!("# {line}\n"),
        };
        write(path, &DEFAULTS.lines().map(comment).collect::<String>())?;
    }
    let editor = variable("VISUAL").or_else(|| variable("EDITOR"));
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{editor} \"$0\"")]).arg(path);
    let status = command.status();
    let status = status.with_context(|| format!("cannot run `{editor}`"))?;
    ensure!(status.success(), "`{editor}` has failed, with {status}");
    Config::load(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_name() {
        let all: Vec<&str> = names().collect();
        let text = all.iter().map(|name| format!("{name} = 1\n"));
        let error = |line: String| {
            let table = toml::from_str(&line).unwrap();
            Config::with(table)
                .err()
                .map_or(String::new(), |error| format!("{error:#}"))
        };
        let unknown: Vec<String> = text
            .map(error)
            .filter(|error| error.contains("unknown"))
            .collect();
        assert_eq!(unknown, [""; 0]);
        assert!(
            all.contains(&"temperature") && all.contains(&"headers"),
            "{all:?}"
        );
    }
}
