//! What is special about Gram matrices.

use impasto::Result;
use impasto::ops::gram;
use impasto::tape::Tape;

use crate::common::{gpu, random, rng};

#[test]
fn a_gram_matrix_is_symmetric_to_the_bit() -> Result<()> {
    let gpu = gpu();
    for channels in [3, 70] {
        let x = gpu.tensor([channels, 31, 29], &random(&mut rng(21), channels * 31 * 29))?;
        let mut tape = Tape::new(gpu);
        let x = tape.constant(&x);
        let y = gram(&mut tape, x)?;
        let y = tape.keep(y)?;
        pollster::block_on(tape.finish()?.run())?;
        let y = pollster::block_on(gpu.read(&y))?;
        for i in 0..channels {
            assert!(y[i * channels + i] > 0.0);
            for j in 0..i {
                assert_eq!(y[i * channels + j].to_bits(), y[j * channels + i].to_bits());
            }
        }
    }
    Ok(())
}
