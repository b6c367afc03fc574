//! Compares everything with its formula, written plainly in 64-bit floating point; not on a processor that lacks the instructions.

use crate::{Heads, Matrix, Norm, Processor, Rows, Scores, Then, q8};

/// Makes numbers between -1 and 1 that look random.
struct Numbers(u64);

impl Numbers {
    fn next_bits(&mut self) -> [u8; 2] {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let [.., low, high] = self.0.to_le_bytes();
        [low, high]
    }

    fn next(&mut self) -> f32 {
        f32::from(i16::from_le_bytes(self.next_bits())) / 32_768.0
    }

    fn some(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }

    /// Makes weights as a file has them.
    fn weights(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for block in 0..count / q8::BLOCK {
            // Between 2^-10 and 2^-7, each other one below 0.
            let scale = 0x1400
                + u16::try_from(block % 7).unwrap() * 0x180
                + u16::from(block % 2 == 0) * 0x8000;
            bytes.extend(scale.to_le_bytes());
            bytes.extend((0..q8::BLOCK).map(|_| self.next_bits()[1]));
        }
        bytes
    }
}

#[track_caller]
fn close(found: &[f32], wanted: &[f64], tolerance: f64) {
    assert_eq!(found.len(), wanted.len());
    let apart = |(found, wanted): (&f32, &f64)| (f64::from(*found) - wanted).abs();
    let worst = found
        .iter()
        .zip(wanted)
        .map(apart)
        .fold(0.0, |a: f64, b| if b.is_nan() { b } else { a.max(b) });
    assert!(worst <= tolerance, "{worst} apart");
}

