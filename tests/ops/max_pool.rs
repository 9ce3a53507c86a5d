//! What is special about max pooling: ties.

use impasto::Result;
use impasto::ops::max_pool;
use impasto::tape::Tape;

use crate::common::gpu;

#[test]
fn the_first_of_equal_maxima_gets_the_gradient() -> Result<()> {
    // After a ReLU most windows are all zero: the gradient must go to one place, as in PyTorch.
    let gpu = gpu();
    let x = gpu.tensor([1, 2, 6], &[0., 0., 1., 2., 0., 3., 0., 0., 2., 2., 3., 3.])?;
    let mut tape = Tape::new(gpu);
    let x = tape.variable(&x);
    let y = max_pool(&mut tape, x, 2, 2)?;
    let upstream = tape.constant(&gpu.tensor([1, 1, 3], &[5., 6., 7.])?);
    let gradients = tape.backward_from(y, upstream)?;
    let dx = tape.gradient(&gradients, x).expect("y depends on x");
    let dx = tape.keep(dx)?;
    pollster::block_on(tape.finish()?.run())?;
    let expected = [5., 0., 0., 6., 0., 7., 0., 0., 0., 0., 0., 0.];
    assert_eq!(pollster::block_on(gpu.read(&dx))?, expected);
    Ok(())
}
