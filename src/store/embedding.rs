//! Turns texts into passages with vectors.

use anyhow::{Context, Result, bail};

use std::sync::atomic::Ordering;

use crate::embedder::argument;
use crate::store::open::Store;
use crate::store::tables::registry;
use crate::store::words::Hinted;

/// Holds the passages of one text; a vector is missing where none was asked for.
pub type Embedded = Vec<(String, Option<Vec<f32>>)>;

impl Store {
    /// Makes sure that the vectors of the store are still of the model that it was opened with.
    pub(in crate::store) async fn check_embedder(&self) -> Result<()> {
        // Whoever changes it counts as one who erases.
        let now = self.locks.erasures();
        if self.checked.load(Ordering::SeqCst) == now {
            return Ok(());
        }
        let embedding = registry::embedding(&self.connection, &self.locks).await?;
        let model = embedding.map(|embedding| embedding.model);
        if let Some(model) = model.filter(|model| *model != self.options.embedder.name()) {
            return Err(anyhow::Error::new(Hinted {
                message: format!("the vectors of this store are made with `{model}` now"),
                hint: format!(
                    "leave, and start again with `--embedder {}`",
                    argument(&model)
                ),
            }));
        }
        self.checked.store(now, Ordering::SeqCst);
        Ok(())
    }

    /// Cuts texts into passages and embeds the first of each, as many as its number says, away from the async threads.
    pub(in crate::store) async fn embed(
        &self,
        texts: Vec<(String, usize)>,
    ) -> Result<Vec<Embedded>> {
        self.check_embedder().await?;
        let embedder = self.options.embedder.clone();
        let work = move || {
            let embedder = embedder.get()?;
            let mut cut = Vec::new();
            for (text, embedded) in &texts {
                cut.push((embedder.passages(text)?, *embedded));
            }
            let wanted: Vec<&str> = cut
                .iter()
                .flat_map(|(pieces, embedded)| pieces.iter().take(*embedded).copied())
                .collect();
            let mut vectors = embedder.embed(&wanted)?.into_iter();
            let embedded = |(pieces, embedded): (Vec<&str>, usize)| {
                let pieces = pieces.into_iter().enumerate();
                pieces
                    .map(|(at, piece)| {
                        let vector = if at < embedded { vectors.next() } else { None };
                        (piece.to_owned(), vector)
                    })
                    .collect()
            };
            Ok(cut.into_iter().map(embedded).collect())
        };
        tokio::task::spawn_blocking(work)
            .await
            .context("the embedder failed")?
    }

    /// Cuts texts into passages and embeds none of them.
    pub(in crate::store) async fn cut(
        &self,
        mut texts: Vec<(String, usize)>,
    ) -> Result<Vec<Embedded>> {
        for (_, embedded) in &mut texts {
            *embedded = 0;
        }
        self.embed(texts).await
    }

    /// Returns one vector for each passage.
    pub(in crate::store) async fn embed_pieces(&self, pieces: &[&str]) -> Result<Vec<Vec<f32>>> {
        self.check_embedder().await?;
        let embedder = self.options.embedder.clone();
        let pieces: Vec<String> = pieces.iter().map(|&piece| piece.to_owned()).collect();
        let work = move || {
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            embedder.get()?.embed(&pieces)
        };
        tokio::task::spawn_blocking(work)
            .await
            .context("the embedder failed")?
    }

    /// Returns one vector for a whole text.
    pub(in crate::store) async fn embed_whole(&self, text: &str) -> Result<Vec<f32>> {
        let embedded = self.embed(vec![(text.to_owned(), usize::MAX)]).await?;
        match mean(
            embedded
                .iter()
                .flatten()
                .filter_map(|(_, vector)| vector.as_ref()),
        ) {
            Some(mean) => Ok(mean),
            None => bail!("there is nothing to look for in `{}`", text.trim()),
        }
    }
}

/// Returns the mean of unit vectors, scaled to length 1; `None` without vectors.
pub fn mean<'v>(mut vectors: impl Iterator<Item = &'v Vec<f32>>) -> Option<Vec<f32>> {
    let mut sum = vectors.next()?.clone();
    for vector in vectors {
        sum.iter_mut().zip(vector).for_each(|(a, b)| *a += b);
    }
    let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt();
    for x in &mut sum {
        *x /= length;
    }
    Some(sum).filter(|_| length > 0.0)
}
