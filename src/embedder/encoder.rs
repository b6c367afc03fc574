//! A sentence encoder on candle: tokens, a transformer, and what makes one vector of its many.

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow, bail};
use lru::LruCache;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tokenizers::{PostProcessor, Tokenizer};

use super::architecture::Transformer;
use super::head::Layer;
use super::settings::Settings;
use super::{Embedder, passages};

/// How many texts keep their vectors in memory: people repeat themselves, and so do searches.
const CACHED: NonZeroUsize = NonZeroUsize::new(1_000).expect("1,000 is not zero");

/// The longest passage in tokens. Short passages match better than ones that fill the model's window.
const PASSAGE: usize = 200;

/// Embeds text with a model.
pub struct Encoder {
    name: String,
    transformer: Transformer,
    tokenizer: Tokenizer,
    layers: Vec<Layer>,
    settings: Settings,
    dimension: usize,
    /// The longest passage in tokens: the marks around it and the longer prefix are within the window too.
    longest: usize,
    /// One thread each: several texts side by side beat several threads in one matrix product.
    workers: Vec<ThreadPool>,
    cache: Mutex<LruCache<String, Vec<f32>>>,
}

impl Encoder {
    /// Puts an encoder together from its transformer, its tokenizer (`tokenizer.json`) and the layers of `settings.steps`.
    pub fn new(
        name: String,
        transformer: Transformer,
        tokenizer: &[u8],
        layers: Vec<Layer>,
        mut settings: Settings,
    ) -> Result<Encoder> {
        let mut tokenizer = Tokenizer::from_bytes(tokenizer)
            .map_err(|error| anyhow!("cannot read the tokenizer: {error}"))?;
        // The file may carry a truncation and a padding that were meant for training.
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|error| anyhow!("cannot set up the tokenizer: {error}"))?;
        settings.window = settings.window.min(transformer.positions);
        let marks = tokenizer
            .get_post_processor()
            .map_or(0, |marks| marks.added_tokens(false));
        let length = |prefix: &str| anyhow::Ok(tokens(&tokenizer, prefix, false)?.len());
        let prefixes = &settings.prefixes;
        let prefix = length(&prefixes.query)?.max(length(&prefixes.passage)?);
        let Some(longest @ 1..) = settings.window.checked_sub(marks + prefix) else {
            bail!(
                "the model takes {} tokens, and its prefixes leave no room in them",
                settings.window
            );
        };
        let workers = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let workers = (0..workers)
            .map(|_| ThreadPoolBuilder::new().num_threads(1).build())
            .collect::<Result<_, _>>()?;
        let dimension = layers.iter().rev().find_map(Layer::dimension);
        Ok(Encoder {
            name,
            dimension: dimension.unwrap_or(transformer.dimension),
            transformer,
            tokenizer,
            layers,
            settings,
            longest: longest.min(PASSAGE),
            workers,
            cache: Mutex::new(LruCache::new(CACHED)),
        })
    }

    fn embed_one(&self, text: &str) -> Result<Vec<f32>> {
        let text = match self.settings.is_lowercase {
            true => Cow::Owned(text.to_lowercase()),
            false => Cow::Borrowed(text),
        };
        let encoding = tokens(&self.tokenizer, &text, true)?;
        let mut ids = encoding.get_ids().to_vec();
        let window = self.settings.window;
        if let (Some(&end), true) = (ids.last(), ids.len() > window) {
            // The mark at the end stays, where there is one.
            let is_mark = encoding.get_special_tokens_mask().last() == Some(&1);
            ids.truncate(window - usize::from(is_mark));
            ids.extend(is_mark.then_some(end));
        }
        if ids.is_empty() {
            bail!("there is nothing to embed");
        }
        let mut vector = self
            .settings
            .pooling
            .pool(&self.transformer.forward(&ids)?)?;
        for layer in &self.layers {
            vector = layer.forward(&vector)?;
        }
        unit(vector.to_vec1()?).context("the model returned no direction")
    }

    /// Returns a vector for each text behind a prefix.
    fn embed_behind(&self, prefix: &str, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        if prefix.is_empty() {
            return self.embed_all(texts);
        }
        let texts: Vec<String> = texts.iter().map(|text| format!("{prefix}{text}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        self.embed_all(&texts)
    }

    fn embed_all(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
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
}

fn tokens(tokenizer: &Tokenizer, text: &str, has_marks: bool) -> Result<tokenizers::Encoding> {
    tokenizer
        .encode(text, has_marks)
        .map_err(|error| anyhow!("cannot tokenize: {error}"))
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

impl Embedder for Encoder {
    fn name(&self) -> &str {
        &self.name
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        self.embed_behind(&self.settings.prefixes.passage, texts)
    }

    fn embed_queries(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        self.embed_behind(&self.settings.prefixes.query, texts)
    }

    fn description(&self) -> String {
        let Settings {
            kind,
            pooling,
            window,
            ..
        } = &self.settings;
        let particulars = self.settings.particulars();
        let comma = if particulars.is_empty() { "" } else { ", " };
        let dimension = self.dimension;
        format!(
            "{kind}, {pooling} of at most {window} tokens, {dimension} dimensions{comma}{particulars}"
        )
    }

    fn passages<'t>(&self, text: &'t str) -> Result<Vec<&'t str>> {
        let encoding = tokens(&self.tokenizer, text, false)?;
        // A token may begin within a letter, where the letter has several.
        let starts = encoding.get_offsets().iter();
        let starts: Vec<usize> = starts
            .map(|&(start, _)| text.floor_char_boundary(start))
            .collect();
        Ok(passages::cut(text, &starts, self.longest))
    }
}
