//! Eight numbers at a time: reading, writing, and functions of them.

use pulp::x86::V3;
use pulp::{cast, f32x8, i32x8};

/// How many numbers are worked on at a time.
pub const LANES: usize = 8;
pub const ZERO: f32x8 = f32x8(0., 0., 0., 0., 0., 0., 0., 0.);

/// Reads the first eight numbers.
#[inline(always)]
pub fn read(x: &[f32]) -> f32x8 {
    cast(*x.first_chunk::<LANES>().expect("eight numbers are there"))
}

/// Writes over the first eight numbers.
#[inline(always)]
pub fn write(x: &mut [f32], numbers: f32x8) {
    *x.first_chunk_mut::<LANES>()
        .expect("there is room for eight numbers") = cast(numbers);
}

#[inline(always)]
pub fn sum(x: f32x8) -> f32 {
    fold(x, |x, y| x + y)
}

#[inline(always)]
pub fn greatest(x: f32x8) -> f32 {
    fold(x, f32::max)
}

/// Makes one number of eight: of each and the fourth after it, of each of these and the second, and of the last two.
#[inline(always)]
fn fold(x: f32x8, both: impl Fn(f32, f32) -> f32) -> f32 {
    let x: [f32; LANES] = cast(x);
    let four: [f32; 4] = std::array::from_fn(|at| both(x[at], x[at + 4]));
    both(both(four[0], four[2]), both(four[1], four[3]))
}

/// Rounds to the nearest whole numbers.
#[inline(always)]
pub fn rounded(lanes: V3, x: f32x8) -> i32x8 {
    cast(lanes.avx._mm256_cvtps_epi32(cast(x)))
}

/// Returns the sum of a polynomial, its coefficients from the highest power down.
#[inline(always)]
fn polynomial<const N: usize>(lanes: V3, x: f32x8, coefficients: [f32; N]) -> f32x8 {
    let mut sum = ZERO;
    for coefficient in coefficients {
        sum = lanes.mul_add_f32x8(sum, x, lanes.splat_f32x8(coefficient));
    }
    sum
}

/// Returns 2 to the power of numbers up to 126; of those below -126 it is 2^-126.
#[inline(always)]
pub fn exp2(lanes: V3, x: f32x8) -> f32x8 {
    let x = lanes.max_f32x8(x, lanes.splat_f32x8(-126.));
    let whole = rounded(lanes, x);
    let rest = lanes.sub_f32x8(x, lanes.convert_i32x8_to_f32x8(whole));
    // The series of e^(x ln 2): good to the last bits between -1/2 and 1/2.
    let power = polynomial(
        lanes,
        rest,
        [
            1.540_353e-4,
            1.333_355_8e-3,
            9.618_129e-3,
            5.550_411e-2,
            0.240_226_5,
            std::f32::consts::LN_2,
            1.0,
        ],
    );
    // The whole part goes to the exponent.
    cast(lanes.wrapping_add_i32x8(cast(power), lanes.shl_const_i32x8::<23>(whole)))
}

/// Returns x Φ(x), the exact GELU (Hendrycks and Gimpel 2016), with an error below 2e-5: it is max(x, 0) - g(|x|), where
/// g(a) = a (1 - Φ(a)) is a polynomial up to 4.5, and 0 beyond.
#[inline(always)]
pub fn gelu(lanes: V3, x: f32x8) -> f32x8 {
    const END: f32 = 4.5;
    let a = lanes.min_f32x8(lanes.abs_f32x8(x), lanes.splat_f32x8(END));
    let t = lanes.mul_add_f32x8(a, lanes.splat_f32x8(2. / END), lanes.splat_f32x8(-1.));
    let g = polynomial(
        lanes,
        t,
        [
            -0.044_236_014,
            0.022_584_05,
            0.180_277_76,
            -0.178_053_23,
            -0.208_082_44,
            0.436_025_22,
            -0.201_935_12,
            -0.147_540_8,
            0.246_478_55,
            -0.133_017_06,
            0.027_499_036,
        ],
    );
    lanes.sub_f32x8(lanes.max_f32x8(x, ZERO), g)
}
