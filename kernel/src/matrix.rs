//! A layer's weights, and their products with rounded rows.

use pulp::x86::V3;
use pulp::{cast, f32x8, i16x16, i32x8};

use crate::lanes::{LANES, ZERO, gelu, write};
use crate::q8::{self, BLOCK};
use crate::rows::{Rows, height};

/// How many outputs lie side by side.
const WIDTH: usize = 2 * LANES;
const NONE: i32x8 = i32x8(0, 0, 0, 0, 0, 0, 0, 0);

/// Holds a matrix of Q8_0 numbers, and a bias.
pub struct Matrix {
    outputs: usize,
    /// Those of sixteen outputs from the first input to the last, then those of the next sixteen.
    blocks: Vec<Block>,
    biases: Vec<[f32x8; 2]>,
}

/// Holds the weights from 32 inputs to 16 outputs.
#[derive(Clone)]
struct Block {
    /// For each two inputs the weights to each eight outputs, two by two.
    pairs: [[[u8; WIDTH]; 2]; BLOCK / 2],
    scales: [[f32; LANES]; 2],
}

impl Matrix {
    /// Puts a matrix together from the weights of some layers, whose outputs come one after another, and their biases. The weights of
    /// an output to all `inputs` lie together, as in a file. Returns nothing when the sizes do not fit: inputs come by 32, outputs by 16.
    pub fn new(inputs: usize, layers: &[(&[u8], &[f32])]) -> Option<Matrix> {
        let bytes = inputs / BLOCK * q8::BYTES;
        let biases: Vec<f32> = layers.iter().flat_map(|(_, bias)| *bias).copied().collect();
        let fits = |(weights, bias): &(&[u8], &[f32])| weights.len() == bias.len() * bytes;
        if !inputs.is_multiple_of(BLOCK) || bytes == 0 || !layers.iter().all(fits) {
            return None;
        }
        let (biases, rest) = biases.as_chunks::<WIDTH>();
        let empty = Block {
            pairs: [[[0; WIDTH]; 2]; BLOCK / 2],
            scales: [[0.0; LANES]; 2],
        };
        let mut blocks = vec![empty; biases.len() * inputs / BLOCK];
        let rows = layers
            .iter()
            .flat_map(|(weights, _)| weights.chunks_exact(bytes));
        for (at, row) in rows.enumerate() {
            let (tile, half, lane) = (at / WIDTH, at % WIDTH / LANES, at % LANES);
            let tile = blocks.get_mut(tile * inputs / BLOCK..)?;
            for (from, to) in row.as_chunks().0.iter().zip(tile) {
                let (scale, numbers) = q8::block_of(from);
                to.scales[half][lane] = scale;
                for (from, to) in numbers.as_chunks::<2>().0.iter().zip(&mut to.pairs) {
                    to[half].as_chunks_mut().0[lane] = *from;
                }
            }
        }
        let lanes = |biases: &[f32; WIDTH]| cast(*biases);
        rest.is_empty().then(|| Matrix {
            outputs: biases.len() * WIDTH,
            blocks,
            biases: biases.iter().map(lanes).collect(),
        })
    }

    /// Returns how many outputs a row has.
    pub fn outputs(&self) -> usize {
        self.outputs
    }
}

/// Writes the products of rows and matrix.
#[inline(always)]
pub fn product<const GELU: bool>(lanes: V3, rows: &Rows, matrix: &Matrix, out: &mut [f32]) {
    let count = rows.scales.len();
    let width = rows.pairs.len() / count.max(1);
    let per_tile = matrix.blocks.len() / matrix.biases.len().max(1);
    assert_eq!(width, per_tile * BLOCK / 2, "the rows fit the matrix");
    let tiles = matrix.blocks.chunks_exact(per_tile);
    // A tile stays in the nearest cache while all rows pass by.
    for (tile, (blocks, bias)) in tiles.zip(&matrix.biases).enumerate() {
        let mut first = 0;
        while first < count {
            let height = height(count - first);
            let end = first + height;
            let panel = &rows.pairs[first * width..end * width];
            let scales = &rows.scales[first..end];
            let out = &mut out[first * matrix.outputs..end * matrix.outputs];
            let out = Out {
                scales,
                bias,
                rows: out,
                width: matrix.outputs,
                first: tile * WIDTH,
            };
            match height {
                6 => panel_product::<6, GELU>(lanes, panel, blocks, out),
                5 => panel_product::<5, GELU>(lanes, panel, blocks, out),
                4 => panel_product::<4, GELU>(lanes, panel, blocks, out),
                3 => panel_product::<3, GELU>(lanes, panel, blocks, out),
                2 => panel_product::<2, GELU>(lanes, panel, blocks, out),
                _ => panel_product::<1, GELU>(lanes, panel, blocks, out),
            }
            first = end;
        }
    }
}

/// Says where the products of a panel go, and what becomes of them.
struct Out<'a> {
    scales: &'a [f32],
    bias: &'a [f32x8; 2],
    rows: &'a mut [f32],
    width: usize,
    first: usize,
}

/// Makes 16-bit numbers of bytes with signs.
#[inline(always)]
fn wide(lanes: V3, bytes: [u8; WIDTH]) -> i16x16 {
    cast(lanes.avx2._mm256_cvtepi8_epi16(cast(bytes)))
}

/// Multiplies R rows with the weights to 16 outputs.
#[inline(always)]
fn panel_product<const R: usize, const GELU: bool>(
    lanes: V3,
    panel: &[i32],
    blocks: &[Block],
    out: Out<'_>,
) {
    let mut sums = [[ZERO; 2]; R];
    let inputs = panel.as_chunks::<R>().0.as_chunks::<{ BLOCK / 2 }>().0;
    for (inputs, block) in inputs.iter().zip(blocks) {
        let mut whole = [[NONE; 2]; R];
        for (inputs, weights) in inputs.iter().zip(&block.pairs) {
            let weights = [wide(lanes, weights[0]), wide(lanes, weights[1])];
            for (whole, input) in whole.iter_mut().zip(inputs) {
                let input: i16x16 = cast(lanes.splat_i32x8(*input));
                for (whole, weights) in whole.iter_mut().zip(weights) {
                    let products = lanes.multiply_wrapping_add_adjacent_i16x16(input, weights);
                    *whole = lanes.wrapping_add_i32x8(*whole, products);
                }
            }
        }
        for (sums, whole) in sums.iter_mut().zip(whole) {
            for ((sum, whole), scales) in sums.iter_mut().zip(whole).zip(block.scales) {
                let whole = lanes.convert_i32x8_to_f32x8(whole);
                *sum = lanes.mul_add_f32x8(whole, cast(scales), *sum);
            }
        }
    }
    let rows = out.rows.chunks_exact_mut(out.width);
    for ((sums, row), scale) in sums.iter().zip(rows).zip(out.scales) {
        let scale = lanes.splat_f32x8(*scale);
        let places = row[out.first..].chunks_exact_mut(LANES);
        for ((sum, bias), place) in sums.iter().zip(out.bias).zip(places) {
            let sum = lanes.mul_add_f32x8(*sum, scale, *bias);
            write(place, if GELU { gelu(lanes, sum) } else { sum });
        }
    }
}
