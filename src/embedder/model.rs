//! Finds a model: the bundled one, a local folder, or a repository of the Hugging Face hub, fetched only when it is named.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use candle_core::quantized::gguf_file;
use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use hf_hub::api::tokio::{ApiBuilder, ApiError};
use serde_json::Value;

use super::bert::{Bert, Pooling};

/// The name of the model that the binary carries (assets/all-MiniLM-L6-v2).
const BUNDLED: &str = "all-MiniLM-L6-v2";
/// What sentence-transformers sets for the bundled model; also used for a folder that does not say.
const WINDOW: usize = 256;

/// What is fetched from the hub: what cannot be done without, then what may be missing.
const NEEDED: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];
const OPTIONAL: [&str; 2] = ["1_Pooling/config.json", "sentence_bert_config.json"];

/// Says where the model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Bundled,
    /// A folder in the Hugging Face layout.
    Folder(PathBuf),
    /// A repository of the hub (`owner/name`), and the folder that keeps what is fetched.
    Hub {
        repository: String,
        cache: PathBuf,
    },
}

impl Source {
    /// Reads what a person named: nothing or the bundled model's name, a folder, or a repository of the hub.
    pub fn parse(text: &str, cache: &Path) -> Result<Source> {
        let path = Path::new(text);
        if text.is_empty() || text == BUNDLED {
            return Ok(Source::Bundled);
        }
        if path.is_dir() {
            return Ok(Source::Folder(path.to_owned()));
        }
        let words: Vec<&str> = text.split('/').collect();
        let is_name = |word: &&str| {
            !word.is_empty()
                && !word.starts_with('.')
                && word
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        if words.len() != 2 || !words.iter().all(is_name) {
            bail!(
                "`{text}` is neither a folder, nor a repository of the hub (`owner/name`), nor `{BUNDLED}`"
            );
        }
        Ok(Source::Hub {
            repository: text.to_owned(),
            cache: cache.to_owned(),
        })
    }

    /// Returns the name that is stored beside the vectors.
    pub fn name(&self) -> String {
        match self {
            Source::Bundled => BUNDLED.to_owned(),
            Source::Folder(folder) => folder.file_name().map_or_else(
                || folder.display().to_string(),
                |name| name.to_string_lossy().into_owned(),
            ),
            Source::Hub { repository, .. } => repository.clone(),
        }
    }

    /// Fetches what is missing of a hub repository, with a progress bar on stderr when `progress` is set.
    pub async fn fetch(&self, progress: bool) -> Result<()> {
        let Source::Hub { repository, cache } = self else {
            return Ok(());
        };
        let files = hf_hub::Cache::new(cache.clone()).model(repository.clone());
        if NEEDED.iter().all(|file| files.get(file).is_some()) {
            return Ok(());
        }
        std::fs::create_dir_all(cache)
            .with_context(|| format!("cannot create `{}`", cache.display()))?;
        let api = ApiBuilder::from_env()
            .with_cache_dir(cache.clone())
            .with_progress(progress)
            .build()?;
        let remote = api.model(repository.clone());
        for file in NEEDED {
            remote
                .get(file)
                .await
                .with_context(|| format!("cannot fetch `{file}` of `{repository}` from the hub"))?;
        }
        for file in OPTIONAL {
            match remote.get(file).await {
                Ok(_) => {}
                Err(ApiError::RequestError(error))
                    if error.status().is_some_and(|status| status == 404) => {}
                Err(error) => {
                    return Err(error).with_context(|| {
                        format!("cannot fetch `{file}` of `{repository}` from the hub")
                    });
                }
            }
        }
        Ok(())
    }

    /// Reads the model into memory. A hub repository must have been fetched.
    pub fn load(&self) -> Result<Bert> {
        match self {
            Source::Bundled => bundled(),
            Source::Folder(folder) => from_folder(self.name(), folder),
            Source::Hub { repository, cache } => {
                let files = hf_hub::Cache::new(cache.clone()).model(repository.clone());
                let config = files
                    .get("config.json")
                    .ok_or_else(|| anyhow!("`{repository}` has not been fetched"))?;
                let folder = config.parent().context("the cached model has no folder")?;
                from_folder(repository.clone(), folder)
            }
        }
    }
}

fn bundled() -> Result<Bert> {
    const WEIGHTS: &[u8] = include_bytes!("../../assets/all-MiniLM-L6-v2/model.gguf");
    const CONFIG: &[u8] = include_bytes!("../../assets/all-MiniLM-L6-v2/config.json");
    const TOKENIZER: &[u8] = include_bytes!("../../assets/all-MiniLM-L6-v2/tokenizer.json");
    let mut reader = Cursor::new(WEIGHTS);
    let content = gguf_file::Content::read(&mut reader)?;
    let mut tensors = HashMap::new();
    for name in content.tensor_infos.keys() {
        tensors.insert(
            name.clone(),
            content
                .tensor(&mut reader, name, &Device::Cpu)?
                .dequantize(&Device::Cpu)?,
        );
    }
    let weights = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    Bert::new(
        BUNDLED.to_owned(),
        weights,
        CONFIG,
        TOKENIZER,
        Pooling::Mean,
        WINDOW,
    )
}

fn from_folder(name: String, folder: &Path) -> Result<Bert> {
    let read = |file: &str| {
        let path = folder.join(file);
        std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))
    };
    let setting = |file: &str| {
        read(file)
            .ok()
            .and_then(|text| serde_json::from_slice::<Value>(&text).ok())
            .unwrap_or_default()
    };
    let pooling = match setting("1_Pooling/config.json")["pooling_mode_cls_token"].as_bool() {
        Some(true) => Pooling::Cls,
        _ => Pooling::Mean,
    };
    let window = setting("sentence_bert_config.json")["max_seq_length"]
        .as_u64()
        .and_then(|n| usize::try_from(n).ok());
    let weights = VarBuilder::from_buffered_safetensors(
        read("model.safetensors")?,
        DType::F32,
        &Device::Cpu,
    )?;
    Bert::new(
        name,
        weights,
        &read("config.json")?,
        &read("tokenizer.json")?,
        pooling,
        window.unwrap_or(WINDOW).max(8),
    )
}
