//! Reads weights from safetensors, in one file or in several with an index.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use candle_core::{Device, Tensor, safetensors};

use super::settings::{inside, setting};

pub const WEIGHTS: &str = "model.safetensors";
pub const INDEX: &str = "model.safetensors.index.json";

/// Returns the files with the weights of a part of a model; `part` is its folder, empty or with a `/` at its end.
pub fn files(folder: &Path, part: &str) -> Result<Vec<String>> {
    let whole = format!("{part}{WEIGHTS}");
    match folder.join(&whole).exists() || !folder.join(part).join(INDEX).exists() {
        true => Ok(vec![whole]),
        false => shards(folder, part),
    }
}

/// Returns the files that an index names.
pub fn shards(folder: &Path, part: &str) -> Result<Vec<String>> {
    let index = format!("{part}{INDEX}");
    let listed = setting(folder, &index)?;
    let names: Option<BTreeSet<&str>> = listed["weight_map"]
        .as_object()
        .and_then(|map| map.values().map(serde_json::Value::as_str).collect());
    match names.filter(|names| !names.is_empty()) {
        Some(names) => names
            .into_iter()
            .map(|name| Ok(format!("{part}{}", inside(name)?)))
            .collect(),
        None => bail!(
            "`{}` names no files with weights",
            folder.join(&index).display()
        ),
    }
}

/// Reads the weights of a part of a model.
pub fn read(folder: &Path, part: &str) -> Result<HashMap<String, Tensor>> {
    let mut tensors = HashMap::new();
    for file in files(folder, part)? {
        let path = folder.join(file);
        let content = || format!("cannot read `{}`", path.display());
        let bytes = fs::read(&path).with_context(content)?;
        tensors.extend(safetensors::load_buffer(&bytes, &Device::Cpu).with_context(content)?);
    }
    Ok(tensors)
}
