//! A sentence encoder of the BERT family on candle.

use std::num::NonZeroUsize;
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow};
use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use lru::LruCache;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tokenizers::Tokenizer;

use super::{Embedder, passages};

/// How many texts keep their vectors in memory: people repeat themselves, and so do searches.
const CACHED: NonZeroUsize = NonZeroUsize::new(1_000).expect("1,000 is not zero");

/// The longest passage in word pieces. Short passages match better than ones that fill the model's window.
const PASSAGE: usize = 200;

/// Says how the vectors of the word pieces become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over the word pieces (Reimers and Gurevych 2019, Sentence-BERT).
    Mean,
    /// The vector of the first piece, `[CLS]`.
    Cls,
}

/// Embeds text with a BERT model.
pub struct Bert {
    name: String,
    model: BertModel,
    tokenizer: Tokenizer,
    pooling: Pooling,
    dimension: usize,
    /// The longest input in word pieces, the two marks around it included.
    window: usize,
    /// One thread each: several texts side by side beat several threads in one matrix product.
    workers: Vec<ThreadPool>,
    cache: Mutex<LruCache<String, Vec<f32>>>,
}

impl Bert {
    /// Puts a model together from its weights, configuration (`config.json`) and tokenizer (`tokenizer.json`).
    pub fn new(
        name: String,
        weights: VarBuilder,
        config: &[u8],
        tokenizer: &[u8],
        pooling: Pooling,
        window: usize,
    ) -> Result<Bert> {
        let config: Config =
            serde_json::from_slice(config).context("cannot read the model's configuration")?;
        if let Some(kind) = config.model_type.as_deref().filter(|kind| *kind != "bert") {
            return Err(anyhow!(
                "the model is of type `{kind}`, and only `bert` can be used"
            ));
        }
        let mut tokenizer = Tokenizer::from_bytes(tokenizer)
            .map_err(|error| anyhow!("cannot read the tokenizer: {error}"))?;
        // The file may carry a truncation and a padding that were meant for training.
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|error| anyhow!("cannot set up the tokenizer: {error}"))?;
        let model = BertModel::load(weights, &config).context("cannot read the model's weights")?;
        let workers = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let workers = (0..workers)
            .map(|_| ThreadPoolBuilder::new().num_threads(1).build())
            .collect::<Result<_, _>>()?;
        Ok(Bert {
            name,
            model,
            tokenizer,
            pooling,
            dimension: config.hidden_size,
            window: window.min(config.max_position_embeddings),
            workers,
            cache: Mutex::new(LruCache::new(CACHED)),
        })
    }

    fn embed_one(&self, text: &str) -> Result<Vec<f32>> {
        let encoding = self
            .tokenizer
            .encode(text, true)
            .map_err(|error| anyhow!("cannot tokenize: {error}"))?;
        let mut ids = encoding.get_ids().to_vec();
        if ids.len() > self.window {
            let end = ids[ids.len() - 1];
            ids.truncate(self.window - 1);
            ids.push(end);
        }
        let ids = Tensor::new(ids, &Device::Cpu)?.unsqueeze(0)?;
        let pieces = self
            .model
            .forward(&ids, &ids.zeros_like()?, None)?
            .squeeze(0)?;
        let pooled = match self.pooling {
            Pooling::Mean => pieces.mean(0)?,
            Pooling::Cls => pieces.get(0)?,
        };
        let vector: Vec<f32> = pooled.to_vec1()?;
        unit(vector).context("the model returned no direction")
    }
}

/// Scales a vector to length 1; `None` when it has no direction.
fn unit(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if !length.is_finite() || length == 0.0 {
        return None;
    }
    for x in &mut vector {
        *x /= length;
    }
    Some(vector)
}

impl Embedder for Bert {
    fn name(&self) -> &str {
        &self.name
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let mut vectors: Vec<Option<Vec<f32>>> = {
            let mut cache = self
                .cache
                .lock()
                .map_err(|_| anyhow!("the embedder failed before"))?;
            texts.iter().map(|text| cache.get(*text).cloned()).collect()
        };
        let missing: Vec<usize> = (0..texts.len())
            .filter(|&index| vectors[index].is_none())
            .collect();
        let next = std::sync::atomic::AtomicUsize::new(0);
        // Each worker takes the next text, so that a long one does not keep the others waiting.
        let work = |worker: &ThreadPool| {
            let mut done = Vec::new();
            while let Some(&index) =
                missing.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
            {
                let embed = || self.embed_one(texts[index]);
                // One at a time, so that a question gets in between the texts of a long turn.
                done.push(worker.install(embed).map(|vector| (index, vector)));
            }
            done
        };
        let shares: Vec<Vec<Result<_>>> = std::thread::scope(|scope| {
            let workers = self.workers.iter().take(missing.len());
            let handles: Vec<_> = workers
                .map(|worker| scope.spawn(move || work(worker)))
                .collect();
            handles
                .into_iter()
                .filter_map(|handle| handle.join().ok())
                .collect()
        });
        let mut cache = self
            .cache
            .lock()
            .map_err(|_| anyhow!("the embedder failed before"))?;
        for result in shares.into_iter().flatten() {
            let (index, vector) = result?;
            cache.put(texts[index].to_owned(), vector.clone());
            vectors[index] = Some(vector);
        }
        vectors
            .into_iter()
            .map(|vector| vector.context("an embedding worker failed"))
            .collect()
    }

    fn passages<'t>(&self, text: &'t str) -> Result<Vec<&'t str>> {
        let encoding = self
            .tokenizer
            .encode(text, false)
            .map_err(|error| anyhow!("cannot tokenize: {error}"))?;
        let tokens: Vec<usize> = encoding
            .get_offsets()
            .iter()
            .map(|&(start, _)| start)
            .collect();
        Ok(passages::cut(text, &tokens, PASSAGE.min(self.window - 2)))
    }
}
