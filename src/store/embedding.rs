//! Turns texts into passages with vectors.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail};

use crate::embedder::{Embedder, argument};
use crate::store::open::Store;
use crate::store::tables::{Passage, registry};
use crate::store::words::Hinted;

/// The longest text that is looked for whole, in bytes: some four passages.
const LONGEST_QUERY: usize = 4 << 10;

/// Is one side of an embedder.
type Embed = fn(&dyn Embedder, &[&str]) -> Result<Vec<Vec<f32>>>;

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

    /// Cuts texts into passages, away from the async threads.
    pub(in crate::store) async fn cut(&self, texts: Vec<String>) -> Result<Vec<Vec<String>>> {
        let embedder = self.options.embedder.clone();
        let work = move || {
            let embedder = embedder.get()?;
            let cut = |text: &String| {
                let pieces = embedder.passages(text)?.into_iter();
                Ok(pieces.map(str::to_owned).collect())
            };
            texts.iter().map(cut).collect()
        };
        tokio::task::spawn_blocking(work)
            .await
            .context("the embedder failed")?
    }

    /// Returns one vector for each passage.
    pub(in crate::store) async fn embed_pieces(&self, pieces: &[&str]) -> Result<Vec<Vec<f32>>> {
        let pieces = pieces.iter().map(|&piece| piece.to_owned()).collect();
        self.work(pieces, |embedder, pieces| embedder.embed(pieces))
            .await
    }

    /// Returns one vector for what is looked for.
    pub(in crate::store) async fn embed_query(&self, text: &str) -> Result<Vec<f32>> {
        let pieces = self.cut(vec![ends(text).into_owned()]).await?;
        let pieces = pieces.into_iter().flatten().collect();
        let embed: Embed = |embedder, pieces| embedder.embed_queries(pieces);
        let vectors = self.work(pieces, embed).await?;
        match mean(vectors.iter()) {
            Some(mean) => Ok(mean),
            None => bail!("there is nothing to look for in `{}`", text.trim()),
        }
    }

    /// Makes vectors, away from the async threads.
    async fn work(&self, pieces: Vec<String>, embed: Embed) -> Result<Vec<Vec<f32>>> {
        self.check_embedder().await?;
        let embedder = self.options.embedder.clone();
        let work = move || {
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            embed(embedder.get()?, &pieces)
        };
        tokio::task::spawn_blocking(work)
            .await
            .context("the embedder failed")?
    }
}

/// Returns what of a text is looked for, its beginning and its end: whoever pastes a whole log asks before it or after it, and each
/// passage of it costs a fraction of a second.
pub fn ends(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST_QUERY {
        return Cow::Borrowed(text);
    }
    let head = text.floor_char_boundary(LONGEST_QUERY / 2);
    let tail = text.ceil_char_boundary(text.len() - LONGEST_QUERY / 2 + 1);
    Cow::Owned(format!("{}\n{}", &text[..head], &text[tail..]))
}

/// Returns the vector of all that was said in an interaction, or of all that was thought and seen, from its passages.
pub fn whole<'p>(
    passages: impl IntoIterator<Item = &'p Passage>,
    is_said: bool,
) -> Option<Vec<f32>> {
    let of_it = passages.into_iter().filter(|passage| {
        let origin = passage.origin();
        origin.is_some_and(|origin| origin.is_said() == is_said)
    });
    mean(of_it.filter_map(|passage| passage.embedding.as_ref()))
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

#[cfg(test)]
mod tests {
    use super::*;

    // Finding M16.
    #[test]
    fn of_a_long_query_its_ends_are_looked_for() {
        assert_eq!(ends("why?"), "why?");
        let log = format!("why?{}how?", "é".repeat(1 << 20));
        let cut = ends(&log);
        assert!(cut.len() <= LONGEST_QUERY && cut.len() > LONGEST_QUERY - 8);
        assert!(cut.starts_with("why?é") && cut.ends_with("éhow?"));
        assert_eq!(ends(&cut), cut);
    }
}
