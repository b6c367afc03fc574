//! Settings: the defaults of assets/config.toml, over them the user's file. Environment and flags come on top, in `cli`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::agent::prompt::React;

/// Every setting with its default, as it is shipped.
pub const DEFAULTS: &str = include_str!("../assets/config.toml");

/// Holds every setting.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub provider: String,
    pub model: String,
    pub ollama_url: String,
    pub openai_url: String,
    pub openai_model: String,
    pub system: String,
    pub temperature: Option<f64>,
    pub max_tokens: Option<u32>,
    pub seed: Option<i64>,
    pub top_p: Option<f64>,
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

impl Config {
    /// Reads the defaults and, where it is there, the user's file.
    pub fn load(path: &Path) -> Result<Config> {
        let mut settings: toml::Table =
            toml::from_str(DEFAULTS).context("cannot read the built-in settings")?;
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let own: toml::Table = toml::from_str(&text)
                    .with_context(|| format!("cannot read `{}`", path.display()))?;
                settings.extend(own);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read `{}`", path.display()));
            }
        }
        settings
            .try_into()
            .with_context(|| format!("cannot use the settings of `{}`", path.display()))
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
        std::fs::write(&path, "providr = \"ollama\"\n").unwrap();
        assert!(format!("{:#}", Config::load(&path).unwrap_err()).contains("providr"));
    }
}
