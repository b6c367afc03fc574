//! Rows of activations, rounded to 16 bits.

use pulp::x86::V3;
use pulp::{cast, f32x8};

use crate::lanes::{LANES, ZERO, greatest, read, rounded};

/// The most rows that are multiplied at a time: their sums fill the processor's registers.
pub const HEIGHT: usize = 6;
/// What the greatest number of a row becomes.
const GREATEST: f32 = 32767.0;

/// Holds rounded rows. They lie in panels of up to [`HEIGHT`] rows; a panel has two numbers of each of its rows, then the next two of
/// each, as a product reads them. The two are in one word of 32 bits.
#[derive(Debug, Default)]
pub struct Rows {
    pub(crate) pairs: Vec<i32>,
    /// What the numbers of each row are to be multiplied with.
    pub(crate) scales: Vec<f32>,
}

/// Returns how many rows the next panel has when so many are left: panels are as even as can be.
#[inline(always)]
pub fn height(left: usize) -> usize {
    left.div_ceil(left.div_ceil(HEIGHT))
}

/// Rounds rows of `width` numbers, a multiple of 16.
#[inline(always)]
pub fn round(lanes: V3, x: &[f32], width: usize, out: &mut Rows) {
    let count = x.len() / width;
    out.pairs.resize(count * width / 2, 0);
    out.scales.resize(count, 0.0);
    let (mut x, mut pairs, mut scales) = (x, &mut *out.pairs, &mut *out.scales);
    while !scales.is_empty() {
        let height = height(scales.len());
        let (panel, rest) = pairs.split_at_mut(height * width / 2);
        let (own, others) = scales.split_at_mut(height);
        let (rows, below) = x.split_at(height * width);
        for (row, (x, scale)) in rows.chunks_exact(width).zip(own).enumerate() {
            let top = top(lanes, x).max(1e-20);
            *scale = top / GREATEST;
            let factor = lanes.splat_f32x8(GREATEST / top);
            let both = x.chunks_exact(2 * LANES);
            for (x, pairs) in both.zip(panel.chunks_exact_mut(LANES * height)) {
                let first = rounded(lanes, lanes.mul_f32x8(read(x), factor));
                let second = rounded(lanes, lanes.mul_f32x8(read(&x[LANES..]), factor));
                let packed = lanes.avx2._mm256_packs_epi32(cast(first), cast(second));
                // The halves of each come out in turns.
                let packed = lanes.avx2._mm256_permute4x64_epi64::<0b11_01_10_00>(packed);
                let packed: [i32; LANES] = cast(packed);
                for (place, pair) in pairs[row..].iter_mut().step_by(height).zip(packed) {
                    *place = pair;
                }
            }
        }
        (x, pairs, scales) = (below, rest, others);
    }
}

/// Returns the greatest size of a number.
#[inline(always)]
fn top(lanes: V3, x: &[f32]) -> f32 {
    let mut top: [f32x8; 2] = [ZERO; 2];
    for x in x.chunks_exact(2 * LANES) {
        top[0] = lanes.max_f32x8(top[0], lanes.abs_f32x8(read(x)));
        top[1] = lanes.max_f32x8(top[1], lanes.abs_f32x8(read(&x[LANES..])));
    }
    greatest(lanes.max_f32x8(top[0], top[1]))
}
