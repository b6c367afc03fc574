//! The layer norm (Ba, Kiros and Hinton 2016), with the addition before it.

use pulp::x86::V3;

use crate::lanes::{LANES, ZERO, read, sum, write};

/// Says what a row is scaled with and moved by once its mean is 0 and its variance 1.
pub struct Norm {
    pub weights: Vec<f32>,
    pub biases: Vec<f32>,
    /// What is added to the variance, so that it is not 0.
    pub epsilon: f32,
}

#[inline(always)]
#[expect(clippy::cast_precision_loss, reason = "a row is not that long")]
pub fn normalize(lanes: V3, x: &mut [f32], y: &[f32], norm: &Norm) {
    let width = norm.weights.len();
    let count = width as f32;
    for (x, y) in x.chunks_exact_mut(width).zip(y.chunks_exact(width)) {
        let mut sums = [ZERO; 2];
        for (x, y) in x.chunks_exact_mut(2 * LANES).zip(y.chunks_exact(2 * LANES)) {
            let both = x.chunks_exact_mut(LANES).zip(y.chunks_exact(LANES));
            for ((x, y), sum) in both.zip(&mut sums) {
                let both = lanes.add_f32x8(read(x), read(y));
                write(x, both);
                *sum = lanes.add_f32x8(*sum, both);
            }
        }
        let mean = lanes.splat_f32x8(sum(lanes.add_f32x8(sums[0], sums[1])) / count);
        let mut squares = [ZERO; 2];
        for x in x.chunks_exact(2 * LANES) {
            for (x, square) in x.chunks_exact(LANES).zip(&mut squares) {
                let from_mean = lanes.sub_f32x8(read(x), mean);
                *square = lanes.mul_add_f32x8(from_mean, from_mean, *square);
            }
        }
        let variance = sum(lanes.add_f32x8(squares[0], squares[1])) / count;
        let factor = lanes.splat_f32x8((variance + norm.epsilon).sqrt().recip());
        let weights = norm.weights.chunks_exact(LANES);
        let learnt = weights.zip(norm.biases.chunks_exact(LANES));
        for (x, (weights, biases)) in x.chunks_exact_mut(LANES).zip(learnt) {
            let from_mean = lanes.mul_f32x8(lanes.sub_f32x8(read(x), mean), factor);
            write(
                x,
                lanes.mul_add_f32x8(from_mean, read(weights), read(biases)),
            );
        }
    }
}
