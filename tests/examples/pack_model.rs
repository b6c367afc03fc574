//! Packs a sentence-transformers BERT model into the files that the binary carries:
//! `cargo run --release --example pack_model -- <folder> assets/all-MiniLM-L6-v2`.
//!
//! Matrices become Q8_0, vectors stay F32; tokenizer and configuration are copied as they are.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::PathBuf;

use anyhow::{Context, Result};
use candle_core::quantized::{GgmlDType, QTensor, gguf_file};
use candle_core::{DType, Device};

fn main() -> Result<()> {
    let mut folders = std::env::args().skip(1).map(PathBuf::from);
    let (Some(from), Some(to), None) = (folders.next(), folders.next(), folders.next()) else {
        anyhow::bail!("usage: pack_model <folder with model.safetensors> <folder to write>");
    };
    fs::create_dir_all(&to)?;
    let weights = from.join("model.safetensors");
    let tensors = candle_core::safetensors::load(&weights, &Device::Cpu)
        .with_context(|| format!("cannot read `{}`", weights.display()))?;
    let mut packed = Vec::new();
    for (name, tensor) in &tensors {
        // Position ids are counted, not learnt.
        if tensor.dtype() != DType::F32 {
            continue;
        }
        let kind = if tensor.rank() == 2 {
            GgmlDType::Q8_0
        } else {
            GgmlDType::F32
        };
        packed.push((name.as_str(), QTensor::quantize(tensor, kind)?));
    }
    packed.sort_by_key(|(name, _)| *name);
    let tensors: Vec<_> = packed
        .iter()
        .map(|(name, tensor)| (*name, tensor))
        .collect();
    gguf_file::write(
        &mut BufWriter::new(File::create(to.join("model.gguf"))?),
        &[],
        &tensors,
    )?;
    for name in ["config.json", "tokenizer.json"] {
        fs::copy(from.join(name), to.join(name))
            .with_context(|| format!("cannot copy `{name}`"))?;
    }
    Ok(())
}
