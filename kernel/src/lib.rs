//! The inner loops of a BERT, on processors with AVX2.
//!
//! A transformer spends its time in products of matrices. They are quick here, since whole numbers are multiplied: one instruction
//! (`vpmaddwd`) multiplies sixteen pairs of 16-bit numbers, and adds them two by two to eight sums of 32 bits, twice as many as with
//! floating point.
//!
//! - **Weights** are whole numbers already: the bundled file has them as [`q8`] (Q8_0 of GGUF), 8 bits each and a scale for each 32.
//!   A [`Matrix`] holds the same numbers, nothing is rounded again, in the order in which they are read: sixteen outputs side by side.
//! - **Activations** are rounded to 16 bits when they are multiplied: [`Rows`], one scale a row. The error is 1/65,000 of the greatest
//!   number of the row. 32 products of 8 and 16 bits fit into 32 bits, whatever the numbers are, so no sum overflows.
//! - **The sums** of each 32 products become floating point, get their scale and are added up.
//!
//! All else stays floating point, and as few passes over memory as can be: [`Processor::attend`] makes scores, softmax and their sum
//! of the values for six rows at a time, [`Processor::normalize`] adds and norms, [`Processor::product`] may end with the GELU.
//!
//! One layer of a BERT is, for the rows `x`:
//!
//! ```text
//! round x      product with queries, keys, values      attend
//! round        product with the output                 normalize x +
//! round x      product with the inner layer, GELU
//! round        product with the outer layer            normalize x +
//! ```
//!
//! Nothing here knows what a text or a file is; that is `src/embedder/bert.rs` of allm. There is no unsafe code: a [`Processor`] is
//! the proof that it has the instructions, as `pulp` finds out when the program runs. Where there is none (other processors, old
//! ones), the model runs on candle. NEON is not here since its products of 16 bits are no quicker than those of floating point.

#![cfg(target_arch = "x86_64")]
#![expect(
    clippy::inline_always,
    reason = "only what is inlined into a function with the wide instructions may use them"
)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod attention;
mod lanes;
mod matrix;
mod norm;
mod processor;
pub mod q8;
mod rows;
#[cfg(test)]
mod tests;

pub use attention::{Heads, Scores};
pub use matrix::Matrix;
pub use norm::Norm;
pub use processor::{Processor, Then};
pub use rows::Rows;