fn gelu(x: f64) -> f64 {
    // Φ by Simpson's rule.
    let steps = 2000;
    let step = x / f64::from(steps);
    let density = |x: f64| (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let weight = |at| match at {
        0 | 2000 => 1.0,
        at if at % 2 == 1 => 4.0,
        _ => 2.0,
    };
    let area: f64 = (0..=steps)
        .map(|at| weight(at) * density(step * f64::from(at)))
        .sum();
    x * (0.5 + area * step / 3.0)
}

#[test]
fn products_are_those_of_the_weights_in_the_file() {
    let Some(processor) = Processor::detect() else {
        return;
    };
    let mut numbers = Numbers(1);
    for (count, inputs, outputs) in [
        (1, 32, 16),
        (2, 64, 48),
        (13, 384, 32),
        (6, 96, 64),
        (23, 32, 16),
    ] {
        let x = numbers.some(count * inputs);
        let (one, other) = (
            numbers.weights(inputs * 16),
            numbers.weights(inputs * (outputs - 16)),
        );
        let bias = numbers.some(outputs);
        let matrix = Matrix::new(inputs, &[(&one, &bias[..16]), (&other, &bias[16..])]).unwrap();
        let mut weights = vec![0.0; inputs * outputs];
        q8::read(&[one, other].concat(), &mut weights);
        let mut wanted = Vec::new();
        for x in x.chunks(inputs) {
            for (weights, bias) in weights.chunks(inputs).zip(&bias) {
                let products = x
                    .iter()
                    .zip(weights)
                    .map(|(x, weight)| f64::from(*x) * f64::from(*weight));
                wanted.push(products.sum::<f64>() + f64::from(*bias));
            }
        }
        let mut rows = Rows::default();
        processor.round(&x, inputs, &mut rows);
        let mut out = vec![0.0; count * outputs];
        processor.product(&rows, &matrix, Then::Nothing, &mut out);
        close(&out, &wanted, 3e-4);
        processor.product(&rows, &matrix, Then::Gelu, &mut out);
        let wanted: Vec<f64> = wanted.into_iter().map(gelu).collect();
        close(&out, &wanted, 3e-4);
    }
}

#[test]
fn the_greatest_numbers_do_not_overflow() {
    let Some(processor) = Processor::detect() else {
        return;
    };
    let inputs = 64;
    for (sign, byte) in [(1.0, 0x80), (-1.0, 0x80), (1.0, 0x7f)] {
        // A scale of 1, and each weight -128 or 127.
        let block = [vec![0x00, 0x3c], vec![byte; q8::BLOCK]].concat();
        let weights = block.repeat(inputs / q8::BLOCK * 16);
        let matrix = Matrix::new(inputs, &[(&weights, &[0.0; 16])]).unwrap();
        let mut rows = Rows::default();
        processor.round(&vec![sign * 3.0; inputs], inputs, &mut rows);
        let mut out = [0.0; 16];
        processor.product(&rows, &matrix, Then::Nothing, &mut out);
        let sum = f64::from(byte.cast_signed()) * f64::from(sign) * 3.0 * 64.0;
        close(&out, &[sum; 16], 0.1);
    }
}

#[test]
fn sizes_that_do_not_fit_make_no_matrix() {
    let weights = vec![0; q8::BYTES * 16];
    let bias = [0.0; 16];
    assert!(Matrix::new(32, &[(&weights, &bias)]).is_some());
    assert!(Matrix::new(64, &[(&weights, &bias)]).is_none());
    assert!(Matrix::new(33, &[(&weights, &bias)]).is_none());
    assert!(Matrix::new(0, &[(&[], &bias)]).is_none());
    assert!(Matrix::new(32, &[(&weights[..q8::BYTES * 8], &bias[..8])]).is_none());
}

#[test]
fn rows_are_normalized() {
    let Some(processor) = Processor::detect() else {
        return;
    };
    let mut numbers = Numbers(2);
    let width = 48;
    let (mut x, y) = (numbers.some(5 * width), numbers.some(5 * width));
    let norm = Norm {
        weights: numbers.some(width),
        biases: numbers.some(width),
        epsilon: 1e-12,
    };
    let mut wanted = Vec::new();
    for (x, y) in x.chunks(width).zip(y.chunks(width)) {
        let both: Vec<f64> = x
            .iter()
            .zip(y)
            .map(|(x, y)| f64::from(*x) + f64::from(*y))
            .collect();
        let mean = both.iter().sum::<f64>() / 48.0;
        let variance = both.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 48.0;
        let learnt = norm.weights.iter().zip(&norm.biases);
        wanted.extend(both.iter().zip(learnt).map(|(x, (weight, bias))| {
            (x - mean) / variance.sqrt() * f64::from(*weight) + f64::from(*bias)
        }));
    }
    processor.normalize(&mut x, &y, &norm);
    close(&x, &wanted, 1e-5);
}

#[test]
fn words_attend_to_each_other() {
    let Some(processor) = Processor::detect() else {
        return;
    };
    let mut numbers = Numbers(3);
    let heads = Heads { count: 3, size: 32 };
    let all = heads.count * heads.size;
    let mut scores = Scores::default();
    // Long and short in turns: nothing is left of the text before.
    for words in [40, 1, 17, 6, 16, 33] {
        let qkv: Vec<f32> = numbers
            .some(words * 3 * all)
            .iter()
            .map(|x| 4.0 * x)
            .collect();
        let part = |word: usize, which: usize, head: usize| {
            &qkv[(word * 3 + which) * all + head * 32..][..32]
        };
        let mut wanted = vec![0.0; words * all];
        for (word, out) in wanted.chunks_mut(all).enumerate() {
            for (head, out) in out.chunks_mut(heads.size).enumerate() {
                let score = |other| {
                    let pairs = part(word, 0, head).iter().zip(part(other, 1, head));
                    (pairs
                        .map(|(q, k)| f64::from(*q) * f64::from(*k))
                        .sum::<f64>()
                        / 32_f64.sqrt())
                    .exp()
                };
                let weights: Vec<f64> = (0..words).map(score).collect();
                for (other, weight) in weights.iter().enumerate() {
                    let weight = weight / weights.iter().sum::<f64>();
                    let values = part(other, 2, head);
                    out.iter_mut()
                        .zip(values)
                        .for_each(|(out, value)| *out += weight * f64::from(*value));
                }
            }
        }
        let mut out = vec![0.0; words * all];
        processor.attend(&qkv, heads, &mut scores, &mut out);
        close(&out, &wanted, 3e-4);
    }
}
