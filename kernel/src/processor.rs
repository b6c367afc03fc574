//! The proof that the processor has the instructions, and what can be done with them.

use pulp::NullaryFnOnce;
use pulp::x86::V3;

use crate::attention::{self, Heads, Scores};
use crate::{Matrix, Norm, Rows, matrix, norm, rows};

/// Is a processor with AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
pub struct Processor(V3);

/// Says what a product ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Nothing,
    Gelu,
}

impl Processor {
    /// Returns the processor, if it has the instructions.
    pub fn detect() -> Option<Processor> {
        V3::try_new().map(Processor)
    }

    /// Rounds rows of `width` numbers.
    pub fn round(self, x: &[f32], width: usize, out: &mut Rows) {
        self.run(
            #[inline(always)]
            |lanes| rows::round(lanes, x, width, out),
        );
    }

    /// Writes a row of outputs for each row: its products with the matrix, and the bias.
    pub fn product(self, rows: &Rows, matrix: &Matrix, then: Then, out: &mut [f32]) {
        match then {
            Then::Nothing => self.run(
                #[inline(always)]
                |lanes| matrix::product::<false>(lanes, rows, matrix, out),
            ),
            Then::Gelu => self.run(
                #[inline(always)]
                |lanes| matrix::product::<true>(lanes, rows, matrix, out),
            ),
        }
    }

    /// Adds `y` to the rows of `x`, and makes the mean of each 0 and its variance 1, then scaled and moved as the norm says.
    pub fn normalize(self, x: &mut [f32], y: &[f32], norm: &Norm) {
        self.run(
            #[inline(always)]
            |lanes| norm::normalize(lanes, x, y, norm),
        );
    }

    /// Lets the words of one text attend to each other: each row of `qkv` holds a word's query, key and value for all `heads`, and
    /// each row of `out` becomes the mean of the values, weighted by how well the keys match the word's query.
    pub fn attend(self, qkv: &[f32], heads: Heads, scores: &mut Scores, out: &mut [f32]) {
        self.run(
            #[inline(always)]
            |lanes| attention::attend(lanes, qkv, heads, scores, out),
        );
    }

    #[inline(always)]
    fn run(self, body: impl FnOnce(V3)) {
        self.0.vectorize(Body(self.0, body));
    }
}

/// Is what is compiled for the processor's instructions.
struct Body<F>(V3, F);

impl<F: FnOnce(V3)> NullaryFnOnce for Body<F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        (self.1)(self.0);
    }
}
