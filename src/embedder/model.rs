//! Finds a model: the bundled one, a local folder, or a repository of the Hugging Face hub, fetched only when it is named.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use candle_core::quantized::gguf_file;
use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use hf_hub::api::tokio::{ApiBuilder, ApiError};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::bert::{Bert, Pooling};

/// The name of the model that the binary carries (assets/all-MiniLM-L6-v2).
const BUNDLED: &str = "all-MiniLM-L6-v2";
/// What sentence-transformers sets for the bundled model; also used for a folder that does not say.
const WINDOW: usize = 256;

/// What a model consists of: what cannot be done without, then what may be missing.
const NEEDED: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];
const OPTIONAL: [&str; 2] = [POOLING, LENGTH];
const POOLING: &str = "1_Pooling/config.json";
const LENGTH: &str = "sentence_bert_config.json";
/// The file that says that all of a revision has been fetched, and that what may be missing really is.
const WHOLE: &str = "allm-has-it-whole";
/// The address of the hub.
const HUB: &str = "https://huggingface.co";
/// How many pieces of a large file tell it from others, and how long each is in bytes.
const PIECES: (u64, u64) = (64, 4 << 10);

/// Says where the model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Bundled,
    /// A folder in the Hugging Face layout, and the name that its content gives it.
    Folder {
        folder: PathBuf,
        name: String,
    },
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
            return Ok(Source::Folder {
                folder: path.to_owned(),
                name: name_of(path)?,
            });
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

    /// Returns the name that is stored beside the vectors. That of a folder ends with a mark of its content; stores of before such marks
    /// say only what the folder was called, and are not opened before their vectors are made anew.
    pub fn name(&self) -> String {
        match self {
            Source::Bundled => BUNDLED.to_owned(),
            Source::Folder { name, .. } => name.clone(),
            Source::Hub { repository, .. } => repository.clone(),
        }
    }

    /// Fetches what is missing of a hub repository, with a progress bar on stderr when `progress` is set.
    pub async fn fetch(&self, progress: bool) -> Result<()> {
        let Source::Hub { repository, cache } = self else {
            return Ok(());
        };
        let files = hf_hub::Cache::new(cache.clone()).model(repository.clone());
        if files.get(WHOLE).is_some() {
            return Ok(());
        }
        fs::create_dir_all(cache)
            .with_context(|| format!("cannot create `{}`", cache.display()))?;
        let mut api = ApiBuilder::from_env();
        // An empty variable is as good as none, but the library takes it for an address.
        if std::env::var_os("HF_ENDPOINT").is_some_and(|endpoint| endpoint.is_empty()) {
            api = api.with_endpoint(HUB.to_owned());
        }
        let api = api
            .with_cache_dir(cache.clone())
            .with_progress(progress)
            .build()?;
        let remote = api.model(repository.clone());
        // A fetch that goes on with one of another day may find another revision, and then begins again.
        for _ in 0..2 {
            let mut there = Vec::new();
            for file in NEEDED.into_iter().chain(OPTIONAL) {
                match remote.get(file).await {
                    Ok(_) => there.push(file),
                    Err(ApiError::RequestError(error))
                        if OPTIONAL.contains(&file)
                            && error.status().is_some_and(|status| status == 404) => {}
                    Err(error) => {
                        return Err(error).with_context(|| {
                            format!("cannot fetch `{file}` of `{repository}` from the hub")
                        });
                    }
                }
            }
            if there.iter().all(|file| files.get(file).is_some())
                && let Some(config) = files.get(NEEDED[0])
            {
                let mark = config.with_file_name(WHOLE);
                return fs::write(&mark, "")
                    .with_context(|| format!("cannot write `{}`", mark.display()));
            }
        }
        bail!("`{repository}` has changed on the hub while it was fetched: try again")
    }

    /// Reads the model into memory. A hub repository must have been fetched.
    pub fn load(&self) -> Result<Bert> {
        match self {
            Source::Bundled => bundled(),
            Source::Folder { folder, name } => from_folder(name.clone(), folder),
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
        fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))
    };
    // Without a setting that is there all vectors would be wrong.
    let setting = |file: &str| match folder.join(file).exists() {
        true => serde_json::from_slice::<Value>(&read(file)?)
            .with_context(|| format!("cannot read `{}`", folder.join(file).display())),
        false => Ok(Value::Null),
    };
    let pooling = match setting(POOLING)?["pooling_mode_cls_token"].as_bool() {
        Some(true) => Pooling::Cls,
        _ => Pooling::Mean,
    };
    let window = setting(LENGTH)?["max_seq_length"]
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

/// Returns what a person gives to `--embedder` for the model of a stored name: where a folder is, the name does not say.
pub fn argument(name: &str) -> String {
    match name.rsplit_once('@') {
        Some((folder, _)) => format!("PATH/TO/{folder}"),
        None => name.to_owned(),
    }
}

/// Returns the name of a folder with a mark of what is in it: folders are often called the same, and a folder may get another model.
fn name_of(folder: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    for file in NEEDED.into_iter().chain(OPTIONAL) {
        let path = folder.join(file);
        let content = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound && OPTIONAL.contains(&file) => {
                continue;
            }
            opened => opened.and_then(pieces),
        };
        hasher.update(file);
        hasher.update(content.with_context(|| format!("cannot read `{}`", path.display()))?);
    }
    let digest = hasher.finalize();
    let mark = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    let folder = std::path::absolute(folder)?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    Ok(format!("{name}@{mark:08x}"))
}

/// Returns the size of a file and pieces all over it, or all of it if it is small: weights are too large to read with each start.
fn pieces(mut file: File) -> std::io::Result<Vec<u8>> {
    let size = file.metadata()?.len();
    let mut pieces = size.to_le_bytes().to_vec();
    let step = (size / PIECES.0).max(PIECES.1);
    for start in (0..size).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
        file.seek(SeekFrom::Start(start))?;
        file.by_ref().take(PIECES.1).read_to_end(&mut pieces)?;
    }
    Ok(pieces)
}
