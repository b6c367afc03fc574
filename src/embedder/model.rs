//! Finds a model: the bundled one, a local folder, or a repository of the Hugging Face hub, fetched only when it is named.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use candle_core::quantized::gguf_file;
use candle_core::{DType, Device};
use candle_nn::Linear;
use sha2::{Digest, Sha256};

use super::architecture::Transformer;
use super::encoder::Encoder;
use super::head::Layer;
use super::settings::{Modules, Settings, Step, setting};
use super::tokens::Tokens;
use super::{hub, weights};

/// The name of the model that the binary carries (assets/all-MiniLM-L6-v2).
const BUNDLED: &str = "all-MiniLM-L6-v2";
/// How many of a model's small files are told apart by their content. What further ones say is in the particulars of its settings.
const OLDEST: usize = 4;
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
        // Whoever copies the name that is stored means the repository.
        let is_mark = |mark: &str| mark.len() == 8 && mark.bytes().all(|c| c.is_ascii_hexdigit());
        let repository = match text.rsplit_once('@') {
            Some((repository, mark)) if is_mark(mark) => repository,
            _ => text,
        };
        let words: Vec<&str> = repository.split('/').collect();
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
            repository: repository.to_owned(),
            cache: cache.to_owned(),
        })
    }

    /// Returns the name that is stored beside the vectors.
    ///
    /// That of a folder ends with a mark of its content; stores of before such marks say only what the folder was called, and are not
    /// opened before their vectors are made anew. That of a repository ends with a mark where it takes more than its weights to make
    /// vectors like those that are stored: prefixes, a dense layer.
    pub fn name(&self) -> String {
        match self {
            Source::Bundled => BUNDLED.to_owned(),
            Source::Folder { name, .. } => name.clone(),
            Source::Hub { repository, cache } => {
                let settings = hub::fetched(repository, cache)
                    .and_then(|folder| Settings::read(&folder, repository).ok());
                let particulars = settings.map(|settings| settings.particulars());
                match particulars.filter(|particulars| !particulars.is_empty()) {
                    Some(particulars) => marked(repository, Sha256::new_with_prefix(particulars)),
                    None => repository.clone(),
                }
            }
        }
    }

    /// Fetches what is missing of a hub repository, with a progress bar on stderr when `progress` is set.
    pub async fn fetch(&self, progress: bool) -> Result<()> {
        match self {
            Source::Hub { repository, cache } => hub::fetch(repository, cache, progress).await,
            Source::Bundled | Source::Folder { .. } => Ok(()),
        }
    }

    /// Reads the model into memory. A hub repository must have been fetched.
    pub fn load(&self) -> Result<Encoder> {
        match self {
            Source::Bundled => bundled(),
            Source::Folder { folder, name } => {
                let called = name.rsplit_once('@').map_or(&**name, |(called, _)| called);
                from_folder(name.clone(), called, folder)
            }
            Source::Hub { repository, cache } => {
                let folder = hub::fetched(repository, cache).ok_or_else(|| {
                    anyhow!(
                        "`{repository}` has not been fetched: the next search or chat does that"
                    )
                })?;
                from_folder(self.name(), repository, &folder)
            }
        }
    }
}

/// The bundled model.
const WEIGHTS: &[u8] = include_bytes!("../../assets/all-MiniLM-L6-v2/model.gguf");
const CONFIG: &[u8] = include_bytes!("../../assets/all-MiniLM-L6-v2/config.json");
const TOKENIZER: &[u8] = include_bytes!("../../assets/all-MiniLM-L6-v2/tokenizer.json");

fn bundled() -> Result<Encoder> {
    bundled_on(|| {
        let quick = Transformer::quick(WEIGHTS, &serde_json::from_slice(CONFIG)?)?;
        quick.map_or_else(plain, Ok)
    })
}

/// Reads the bundled model for candle.
fn plain() -> Result<Transformer> {
    let mut reader = Cursor::new(WEIGHTS);
    let content = gguf_file::Content::read(&mut reader)?;
    let mut tensors = HashMap::new();
    for name in content.tensor_infos.keys() {
        let tensor = content.tensor(&mut reader, name, &Device::Cpu)?;
        tensors.insert(name.clone(), tensor.dequantize(&Device::Cpu)?);
    }
    let config = serde_json::from_slice(CONFIG)?;
    Transformer::new(Settings::bundled().kind, tensors, &config)
}

