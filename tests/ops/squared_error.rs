//! What is special about relative errors: the floor of the denominator.

use impasto::Result;
use impasto::gpu::Frozen;
use impasto::ops::relative_error;
use impasto::tape::Tape;

use crate::common::gpu;

#[test]
fn a_flat_target_gives_finite_numbers() -> Result<()> {
    let gpu = gpu();
    for (x, denominator) in [(0.0, 0.0), (1e-3, 0.0), (1e-3, 1e-20)] {
        let mut tape = Tape::new(gpu);
        let x = tape.variable(&gpu.tensor([4], &[x; 4])?);
        let target = tape.frozen(&Frozen::new([4], vec![0.0; 4])?);
        let denominator = tape.frozen(&Frozen::scalar(denominator));
        let loss = relative_error(&mut tape, x, target, denominator, 0.25)?;
        let gradients = tape.backward(loss)?;
        let dx = tape.gradient(&gradients, x).expect("the loss depends on x");
        let (loss, dx) = (tape.keep(loss)?, tape.keep(dx)?);
        pollster::block_on(tape.finish()?.run())?;
        assert!(pollster::block_on(gpu.read(&loss))?[0].is_finite());
        assert!(pollster::block_on(gpu.read(&dx))?.iter().all(|v| v.is_finite()));
    }
    Ok(())
}
