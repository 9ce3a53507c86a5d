//! What the sweep can't know about roots: whole ones, of matrices that have them.

use impasto::Result;
use impasto::gpu::Gpu;
use impasto::ops::reference::Array;
use impasto::ops::root_trace;
use impasto::ops::root_trace::square_root;
use impasto::tape::Tape;
use rand::RngExt;

use crate::common::{gpu, relative_error, rng};

/// A symmetric matrix whose eigenvectors are those of a reflection, with its root: x = H·diag(values)·H.
fn with_eigenvalues(values: &[f64]) -> (Vec<f32>, Vec<f64>) {
    let c = values.len();
    let mut rng = rng(c as u64);
    let v: Vec<f64> = (0..c).map(|_| rng.random_range(-1.0..1.0)).collect();
    let square: f64 = v.iter().map(|v| v * v).sum();
    let h = |i: usize, j: usize| f64::from(u8::from(i == j)) - 2.0 * v[i] * v[j] / square;
    let of = |f: fn(f64) -> f64| {
        let element =
            |at: usize| (0..c).map(|k| h(at / c, k) * f(values[k]) * h(k, at % c)).sum::<f64>();
        Array::from_fn([c, c], element).data
    };
    (of(|x| x).iter().map(|v| *v as f32).collect(), of(f64::sqrt))
}

/// Trace and gradient.
fn on_gpu(gpu: &Gpu, matrix: &[f32], c: usize) -> Result<(f32, Vec<f32>)> {
    let mut tape = Tape::new(gpu);
    let x = tape.variable(&gpu.tensor([c, c], matrix)?);
    let y = root_trace(&mut tape, x)?;
    let gradients = tape.backward(y)?;
    let dx = tape.gradient(&gradients, x).expect("the trace depends on x");
    let (y, dx) = (tape.keep(y)?, tape.keep(dx)?);
    let program = tape.finish()?;
    program.poison();
    pollster::block_on(program.run())?;
    Ok((pollster::block_on(gpu.read(&y))?[0], pollster::block_on(gpu.read(&dx))?))
}

#[test]
fn roots_of_well_conditioned_matrices_are_exact() -> Result<()> {
    for c in [2, 37, 64] {
        let values: Vec<f64> = (0..c).map(|i| 40.0 + i as f64).collect();
        let (matrix, root) = with_eigenvalues(&values);
        let mut tape = Tape::new(gpu());
        let x = tape.constant(&gpu().tensor([c, c], &matrix)?);
        let x = tape.value(x).clone();
        let y = square_root(tape.recorder(), &x)?;
        let y = tape.recorder().keep(&y)?;
        pollster::block_on(tape.finish()?.run())?;
        let error = relative_error(&pollster::block_on(gpu().read(&y))?, &root);
        assert!(error < 1e-5, "{c}: the root is off by {error:.1e}");

        let (trace, gradient) = on_gpu(gpu(), &matrix, c)?;
        let expected: f64 = values.iter().map(|v| v.sqrt()).sum();
        assert!((f64::from(trace) / expected - 1.0).abs() < 1e-5, "{trace} {expected}");
        // d Tr(M^½) = ½ M^-½.
        let inverse: Vec<f64> = values.iter().map(|v| 0.25 / v).collect();
        let error = relative_error(&gradient, &with_eigenvalues(&inverse).1);
        assert!(error < 1e-4, "{c}: the gradient is off by {error:.1e}");
    }
    Ok(())
}

#[test]
fn the_gradient_is_that_of_a_root_that_has_not_converged() -> Result<()> {
    // Eigenvalues from 1 down to 1e-7 and zeros, as deep features have them with fewer pixels than channels.
    let c = 48;
    let value = |i: usize| if i < 32 { 0.6f64.powi(i as i32) } else { 0.0 };
    let (matrix, _) = with_eigenvalues(&(0..c).map(value).collect::<Vec<_>>());
    let cases = (impasto::ops::root_trace::ENTRY.cases)();
    let whole = &cases[0];
    assert_eq!(whole.note, "12 steps");
    let x = [Array::from_fn([c, c], |i| f64::from(matrix[i]))];
    let (trace, gradient) = on_gpu(gpu(), &matrix, c)?;
    let expected = whole.op.reference(&x).data[0];
    assert!((f64::from(trace) / expected - 1.0).abs() < 1e-5, "{trace} {expected}");
    let expected = &whole.op.reference_backward(&x, &Array::scalar(1.0))[0];
    let error = relative_error(&gradient, &expected.data);
    assert!(error < 1e-3, "the gradient is off by {error:.1e}");
    // And the reference's is its own slope, in a direction that has an infinite one at the true root.
    let direction = x[0].map(|_| 0.0);
    let direction = direction.zip(&x[0], |_, v| v).zip(expected, |v, e| v + 1e-3 * e);
    let along =
        |step: f64| whole.op.reference(&[x[0].zip(&direction, |x, d| x + step * d)]).data[0];
    let difference = (along(1e-7) - along(-1e-7)) / 2e-7;
    let slope: f64 = expected.zip(&direction, |e, d| e * d).data.iter().sum();
    assert!((difference / slope - 1.0).abs() < 1e-5, "{difference} {slope}");
    Ok(())
}

#[test]
fn zeros_have_a_root() -> Result<()> {
    let (trace, gradient) = on_gpu(gpu(), &[0.0; 25], 5)?;
    assert_eq!(trace, 0.0);
    assert!(gradient.iter().all(|v| v.is_finite()));
    Ok(())
}
