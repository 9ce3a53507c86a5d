//! Variance and squared norm, which are no operations of the catalogue, against f64.

use impasto::Result;
use impasto::gpu::Recorder;
use impasto::ops::statistics::{square_norm, variance};

use crate::common::{checked_gpu, gpu, random, rng};

#[test]
fn they_match_f64() -> Result<()> {
    for count in [2, 3, 255, 4097, 300_000] {
        // Far from 0, where a variance computed from Σ x² would lose its digits.
        let numbers: Vec<f32> =
            random(&mut rng(count as u64), count).iter().map(|v| v + 9.0).collect();
        let exact: Vec<f64> = numbers.iter().map(|v| f64::from(*v)).collect();
        let mean = exact.iter().sum::<f64>() / count as f64;
        let expected = [
            exact.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1) as f64,
            exact.iter().map(|v| v * v).sum::<f64>(),
        ];
        let mut bits = Vec::new();
        for gpu in [gpu(), checked_gpu()] {
            let x = gpu.tensor([count], &numbers)?;
            let mut recorder = Recorder::new(gpu);
            let values =
                [variance(&mut recorder, &(&x).into())?, square_norm(&mut recorder, &(&x).into())?];
            let kept = [recorder.keep(&values[0])?, recorder.keep(&values[1])?];
            let program = recorder.finish()?;
            program.poison();
            pollster::block_on(program.run())?;
            for (tensor, expected) in kept.iter().zip(expected) {
                let got = pollster::block_on(gpu.read(tensor))?[0];
                let error = (f64::from(got) - expected).abs() / expected;
                assert!(error < 1e-5, "{count} numbers: {got} is not {expected}");
                bits.push(got.to_bits());
            }
        }
        assert_eq!(bits[..2], bits[2..], "bounds checks changed a bit");
    }
    Ok(())
}

#[test]
fn a_flat_or_single_number_has_no_variance() -> Result<()> {
    for count in [1, 1000] {
        let gpu = gpu();
        let x = gpu.tensor([count], &vec![0.5; count])?;
        let mut recorder = Recorder::new(gpu);
        let y = variance(&mut recorder, &(&x).into())?;
        let y = recorder.keep(&y)?;
        pollster::block_on(recorder.finish()?.run())?;
        assert_eq!(pollster::block_on(gpu.read(&y))?, [0.0]);
    }
    Ok(())
}
