//! Attention (Vaswani et al. 2017): scores, their softmax and the sum of the values, for some words at a time.

use pulp::x86::V3;

use crate::lanes::{LANES, ZERO, exp2, greatest, read, sum, write};
use crate::rows::{HEIGHT, height};

/// How many words are looked at, and numbers of a value added up, at a time.
const WIDTH: usize = 2 * LANES;

/// Says how many heads there are, and how many numbers each has of a query, a key and a value: a multiple of 16.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    pub count: usize,
    pub size: usize,
}

/// Holds what is needed on the way, so that it is not made anew for each text.
#[derive(Debug, Default)]
pub struct Scores {
    /// The keys of a head: the first number of each word's, then the second of each.
    keys: Vec<f32>,
    weights: Vec<f32>,
}

#[inline(always)]
pub fn attend(lanes: V3, qkv: &[f32], heads: Heads, scores: &mut Scores, out: &mut [f32]) {
    let all = heads.count * heads.size;
    let words = qkv.len() / (3 * all);
    let stride = words.next_multiple_of(WIDTH);
    // What is behind the last word stays 0.
    scores.keys.clear();
    scores.keys.resize(heads.size * stride, 0.0);
    scores.weights.resize(HEIGHT * stride, 0.0);
    for head in 0..heads.count {
        let at = head * heads.size;
        for (word, qkv) in qkv.chunks_exact(3 * all).enumerate() {
            let key = &qkv[all + at..][..heads.size];
            for (place, number) in scores.keys[word..].iter_mut().step_by(stride).zip(key) {
                *place = *number;
            }
        }
        let head = Head {
            qkv,
            keys: &scores.keys,
            all,
            at,
            size: heads.size,
            words,
            stride,
        };
        let weights = &mut *scores.weights;
        let mut first = 0;
        while first < words {
            let height = height(words - first);
            let out = &mut out[first * all..];
            match height {
                6 => head.attend::<6>(lanes, first, weights, out),
                5 => head.attend::<5>(lanes, first, weights, out),
                4 => head.attend::<4>(lanes, first, weights, out),
                3 => head.attend::<3>(lanes, first, weights, out),
                2 => head.attend::<2>(lanes, first, weights, out),
                _ => head.attend::<1>(lanes, first, weights, out),
            }
            first += height;
        }
    }
}

/// Is one head of a text.
#[derive(Clone, Copy)]
struct Head<'a> {
    qkv: &'a [f32],
    keys: &'a [f32],
    /// How long a vector of all heads is, where that of this one begins in it, and how long that is.
    all: usize,
    at: usize,
    size: usize,
    words: usize,
    /// `words`, filled up.
    stride: usize,
}

impl Head<'_> {
    /// Lets R words attend to all.
    #[inline(always)]
    fn attend<const R: usize>(self, lanes: V3, first: usize, weights: &mut [f32], out: &mut [f32]) {
        self.score::<R>(lanes, first, weights);
        let mut factors = [0.0; R];
        for (row, factor) in weights.chunks_exact_mut(self.stride).zip(&mut factors) {
            *factor = self.soften(lanes, row);
        }
        self.gather(lanes, weights, factors, out);
    }

    /// Multiplies the queries with all keys.
    #[inline(always)]
    fn score<const R: usize>(self, lanes: V3, first: usize, rows: &mut [f32]) {
        let mut queries: [&[f32]; R] = [&[]; R];
        for (query, qkv) in queries
            .iter_mut()
            .zip(self.qkv[first * 3 * self.all..].chunks_exact(3 * self.all))
        {
            *query = &qkv[self.at..][..self.size];
        }
        for at in (0..self.stride).step_by(WIDTH) {
            let mut sums = [[ZERO; 2]; R];
            for (number, keys) in self.keys.chunks_exact(self.stride).enumerate() {
                let keys = &keys[at..][..WIDTH];
                let keys = [read(keys), read(&keys[LANES..])];
                for (sums, query) in sums.iter_mut().zip(queries) {
                    let query = lanes.splat_f32x8(query[number]);
                    for (sum, keys) in sums.iter_mut().zip(keys) {
                        *sum = lanes.mul_add_f32x8(query, keys, *sum);
                    }
                }
            }
            for (row, sums) in rows.chunks_exact_mut(self.stride).zip(sums) {
                let row = &mut row[at..][..WIDTH];
                write(row, sums[0]);
                write(&mut row[LANES..], sums[1]);
            }
        }
    }

    /// Makes weights of a row's scores: the powers of e, divided by the root of the length. Returns what makes their sum 1.
    #[inline(always)]
    #[expect(clippy::cast_precision_loss, reason = "a head is not that long")]
    fn soften(self, lanes: V3, row: &mut [f32]) -> f32 {
        let unit = std::f32::consts::LOG2_E / (self.size as f32).sqrt();
        // There is no word behind the last.
        row[self.words..].fill(f32::NEG_INFINITY);
        let mut top = read(row);
        for scores in row.chunks_exact(LANES) {
            top = lanes.max_f32x8(top, read(scores));
        }
        let top = lanes.splat_f32x8(greatest(top) * unit);
        let unit = lanes.splat_f32x8(unit);
        let mut all = ZERO;
        for scores in row.chunks_exact_mut(LANES) {
            let power = exp2(lanes, lanes.mul_sub_f32x8(read(scores), unit, top));
            all = lanes.add_f32x8(all, power);
            write(scores, power);
        }
        sum(all).recip()
    }

    /// Writes the sums of the values, each with its weight.
    #[inline(always)]
    fn gather<const R: usize>(
        self,
        lanes: V3,
        weights: &[f32],
        factors: [f32; R],
        out: &mut [f32],
    ) {
        let mut rows: [&[f32]; R] = [&[]; R];
        for (row, weights) in rows.iter_mut().zip(weights.chunks_exact(self.stride)) {
            *row = &weights[..self.words];
        }
        for part in (0..self.size).step_by(WIDTH) {
            let at = self.at + part;
            let mut sums = [[ZERO; 2]; R];
            for (word, qkv) in self.qkv.chunks_exact(3 * self.all).enumerate() {
                let values = &qkv[2 * self.all + at..][..WIDTH];
                let values = [read(values), read(&values[LANES..])];
                for (sums, weights) in sums.iter_mut().zip(rows) {
                    let weight = lanes.splat_f32x8(weights[word]);
                    for (sum, values) in sums.iter_mut().zip(values) {
                        *sum = lanes.mul_add_f32x8(weight, values, *sum);
                    }
                }
            }
            let rows = out.chunks_exact_mut(self.all);
            for ((out, sums), factor) in rows.zip(sums).zip(factors) {
                let factor = lanes.splat_f32x8(factor);
                let out = &mut out[at..][..WIDTH];
                write(out, lanes.mul_f32x8(sums[0], factor));
                write(&mut out[LANES..], lanes.mul_f32x8(sums[1], factor));
            }
        }
    }
}
