//! Grids that fold: more workgroups than one dimension holds.

use impasto::Result;
use impasto::gpu::Frozen;
use impasto::ops::{gram, scale};
use impasto::tape::Tape;

use crate::common::gpu;

#[test]
fn elements_beyond_one_dimension_of_workgroups() -> Result<()> {
    let (gpu, count) = (gpu(), 65_535 * 256 + 1000);
    let numbers: Vec<f32> = (0..count).map(|i| (i % 8191) as f32).collect();
    let mut tape = Tape::new(gpu);
    let x = tape.constant(&gpu.tensor([count], &numbers)?);
    let y = scale(&mut tape, x, 2.0)?;
    let y = tape.keep(y)?;
    pollster::block_on(tape.finish()?.run())?;
    let y = pollster::block_on(gpu.read(&y))?;
    let wrong = y.iter().zip(&numbers).position(|(y, x)| *y != 2.0 * x);
    assert_eq!(wrong, None);
    Ok(())
}

#[test]
fn the_gradient_of_the_gram_matrix_of_a_large_map() -> Result<()> {
    // With one channel G = Σ x² / N, and its gradient 2 x / N times the upstream one.
    let (gpu, side) = (gpu(), 2051);
    let count = side * side;
    let numbers: Vec<f32> = (0..count).map(|i| (i % 1021) as f32 / 1021.0).collect();
    let mut tape = Tape::new(gpu);
    let x = tape.variable(&gpu.tensor([1, side, side], &numbers)?);
    let y = gram(&mut tape, x)?;
    let upstream = tape.frozen(&Frozen::new([1, 1], vec![count as f32])?);
    let gradients = tape.backward_from(y, upstream)?;
    let dx = tape.gradient(&gradients, x).expect("y depends on x");
    let dx = tape.keep(dx)?;
    pollster::block_on(tape.finish()?.run())?;
    let dx = pollster::block_on(gpu.read(&dx))?;
    let wrong = dx.iter().zip(&numbers).position(|(dx, x)| (dx - 2.0 * x).abs() > 1e-5);
    assert_eq!(wrong, None);
    Ok(())
}
