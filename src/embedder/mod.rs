//! Turns text into vectors, on this machine.

mod architecture;
#[cfg(target_arch = "x86_64")]
mod bert;
mod encoder;
mod head;
mod hub;
mod model;
mod passages;
mod settings;
mod tokens;
mod weights;

use std::sync::{Arc, OnceLock};

use anyhow::Result;

pub use model::{Source, argument};

/// Turns texts into unit vectors.
pub trait Embedder: Send + Sync {
    /// Returns the name that the registry keeps beside the vectors.
    fn name(&self) -> &str;
    /// Returns the length of every vector.
    fn dimension(&self) -> usize;
    /// Returns one vector of [`Embedder::dimension`] numbers and length 1 for each text that is to be found. Bound by the processor,
    /// so not async.
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>>;
    /// Returns such a vector for each text that is looked for; many models tell these from what is to be found.
    fn embed_queries(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        self.embed(texts)
    }
    /// Says what the model is and what it does with a text, for a person.
    fn description(&self) -> String {
        format!("{} dimensions", self.dimension())
    }
    /// Cuts a text into passages that the model reads whole, on sentence borders where it can.
    fn passages<'t>(&self, text: &'t str) -> Result<Vec<&'t str>>;
}

/// Loads an embedder when it is first needed, so that a command that needs none does not wait.
#[derive(Clone)]
pub struct Lazy(Arc<Inner>);

struct Inner {
    source: Source,
    name: String,
    loaded: OnceLock<Result<Box<dyn Embedder>, String>>,
}

impl Lazy {
    /// Returns an embedder that is not loaded yet. Nothing is fetched, and no weights are read.
    pub fn new(source: Source) -> Lazy {
        Lazy(Arc::new(Inner {
            name: source.name(),
            source,
            loaded: OnceLock::new(),
        }))
    }

    /// Returns an embedder that is there already, under the name of `source`: one that benchmarks make.
    pub fn ready(source: Source, embedder: Box<dyn Embedder>) -> Lazy {
        Lazy(Arc::new(Inner {
            name: source.name(),
            source,
            loaded: OnceLock::from(Ok(embedder)),
        }))
    }

    /// Returns the name without loading the model.
    pub fn name(&self) -> String {
        self.0.name.clone()
    }

    /// Returns the loaded embedder. The first call takes the time to read the weights; it blocks, so async code calls it
    /// where it may block.
    pub fn get(&self) -> Result<&dyn Embedder> {
        let load = || match self.0.source.load() {
            Ok(encoder) => Ok(Box::new(encoder) as Box<dyn Embedder>),
            Err(error) => Err(format!("{error:#}")),
        };
        match self.0.loaded.get_or_init(load) {
            Ok(embedder) => Ok(embedder.as_ref()),
            Err(error) => Err(anyhow::anyhow!("{error}")),
        }
    }
}
