//! A BERT on the products of `allm-kernel`: texts one after another, without padding, their weights as the file has them.

use std::io::Cursor;
use std::sync::{Mutex, PoisonError};

use allm_kernel::{Heads, Matrix, Norm, Processor, Rows, Scores, Then, q8};
use anyhow::{Context, Result, ensure};
use candle_core::quantized::{GgmlDType, gguf_file};
use candle_core::{Device, Tensor};
use candle_transformers::models::bert::{Config, HiddenAct};

/// How many words go through the second half of a layer together: what is between its two products stays in a near cache.
const ROWS: usize = 48;

/// Holds a BERT.
pub struct Bert {
    processor: Processor,
    heads: Heads,
    /// The words' vectors, as they lie in the file: only those that are said are read.
    words: &'static [u8],
    /// The vectors of the positions, with that of the first kind of text.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
    /// What texts were worked on with, to be used again.
    scratch: Mutex<Vec<Scratch>>,
}

struct Layer {
    attention: Matrix,
    output: Matrix,
    attended: Norm,
    inner: Matrix,
    outer: Matrix,
    norm: Norm,
}

/// Holds a row for each word.
#[derive(Default)]
struct Scratch {
    rows: Rows,
    scores: Scores,
    x: Vec<f32>,
    qkv: Vec<f32>,
    y: Vec<f32>,
    inner: Vec<f32>,
}

impl Bert {
    /// Puts a BERT together from its file, whose matrices are in Q8_0.
    pub fn new(processor: Processor, file: &'static [u8], config: &Config) -> Result<Bert> {
        ensure!(
            config.hidden_act == HiddenAct::Gelu,
            "only the exact GELU is known here"
        );
        #[expect(clippy::cast_possible_truncation, reason = "it is a small number")]
        let epsilon = config.layer_norm_eps as f32;
        let weights = Weights {
            content: gguf_file::Content::read(&mut Cursor::new(file))?,
            file,
            epsilon,
        };
        let dimension = config.hidden_size;
        let mut positions = weights.numbers("embeddings.position_embeddings.weight")?;
        let kind = weights.numbers("embeddings.token_type_embeddings.weight")?;
        for position in positions.chunks_exact_mut(dimension) {
            position.iter_mut().zip(&kind).for_each(|(x, y)| *x += y);
        }
        let layer = |layer: usize| {
            let name = |part: &str| format!("encoder.layer.{layer}.{part}");
            let parts =
                ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
            anyhow::Ok(Layer {
                attention: weights.matrix(dimension, &parts)?,
                output: weights.matrix(dimension, &[name("attention.output.dense")])?,
                attended: weights.norm(&name("attention.output.LayerNorm"))?,
                inner: weights.matrix(dimension, &[name("intermediate.dense")])?,
                outer: weights.matrix(config.intermediate_size, &[name("output.dense")])?,
                norm: weights.norm(&name("output.LayerNorm"))?,
            })
        };
        Ok(Bert {
            processor,
            heads: Heads {
                count: config.num_attention_heads,
                size: dimension / config.num_attention_heads,
            },
            words: weights.bytes("embeddings.word_embeddings.weight")?,
            positions,
            norm: weights.norm("embeddings.LayerNorm")?,
            layers: (0..config.num_hidden_layers)
                .map(layer)
                .collect::<Result<_>>()?,
            scratch: Mutex::default(),
        })
    }

    /// Returns for each text a vector for each token: shape (tokens, dimensions).
    pub fn forward(&self, texts: &[Vec<u32>]) -> Result<Vec<Tensor>> {
        let dimension = self.heads.count * self.heads.size;
        let scratch = self
            .scratch
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut scratch = scratch.unwrap_or_default();
        self.look_up(texts, &mut scratch)?;
        for layer in &self.layers {
            self.layer(layer, texts, &mut scratch);
        }
        let mut rest = &*scratch.x;
        let vectors = texts.iter().map(|text| {
            let (own, others) = rest.split_at(text.len() * dimension);
            rest = others;
            Ok(Tensor::from_slice(
                own,
                (text.len(), dimension),
                &Device::Cpu,
            )?)
        });
        let vectors = vectors.collect();
        self.scratch
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(scratch);
        vectors
    }

