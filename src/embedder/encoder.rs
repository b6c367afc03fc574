//! A sentence encoder: tokens, a transformer, and what makes one vector of its many.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use anyhow::{Context, Result, anyhow, bail};
use lru::LruCache;

use super::architecture::Transformer;
use super::head::Layer;
use super::settings::Settings;
use super::tokens::Tokens;
use super::{Embedder, passages};

/// Of how many texts something is kept in memory: people repeat themselves, and so do searches.
const CACHED: NonZeroUsize = NonZeroUsize::new(1_000).expect("1,000 is not zero");

/// How many bytes of text go through the model together, if no worker is left without: some 200 tokens.
const TOGETHER: usize = 800;

/// The longest passage in tokens. Short passages match better than ones that fill the model's window.
const PASSAGE: usize = 200;

/// Embeds text with a model.
pub struct Encoder {
    name: String,
    transformer: Transformer,
    tokens: Tokens,
    layers: Vec<Layer>,
    settings: Settings,
    dimension: usize,
    /// The longest passage in tokens: the marks around it and the longer prefix are within the window too.
    longest: usize,
    /// How many threads embed at a time: several texts side by side beat several threads in one matrix product.
    workers: usize,
    cache: Mutex<LruCache<String, Known>>,
}

/// Says what is known of a text.
#[derive(Clone)]
enum Known {
    /// Its tokens, with their marks, since it was cut out of another a moment ago.
    Tokens(Vec<u32>),
    Vector(Vec<f32>),
}

impl Encoder {
    /// Puts an encoder together from its transformer, its tokenizer and the layers of `settings.steps`.
    pub fn new(
        name: String,
        transformer: Transformer,
        tokens: Tokens,
        layers: Vec<Layer>,
        mut settings: Settings,
    ) -> Result<Encoder> {
        settings.window = settings.window.min(transformer.positions);
        let prefixes = &settings.prefixes;
        let prefix = tokens
            .count(&prefixes.query)?
            .max(tokens.count(&prefixes.passage)?);
        let taken = tokens.marks() + prefix;
        let Some(longest @ 1..) = settings.window.checked_sub(taken) else {
            bail!(
                "the model takes {} tokens, and its prefixes leave no room in them",
                settings.window
            );
        };
        let dimension = layers.iter().rev().find_map(Layer::dimension);
        Ok(Encoder {
            name,
            dimension: dimension.unwrap_or(transformer.dimension),
            transformer,
            tokens,
            layers,
            settings,
            longest: longest.min(PASSAGE),
            workers: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            cache: Mutex::new(LruCache::new(CACHED)),
        })
    }

    /// Returns a vector for each text of a group.
    fn embed_some(&self, texts: &[&str], known: &[Option<Known>]) -> Result<Vec<Vec<f32>>> {
        let tokens = |(text, known): (&&str, &Option<Known>)| match known {
            Some(Known::Tokens(tokens)) => Ok(tokens.clone()),
            _ if self.settings.is_lowercase => {
                self.tokens.of(&text.to_lowercase(), self.settings.window)
            }
            _ => self.tokens.of(text, self.settings.window),
        };
        let tokens: Vec<Vec<u32>> = texts.iter().zip(known).map(tokens).collect::<Result<_>>()?;
        if tokens.iter().any(Vec::is_empty) {
            bail!("there is nothing to embed");
        }
        let vector = |tokens| {
            let mut vector = self.settings.pooling.pool(&tokens)?;
            for layer in &self.layers {
                vector = layer.forward(&vector)?;
            }
            unit(vector.to_vec1()?).context("the model returned no direction")
        };
        let tokens = self.transformer.forward(&tokens)?;
        tokens.into_iter().map(vector).collect()
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
        let mut known: Vec<Option<Known>> = {
            let mut cache = self.cache()?;
            texts.iter().map(|text| cache.get(*text).cloned()).collect()
        };
        let groups = self.groups(texts, &known);
        let next = AtomicUsize::new(0);
        // Each worker takes the next group, so that a long text does not keep the others waiting.
        let work = || {
            let mut done = Vec::new();
            while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                let texts: Vec<&str> = group.iter().map(|&index| texts[index]).collect();
                let known: Vec<_> = group.iter().map(|&index| known[index].clone()).collect();
                done.push(
                    self.embed_some(&texts, &known)
                        .map(|vectors| (group, vectors)),
                );
            }
            done
        };
        let shares: Vec<Vec<Result<_>>> = std::thread::scope(|scope| {
            let workers = 0..self.workers.min(groups.len());
            let handles: Vec<_> = workers.map(|_| scope.spawn(work)).collect();
            let handles = handles.into_iter();
            handles.filter_map(|handle| handle.join().ok()).collect()
        });
        let mut cache = self.cache()?;
        for result in shares.into_iter().flatten() {
            let (group, vectors) = result?;
            for (&index, vector) in group.iter().zip(vectors) {
                let vector = Known::Vector(vector);
                cache.put(texts[index].to_owned(), vector.clone());
                known[index] = Some(vector);
            }
        }
        let vectors = known.into_iter().map(|known| match known {
            Some(Known::Vector(vector)) => Ok(vector),
            _ => Err(anyhow!("an embedding worker failed")),
        });
        vectors.collect()
    }

    /// Returns which texts without a vector go through the model together: short ones by some, but no worker is left without.
    fn groups(&self, texts: &[&str], known: &[Option<Known>]) -> Vec<Vec<usize>> {
        let is_missing = |index: &usize| !matches!(known[*index], Some(Known::Vector(_)));
        let missing: Vec<usize> = (0..texts.len()).filter(is_missing).collect();
        let all: usize = missing.iter().map(|&index| texts[index].len()).sum();
        let most = all.div_ceil(self.workers).min(TOGETHER);
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut room = 0;
        for index in missing {
            let size = texts[index].len();
            match groups.last_mut() {
                Some(group) if size <= room => group.push(index),
                _ => {
                    groups.push(vec![index]);
                    room = most;
                }
            }
            room = room.saturating_sub(size);
        }
        groups
    }

    fn cache(&self) -> Result<MutexGuard<'_, LruCache<String, Known>>> {
        let cache = self.cache.lock();
        cache.map_err(|_| anyhow!("the embedder failed before"))
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
        let text_tokens = self.tokens.whole(text)?;
        let passages = passages::cut(text, &text_tokens.starts, self.longest);
        let prefixes = &self.settings.prefixes;
        if prefixes.query.is_empty() && prefixes.passage.is_empty() && !self.settings.is_lowercase {
            let mut cache = self.cache()?;
            for &passage in &passages {
                let start = passage.as_ptr().addr() - text.as_ptr().addr();
                let tokens = text_tokens.between(start..start + passage.len());
                if let Some(tokens) = tokens.filter(|_| !cache.contains(passage)) {
                    cache.put(passage.to_owned(), Known::Tokens(tokens));
                }
            }
        }
        Ok(passages)
    }
}
