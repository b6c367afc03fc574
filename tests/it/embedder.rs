//! An embedder for tests of the store: texts with the same words are alike.

#![expect(
    clippy::cast_precision_loss,
    reason = "the generator's numbers are small"
)]

use std::collections::HashMap;
use std::sync::Mutex;

use allm::embedder::Embedder;
use anyhow::Result;

use crate::upkeep::synthetic::Numbers;

/// The length of the vectors, that of the bundled model.
const DIMENSION: usize = 384;

/// Embeds a text as the sum of vectors of its words, rare words more than common ones.
#[derive(Default)]
pub struct Words(Mutex<HashMap<String, Vec<f32>>>);

impl Words {
    fn add(&self, word: &str, sum: &mut [f32]) {
        let mut known = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let vector = known.entry(word.to_owned()).or_insert_with(|| {
            let seed = word.bytes().fold(7, |seed: u64, byte| {
                seed.wrapping_mul(31).wrapping_add(byte.into())
            });
            let mut numbers = Numbers(seed);
            (0..DIMENSION)
                .map(|_| numbers.below(2_001) as f32 / 1_000.0 - 1.0)
                .collect()
        });
        sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += *x);
    }
}

impl Embedder for Words {
    fn name(&self) -> &'static str {
        "all-MiniLM-L6-v2"
    }

    fn dimension(&self) -> usize {
        DIMENSION
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let embed = |text: &&str| {
            let mut sum = vec![0.0; DIMENSION];
            for word in text.split([' ', '.']).filter(|word| !word.is_empty()) {
                self.add(word, &mut sum);
            }
            let length = sum
                .iter()
                .map(|x| x * x)
                .sum::<f32>()
                .sqrt()
                .max(f32::EPSILON);
            for x in &mut sum {
                *x /= length;
            }
            sum
        };
        Ok(texts.iter().map(embed).collect())
    }

    fn passages<'t>(&self, text: &'t str) -> Result<Vec<&'t str>> {
        Ok(vec![text])
    }
}