    /// Writes the vectors of the words, each with that of its position.
    fn look_up(&self, texts: &[Vec<u32>], scratch: &mut Scratch) -> Result<()> {
        let dimension = self.heads.count * self.heads.size;
        let bytes = dimension / q8::BLOCK * q8::BYTES;
        let Scratch { x, y, .. } = scratch;
        let count: usize = texts.iter().map(Vec::len).sum();
        x.resize(count * dimension, 0.0);
        y.clear();
        let mut vectors = x.chunks_exact_mut(dimension);
        for text in texts {
            let positions = self.positions.get(..text.len() * dimension);
            y.extend(positions.context("a text is longer than the model reads")?);
            for (word, vector) in text.iter().zip(&mut vectors) {
                let word = self.words.chunks_exact(bytes).nth(*word as usize);
                q8::read(
                    word.context("a word is not among those of the model")?,
                    vector,
                );
            }
        }
        self.processor.normalize(x, y, &self.norm);
        Ok(())
    }

    fn layer(&self, layer: &Layer, texts: &[Vec<u32>], scratch: &mut Scratch) {
        let Scratch {
            rows,
            scores,
            x,
            qkv,
            y,
            inner,
        } = scratch;
        let dimension = self.heads.count * self.heads.size;
        let processor = self.processor;
        processor.round(x, dimension, rows);
        qkv.resize(x.len() * 3, 0.0);
        processor.product(rows, &layer.attention, Then::Nothing, qkv);
        let (mut all, mut out) = (&**qkv, &mut **y);
        for text in texts {
            let (own, others) = all.split_at(text.len() * dimension * 3);
            let (here, behind) = out.split_at_mut(text.len() * dimension);
            processor.attend(own, self.heads, scores, here);
            (all, out) = (others, behind);
        }
        for (x, y) in x
            .chunks_mut(ROWS * dimension)
            .zip(y.chunks_mut(ROWS * dimension))
        {
            processor.round(y, dimension, rows);
            processor.product(rows, &layer.output, Then::Nothing, y);
            processor.normalize(x, y, &layer.attended);
            processor.round(x, dimension, rows);
            let width = layer.inner.outputs();
            inner.resize(x.len() / dimension * width, 0.0);
            processor.product(rows, &layer.inner, Then::Gelu, inner);
            processor.round(inner, width, rows);
            processor.product(rows, &layer.outer, Then::Nothing, y);
            processor.normalize(x, y, &layer.norm);
        }
    }
}

/// Reads a file with weights.
struct Weights {
    content: gguf_file::Content,
    file: &'static [u8],
    epsilon: f32,
}

impl Weights {
    /// Returns a matrix as it lies in the file.
    fn bytes(&self, name: &str) -> Result<&'static [u8]> {
        let tensor = self.content.tensor_infos.get(name);
        let tensor = tensor.with_context(|| format!("the file has no `{name}`"))?;
        let kind = tensor.ggml_dtype;
        ensure!(kind == GgmlDType::Q8_0, "`{name}` is not in Q8_0");
        let start = usize::try_from(self.content.tensor_data_offset + tensor.offset)?;
        let size = tensor.shape.elem_count() / kind.block_size() * kind.type_size();
        let bytes = self.file.get(start..start + size);
        bytes.with_context(|| format!("the file ends in `{name}`"))
    }

    /// Returns the numbers of what is small.
    fn numbers(&self, name: &str) -> Result<Vec<f32>> {
        let tensor = self
            .content
            .tensor(&mut Cursor::new(self.file), name, &Device::Cpu)?;
        Ok(tensor.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?)
    }

    fn norm(&self, name: &str) -> Result<Norm> {
        Ok(Norm {
            weights: self.numbers(&format!("{name}.weight"))?,
            biases: self.numbers(&format!("{name}.bias"))?,
            epsilon: self.epsilon,
        })
    }

    /// Puts layers together that have the same inputs.
    fn matrix(&self, inputs: usize, names: &[String]) -> Result<Matrix> {
        let read = |name: &String| {
            let weights = self.bytes(&format!("{name}.weight"))?;
            anyhow::Ok((weights, self.numbers(&format!("{name}.bias"))?))
        };
        let layers = names.iter().map(read).collect::<Result<Vec<_>>>()?;
        let layers: Vec<_> = layers
            .iter()
            .map(|(weights, bias)| (*weights, &**bias))
            .collect();
        Matrix::new(inputs, &layers)
            .with_context(|| format!("`{}` has not the size that it should have", names[0]))
    }
}
