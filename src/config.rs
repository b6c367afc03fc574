//! Settings: the defaults of assets/config.toml, over them the user's file. Environment and flags come on top, in `cli`; how a variable and
//! a path are read is the same for all of them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};
use clap::builder::{PathBufValueParser, TypedValueParser};
use serde::{Deserialize, Deserializer};

use crate::agent::prompt::React;
use crate::provider::Think;

/// Every setting with its default, as it is shipped.
pub const DEFAULTS: &str = include_str!("../assets/config.toml");

/// How freely a model may answer.
pub const TEMPERATURE: RangeInclusive<f64> = 0.0..=2.0;
/// From what score on past interactions may be recalled by themselves.
const FLOOR: RangeInclusive<f32> = 0.0..=1.0;
/// Who may be named as the provider.
pub const PROVIDERS: [&str; 4] = ["auto", "ollama", "openai", "offline"];
/// Which share the likeliest words may have that a model chooses among.
pub const TOP_P: RangeInclusive<f64> = 0.0..=1.0;

/// Returns what reads a number within a range, or says what it should be.
pub fn within<T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static>(
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("give a number from {} to {}", range.start(), range.end()))
    }
}

/// Returns what a variable of the environment says, if anything: an empty one is as good as none.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name)
        .ok()
        .filter(|value| !value.trim().is_empty())
}

/// Returns the path that a variable of the environment holds, if any.
pub fn path_in(name: &str) -> Result<Option<PathBuf>> {
    let set: Option<OsString> = std::env::var_os(name).filter(|value| !value.is_empty());
    set.map(|path| expanded(Path::new(&path)).with_context(|| format!("cannot use `${name}`")))
        .transpose()
}

/// Returns the home directory of whoever runs this, if there is one.
pub fn home_directory() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| home.is_absolute())
}

/// Returns a path with the home directory in the place of a `~`, which only a shell would have put there.
pub fn expanded(path: &Path) -> Result<PathBuf> {
    let mut parts = path.components();
    let first = parts.next().map(|first| first.as_os_str().to_owned());
    let Some(first) = first.filter(|first| first.as_encoded_bytes().starts_with(b"~")) else {
        return Ok(path.to_owned());
    };
    if first != "~" {
        bail!(
            "only a shell knows the home directory that `{}` means: write it out, or put `./` before it",
            first.display()
        );
    }
    let home = home_directory().context("cannot find the home directory that `~` means")?;
    Ok(match parts.as_path() {
        rest if rest.as_os_str().is_empty() => home,
        rest => home.join(rest),
    })
}

/// Returns what reads a path of the command line: after `--home=` and in a chat there is no shell that knows `~`.
pub fn path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| expanded(&path).map_err(|error| format!("{error:#}")))
}

/// Is the value of a header, or those of the provider of this name.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Header {
    Value(String),
    Of(BTreeMap<String, String>),
}

/// Holds every setting.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub provider: String,
    pub model: String,
    pub ollama_url: String,
    pub openai_url: String,
    pub openai_model: String,
    pub headers: BTreeMap<String, Header>,
    pub system: String,
    pub temperature: Option<f64>,
    pub max_tokens: Option<u32>,
    pub seed: Option<i64>,
    pub top_p: Option<f64>,
    #[serde(default, deserialize_with = "think")]
    pub think: Option<Think>,
    pub ollama_window: u32,
    pub openai_window: u32,
    pub connect_timeout_s: u64,
    pub idle_timeout_s: u64,
    pub retries: u32,
    pub max_steps: usize,
    pub tools: Vec<String>,
    pub react: React,
    pub allow_paths: Vec<PathBuf>,
    pub command_timeout_s: u64,
    pub recall: usize,
    pub recall_floor: f32,
    pub facts: bool,
    pub redact: bool,
    pub retention: String,
    pub embedder: String,
    pub limit: usize,
}

/// Reads `think`, which is a word, or `true` or `false`.
fn think<'d, D: Deserializer<'d>>(value: D) -> Result<Option<Think>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "expected \"on\", \"off\", \"low\", \"medium\" or \"high\""
    )]
    enum Form {
        Switch(bool),
        Word(Think),
    }
    Ok(Some(match Form::deserialize(value)? {
        Form::Switch(true) => Think::On,
        Form::Switch(false) => Think::Off,
        Form::Word(think) => think,
    }))
}

impl Config {
    /// Reads the defaults and, where it is there, the user's file.
    pub fn load(path: &Path) -> Result<Config> {
        let text = own(path)?;
        let table = toml::from_str(&text);
        let table = table.with_context(|| format!("cannot read `{}`", path.display()))?;
        let unusable = || format!("cannot use the settings of `{}`", path.display());
        Config::with(table).with_context(unusable)
    }

