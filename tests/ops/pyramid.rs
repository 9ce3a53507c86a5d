//! Laplacian pyramids: their sizes, and the way back is the adjoint.

use impasto::Result;
use impasto::ops::pyramid;
use impasto::tape::Tape;

use crate::common::{gpu, random, rng};

const SIZES: [([usize; 2], usize); 5] =
    [([1, 1], 8), ([2, 9], 8), ([37, 43], 4), ([64, 48], 8), ([33, 5], 1)];

#[test]
fn a_small_picture_has_few_levels() {
    assert_eq!(pyramid::levels([5, 40], 8), [[5, 40], [2, 20], [1, 10]]);
    assert_eq!(pyramid::levels([64, 64], 2), [[64, 64], [32, 32]]);
    assert_eq!(pyramid::levels([64, 64], 0), [[64, 64]]);
}

#[test]
fn the_way_back_is_the_adjoint() -> Result<()> {
    for (size, count) in SIZES {
        let (gpu, mut rng) = (gpu(), rng(5));
        let mut tape = Tape::new(gpu);
        let mut numbers = Vec::new();
        let mut levels = Vec::new();
        for [h, w] in pyramid::levels(size, count) {
            let level = random(&mut rng, 3 * h * w);
            levels.push(tape.variable(&gpu.tensor([3, h, w], &level)?));
            numbers.push(level);
        }
        let upstream = random(&mut rng, 3 * size[0] * size[1]);
        let picture = pyramid::synthesis(&mut tape, &levels)?;
        let dy = tape.constant(&gpu.tensor([3, size[0], size[1]], &upstream)?);
        let gradients = tape.backward_from(picture, dy)?;
        let mut gradient = |level| tape.gradient(&gradients, level).expect("all levels count");
        let mut kept: Vec<_> = levels.iter().map(|level| gradient(*level)).collect();
        kept.insert(0, picture);
        let kept = kept.into_iter().map(|var| tape.keep(var)).collect::<Result<Vec<_>>>()?;
        pollster::block_on(tape.finish()?.run())?;
        let read = |tensor| pollster::block_on(gpu.read(tensor));
        let results = kept.iter().map(read).collect::<Result<Vec<_>>>()?;
        let product = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let there = product(&results[0], &upstream);
        let back: f64 = results[1..].iter().zip(&numbers).map(|(g, x)| product(g, x)).sum();
        assert!((there - back).abs() < 1e-5 * (1.0 + there.abs()), "{size:?}: {there}, {back}");
    }
    Ok(())
}
