//! Q8_0 of GGUF: for each 32 numbers a scale in 16-bit floating point, and 32 bytes to multiply with it.

/// How many numbers share a scale.
pub const BLOCK: usize = 32;
/// How many bytes they take.
pub const BYTES: usize = 2 + BLOCK;

/// Reads as many numbers as `out` has.
pub fn read(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.as_chunks().0.iter().zip(out.chunks_exact_mut(BLOCK)) {
        let (scale, numbers) = block_of(block);
        for (number, out) in numbers.iter().zip(out) {
            *out = f32::from(number.cast_signed()) * scale;
        }
    }
}

/// Returns the scale of a block, and its numbers as they lie there.
#[inline(always)]
pub(crate) fn block_of(block: &[u8; BYTES]) -> (f32, &[u8]) {
    let (scale, numbers) = block.split_at(2);
    (half(u16::from_le_bytes([scale[0], scale[1]])), numbers)
}

/// Widens a 16-bit floating point number: the exponent is moved by a product, which is exact for every finite one.
fn half(number: u16) -> f32 {
    const BIAS: f32 = f32::from_bits((127 + 127 - 15) << 23);
    let sign = u32::from(number & 0x8000) << 16;
    let size = f32::from_bits(u32::from(number & 0x7fff) << 13) * BIAS;
    f32::from_bits(sign | size.to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_widened() {
        for (bits, number) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x0001, 5.960_464_5e-8),
            (0x7bff, 65504.0),
            (0, 0.0),
        ] {
            assert_eq!(half(bits).to_bits(), f32::to_bits(number), "{bits:x}");
        }
    }

    #[test]
    fn numbers_are_bytes_times_their_scale() {
        let mut bytes = vec![0x00, 0x38];
        bytes.extend((0..32).map(|at| 250_u8.wrapping_add(at)));
        let mut out = [0.0; BLOCK];
        read(&bytes, &mut out);
        assert_eq!(out[..8], [-3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5]);
    }
}