    /// Returns the defaults, and over them what the user has set.
    ///
    /// # Errors
    ///
    /// Fails where a setting is none, or cannot be what it is.
    pub fn with(own: toml::Table) -> Result<Config> {
        let mut settings: toml::Table =
            toml::from_str(DEFAULTS).context("cannot read the built-in settings")?;
        settings.extend(own);
        // What it says has a line for the setting, and one that is empty.
        let mut config: Config = settings.try_into().map_err(|error: toml::de::Error| {
            anyhow!("{}", error.to_string().trim_end().replace('\n', " "))
        })?;
        config.check()?;
        for path in &mut config.allow_paths {
            *path = expanded(path)?;
        }
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        for (name, value, range) in [
            ("temperature", self.temperature, TEMPERATURE),
            ("top_p", self.top_p, TOP_P),
        ] {
            if let Some(value) = value.filter(|value| !range.contains(value)) {
                let (least, most) = range.into_inner();
                bail!("`{name} = {value}` is not from {least} to {most}");
            }
        }
        if !FLOOR.contains(&self.recall_floor) {
            let (least, most) = FLOOR.into_inner();
            let floor = self.recall_floor;
            bail!("`recall_floor = {floor}` is not from {least} to {most}");
        }
        for (name, is_zero) in [
            ("max_tokens", self.max_tokens == Some(0)),
            ("ollama_window", self.ollama_window == 0),
            ("openai_window", self.openai_window == 0),
            ("connect_timeout_s", self.connect_timeout_s == 0),
            ("idle_timeout_s", self.idle_timeout_s == 0),
            ("command_timeout_s", self.command_timeout_s == 0),
            ("max_steps", self.max_steps == 0),
            ("limit", self.limit == 0),
        ] {
            if is_zero {
                bail!("`{name} = 0` is not at least 1");
            }
        }
        if !PROVIDERS.contains(&self.provider.as_str()) {
            let (named, known) = (&self.provider, PROVIDERS.join(", "));
            bail!("`provider = \"{named}\"` is none of {known}");
        }
        for (name, header) in &self.headers {
            if matches!(header, Header::Of(_)) && name != "openai" && name != "ollama" {
                bail!("`headers.{name}`: only openai and ollama have headers of their own");
            }
        }
        Ok(())
    }

    /// Returns the headers for a provider as they are written: those for each, then its own.
    pub fn headers(&self, provider: &str) -> impl Iterator<Item = (&String, &String)> {
        let all = self
            .headers
            .iter()
            .filter_map(|(name, header)| match header {
                Header::Value(value) => Some((name, value)),
                Header::Of(_) => None,
            });
        let own = self.headers.get(provider).and_then(|header| match header {
            Header::Of(own) => Some(own),
            Header::Value(_) => None,
        });
        all.chain(own.into_iter().flatten())
    }
}

/// Returns the user's file, which is empty where there is none.
pub fn own(path: &Path) -> Result<String> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        read => read.with_context(|| format!("cannot read `{}`", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_complete_and_a_file_overrides_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        assert_eq!(Config::load(&path).unwrap().provider, "auto");
        std::fs::write(&path, "provider = \"ollama\"\ntemperature = 0.5\n").unwrap();
        let config = Config::load(&path).unwrap();
        assert_eq!(
            (config.provider.as_str(), config.temperature, config.limit),
            ("ollama", Some(0.5), 10)
        );
        for (line, think) in [
            ("think = \"low\"", Think::Low),
            ("think = false", Think::Off),
        ] {
            std::fs::write(&path, line).unwrap();
            assert_eq!(Config::load(&path).unwrap().think, Some(think));
        }
        std::fs::write(&path, "think = \"loud\"").unwrap();
        let error = format!("{:#}", Config::load(&path).unwrap_err());
        assert!(error.contains("expected \"on\""), "{error}");
        std::fs::write(&path, "providr = \"ollama\"\n").unwrap();
        assert!(format!("{:#}", Config::load(&path).unwrap_err()).contains("providr"));
    }

    // Finding L10.
    #[test]
    fn numbers_that_no_server_takes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        for (line, why) in [
            (
                "temperature = 2.5",
                "`temperature = 2.5` is not from 0 to 2",
            ),
            (
                "temperature = nan",
                "`temperature = NaN` is not from 0 to 2",
            ),
            ("top_p = -1.0", "`top_p = -1` is not from 0 to 1"),
            ("recall_floor = 7", "`recall_floor = 7` is not from 0 to 1"),
            ("limit = 0", "`limit = 0` is not at least 1"),
            ("max_tokens = 0", "`max_tokens = 0` is not at least 1"),
            (
                "provider = \"olama\"",
                "`provider = \"olama\"` is none of auto, ollama, openai, offline",
            ),
        ] {
            std::fs::write(&path, line).unwrap();
            let error = format!("{:#}", Config::load(&path).unwrap_err());
            assert!(error.ends_with(why), "{error}");
        }
        std::fs::write(&path, "temperature = 2.0\ntop_p = 0.0").unwrap();
        assert_eq!(Config::load(&path).unwrap().temperature, Some(2.0));
    }
}
