//! Random numbers whose bits depend on the seed alone: not on the platform, and not on a release of another crate.
//! Networks ([`crate::nets::Network::random`]) and noise ([`crate::paint::Start::Noise`]) are made of them.

use std::f64::consts::TAU;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// ChaCha8 (Bernstein, "ChaCha, a variant of Salsa20", 2008), which is specified; what is made of its words is written
/// out here, because no crate promises that its conveniences stay as they are.
pub struct Random(ChaCha8Rng);

impl Random {
    /// The key is the seed's little-endian bytes, then zeros.
    pub fn new(seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Uniform in (0, 1): the middles of 2^52 equal steps, so that the logarithm is finite.
    pub fn uniform(&mut self) -> f64 {
        ((self.0.next_u64() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    /// Two independent standard normal numbers (Box and Muller 1958).
    ///
    /// In f64 with `libm`'s functions: the standard library's `ln` and `sin` are the platform's own and
    /// differ in the last bit.
    pub fn normals(&mut self) -> (f64, f64) {
        let radius = (-2.0 * libm::log(self.uniform())).sqrt();
        let (sin, cos) = libm::sincos(TAU * self.uniform());
        (radius * cos, radius * sin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first words of ChaCha8 under these keys, and what is made of them: they must never change.
    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        let mut random = Random::new(7);
        let numbers = [(); 3].map(|()| random.uniform().to_bits());
        assert_eq!(numbers, PINNED, "{numbers:#x?}");
        let mut random = Random::new(7);
        let normal = random.normals().0.to_bits();
        assert_eq!(normal, PINNED_NORMAL, "{normal:#x}");
    }

    const PINNED: [u64; 3] = [0x3fe8_7394_ce45_8897, 0x3fdd_d1ec_00ba_a766, 0x3f77_3e28_d72a_7f80];
    const PINNED_NORMAL: u64 = 0xbfe6_f01b_7efb_97c8;
}
