//! Turns text into vectors, on this machine.

mod bert;
mod model;
mod passages;

use std::sync::{Arc, OnceLock};

use anyhow::Result;

pub use bert::Bert;
pub use model::{Source, argument};

/// Turns texts into unit vectors.
pub trait Embedder: Send + Sync {
    /// Returns the name that the registry keeps beside the vectors.
    fn name(&self) -> &str;
    /// Returns the length of every vector.
    fn dimension(&self) -> usize;
    /// Returns one vector of [`Embedder::dimension`] numbers and length 1 for each text. Bound by the processor, so not async.
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>>;
    /// Cuts a text into passages that the model reads whole, on sentence borders where it can.
    fn passages<'t>(&self, text: &'t str) -> Result<Vec<&'t str>>;
}

/// Loads an embedder when it is first needed, so that a command that needs none does not wait.
#[derive(Clone)]
pub struct Lazy(Arc<Inner>);

struct Inner {
    source: Source,
    loaded: OnceLock<Result<Box<dyn Embedder>, String>>,
}

impl Lazy {
    /// Returns an embedder that is not loaded yet. Nothing is read, and nothing fetched.
    pub fn new(source: Source) -> Lazy {
        Lazy(Arc::new(Inner {
            source,
            loaded: OnceLock::new(),
        }))
    }

    /// Returns an embedder that is there already, under the name of `source`: one that benchmarks make.
    pub fn ready(source: Source, embedder: Box<dyn Embedder>) -> Lazy {
        Lazy(Arc::new(Inner {
            source,
            loaded: OnceLock::from(Ok(embedder)),
        }))
    }

    /// Returns the name without loading the model.
    pub fn name(&self) -> String {
        self.0.source.name()
    }

    /// Returns the loaded embedder. The first call takes the time to read the weights; it blocks, so async code calls it
    /// where it may block.
    pub fn get(&self) -> Result<&dyn Embedder> {
        let load = || match self.0.source.load() {
            Ok(bert) => Ok(Box::new(bert) as Box<dyn Embedder>),
            Err(error) => Err(format!("{error:#}")),
        };
        match self.0.loaded.get_or_init(load) {
            Ok(embedder) => Ok(embedder.as_ref()),
            Err(error) => Err(anyhow::anyhow!("{error}")),
        }
    }
}