/// Reads the tokens of the bundled model while its transformer is put together: either takes as long.
fn bundled_on(transformer: impl FnOnce() -> Result<Transformer>) -> Result<Encoder> {
    let (transformer, tokens) = std::thread::scope(|scope| {
        let tokens = scope.spawn(|| Tokens::read(TOKENIZER));
        (transformer(), tokens.join())
    });
    let tokens = tokens.map_err(|_| anyhow!("the tokenizer could not be read"))??;
    let (name, settings) = (BUNDLED.to_owned(), Settings::bundled());
    Encoder::new(name, transformer?, tokens, Vec::new(), settings)
}

/// Reads the model in a folder; `called` is what may tell its family.
fn from_folder(name: String, called: &str, folder: &Path) -> Result<Encoder> {
    let settings = Settings::read(folder, called)?;
    let part = &settings.transformer;
    let config = setting(folder, &format!("{part}config.json"))?;
    let transformer = Transformer::new(settings.kind, weights::read(folder, part)?, &config)?;
    let layers = settings.steps.iter().map(|step| match step {
        Step::Normalize => Ok(Layer::Normalize),
        Step::Dense {
            folder: part,
            activation,
        } => {
            let mut weights = weights::read(folder, part)?;
            let mut take = |name: &str| {
                let tensor = weights.remove(name);
                tensor.map(|tensor| tensor.to_dtype(DType::F32)).transpose()
            };
            let weight = take("linear.weight")?
                .with_context(|| format!("the dense layer in `{part}` has no weights"))?;
            let linear = Linear::new(weight, take("linear.bias")?);
            Ok(Layer::Dense(linear, *activation))
        }
    });
    let layers = layers.collect::<Result<_>>()?;
    let path = folder.join(part).join("tokenizer.json");
    let tokenizer = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let tokens = Tokens::read(&tokenizer)?;
    Encoder::new(name, transformer, tokens, layers, settings)
}

/// Returns what a person gives to `--embedder` for the model of a stored name: where a folder is, the name does not say.
pub fn argument(name: &str) -> String {
    match name.rsplit_once('@') {
        Some((repository, _)) if repository.contains('/') => repository.to_owned(),
        Some((folder, _)) => format!("PATH/TO/{folder}"),
        None => name.to_owned(),
    }
}

/// Returns the name of a folder with a mark of what is in it: folders are often called the same, and a folder may get another model.
fn name_of(folder: &Path) -> Result<String> {
    let absolute = std::path::absolute(folder)?;
    let called = absolute.file_name().unwrap_or_default().to_string_lossy();
    let modules = Modules::read(folder)?;
    // Names of before there were prefixes and dense layers hang on this order.
    let mut files = modules.files();
    files.truncate(OLDEST);
    let weights = weights::files(folder, &modules.transformer)?.into_iter();
    files.splice(2..2, weights.map(|file| (file, false)));
    for part in modules.steps.iter().flatten() {
        let weights = weights::files(folder, part)?.into_iter();
        files.extend(weights.map(|file| (file, false)));
    }
    let mut hasher = Sha256::new();
    for (file, is_optional) in files {
        let path = folder.join(&file);
        let content = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound && is_optional => continue,
            opened => opened.and_then(pieces),
        };
        hasher.update(file);
        hasher.update(content.with_context(|| format!("cannot read `{}`", path.display()))?);
    }
    hasher.update(Settings::read(folder, &called)?.particulars());
    Ok(marked(&called, hasher))
}

/// Returns a name with a mark.
fn marked(name: &str, hasher: Sha256) -> String {
    let digest = hasher.finalize();
    let mark = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    format!("{name}@{mark:08x}")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedder::Embedder;

    #[test]
    fn the_quick_form_of_the_bundled_model_agrees_with_candle() {
        let (quick, plain) = (bundled().unwrap(), bundled_on(plain).unwrap());
        // Of many lengths, scripts and kinds, and some of these together.
        let text = include_str!("model.rs").to_owned() + include_str!("../../README.md");
        let mut texts: Vec<&str> = quick.passages(&text).unwrap();
        texts.truncate(24);
        texts.extend([
            "a",
            "?",
            "why is the sky blue",
            "naïve 東京 🦀 Ünïcode",
            "0 1 2 3",
        ]);
        let long = "the tide comes in at noon, and the ferry leaves ".repeat(40);
        texts.push(&long);
        let (quick, plain) = (quick.embed(&texts).unwrap(), plain.embed(&texts).unwrap());
        for ((text, quick), plain) in texts.iter().zip(quick).zip(plain) {
            let cosine: f32 = quick.iter().zip(plain).map(|(a, b)| a * b).sum();
            assert!(cosine >= 0.9999, "{cosine} for {text}");
        }
    }
}
