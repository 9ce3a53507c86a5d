//! The tape's promises: accumulation, frozen inputs, unused branches, scratch memory.

mod common;

use common::{gpu, random, rng};
use impasto::gpu::{Frozen, Program, Tensor};
use impasto::ops::{self, Conv2d};
use impasto::shape::Shape;
use impasto::tape::Tape;
use impasto::{Error, Result};

#[test]
fn gradients_of_all_uses_add_up() -> Result<()> {
    // y = Σ (3x + x + relu(x))², whose gradient is 2·(4x + relu(x))·(4 + [x > 0]).
    let (gpu, numbers) = (gpu(), random(&mut rng(1), 37));
    let x = gpu.tensor([37], &numbers)?;
    let mut tape = Tape::new(gpu);
    let var = tape.variable(&x);
    let tripled = ops::scale(&mut tape, var, 3.0)?;
    let more = ops::add(&mut tape, tripled, var)?;
    let positive = ops::relu(&mut tape, var)?;
    let sum = ops::add(&mut tape, more, positive)?;
    let zero = tape.frozen(&Frozen::new([37], vec![0.0; 37])?);
    let loss = ops::absolute_error(&mut tape, sum, zero, 1.0)?;
    let gradients = tape.backward(loss)?;
    let gradient = tape.gradient(&gradients, var).expect("the loss depends on x");
    let gradient = tape.keep(gradient)?;
    let program = tape.finish()?;
    program.poison();
    pollster::block_on(program.run())?;
    let got = pollster::block_on(gpu.read(&gradient))?;
    for (x, got) in numbers.iter().zip(got) {
        let expected = 2.0 * (4.0 * x + x.max(0.0)) * (4.0 + f32::from(*x > 0.0));
        assert!((got - expected).abs() < 1e-4, "{got} is not {expected}");
    }
    Ok(())
}

#[test]
fn one_input_used_twice_by_one_operation() -> Result<()> {
    let gpu = gpu();
    let x = gpu.tensor([5], &[1.0, 2.0, 3.0, 4.0, 5.0])?;
    let mut tape = Tape::new(gpu);
    let var = tape.variable(&x);
    let double = ops::add(&mut tape, var, var)?;
    let ones = tape.frozen(&Frozen::new([5], vec![1.0; 5])?);
    let gradients = tape.backward_from(double, ones)?;
    let gradient = tape.gradient(&gradients, var).expect("y depends on x");
    let gradient = tape.keep(gradient)?;
    pollster::block_on(tape.finish()?.run())?;
    assert_eq!(pollster::block_on(gpu.read(&gradient))?, [2.0; 5]);
    Ok(())
}

#[test]
fn frozen_inputs_and_unused_branches_cost_nothing() -> Result<()> {
    let gpu = gpu();
    let x = gpu.zeros([3, 6, 6])?;
    let dispatches = |frozen: bool, unused: bool| -> Result<usize> {
        let mut tape = Tape::new(gpu);
        let var = tape.variable(&x);
        let weights = gpu.zeros([4, 3, 3, 3])?;
        let weights = if frozen { tape.constant(&weights) } else { tape.variable(&weights) };
        let y = ops::conv2d(&mut tape, var, weights, None, Conv2d::default())?;
        if unused {
            let other = ops::relu(&mut tape, y)?;
            ops::gram(&mut tape, other)?;
        }
        let zero = tape.frozen(&Frozen::new([4, 6, 6], vec![0.0; 144])?);
        let loss = ops::absolute_error(&mut tape, y, zero, 1.0)?;
        let gradients = tape.backward(loss)?;
        let gradient = tape.gradient(&gradients, var).expect("the loss depends on x");
        tape.keep(gradient)?;
        let gradient = tape.gradient(&gradients, weights);
        assert_eq!(gradient.is_none(), frozen);
        gradient.map(|g| tape.keep(g)).transpose()?;
        Ok(tape.finish()?.plan().dispatches)
    };
    let plain = dispatches(true, false)?;
    assert_eq!(plain, dispatches(true, true)?, "an unused branch was kept");
    let (shares, sum) = (1, 1);
    assert_eq!(plain + shares + sum, dispatches(false, false)?, "the weights' gradient costs more");
    Ok(())
}

#[test]
fn a_variable_without_influence_has_no_gradient() -> Result<()> {
    let gpu = gpu();
    let (a, b) = (gpu.zeros([4])?, gpu.zeros([4])?);
    let mut tape = Tape::new(gpu);
    let (a, b) = (tape.variable(&a), tape.variable(&b));
    let zero = tape.frozen(&Frozen::new([4], vec![0.0; 4])?);
    let loss = ops::absolute_error(&mut tape, a, zero, 1.0)?;
    let gradients = tape.backward(loss)?;
    assert!(tape.gradient(&gradients, a).is_some());
    assert!(tape.gradient(&gradients, b).is_none());
    Ok(())
}

#[test]
fn the_upstream_gradient_is_left_alone() -> Result<()> {
    // A convolution that ends in a ReLU masks its gradient in place; not the caller's.
    let (gpu, mut rng) = (gpu(), rng(3));
    let x = gpu.tensor([2, 5, 5], &random(&mut rng, 50))?;
    let upstream = gpu.tensor([3, 5, 5], &random(&mut rng, 75))?;
    let before = pollster::block_on(gpu.read(&upstream))?;
    let mut tape = Tape::new(gpu);
    let var = tape.variable(&x);
    let weights = tape.frozen(&Frozen::new([3, 2, 3, 3], random(&mut rng, 54))?);
    let settings = Conv2d { relu: true, ..Conv2d::default() };
    let y = ops::conv2d(&mut tape, var, weights, None, settings)?;
    let constant = tape.constant(&upstream);
    let gradients = tape.backward_from(y, constant)?;
    let gradient = tape.gradient(&gradients, var).expect("y depends on x");
    tape.keep(gradient)?;
    pollster::block_on(tape.finish()?.run())?;
    assert_eq!(before, pollster::block_on(gpu.read(&upstream))?);
    Ok(())
}

#[test]
fn shapes_that_do_not_fit_are_errors() -> Result<()> {
    let gpu = gpu();
    let mut tape = Tape::new(gpu);
    let map = tape.variable(&gpu.zeros([3, 4, 5])?);
    let flat = tape.variable(&gpu.zeros([60])?);
    let weights = tape.variable(&gpu.zeros([4, 2, 3, 3])?);
    let shape = |result: Result<impasto::tape::Var>| match result {
        Err(Error::Shape { what, .. }) => what,
        other => panic!("{other:?} is no shape error"),
    };
    assert!(shape(ops::add(&mut tape, map, flat)).contains("3×4×5"));
    assert!(shape(ops::gram(&mut tape, flat)).contains("60"));
    let conv = ops::conv2d(&mut tape, map, weights, None, Conv2d::default());
    assert!(shape(conv).contains("4×2×3×3"));
    assert!(shape(ops::max_pool(&mut tape, map, 7, 2)).contains("7×7"));
    assert!(tape.backward(map).is_err(), "a map is no loss");
    assert_eq!(*tape.shape(map), Shape::from([3, 4, 5]));
    Ok(())
}

#[test]
fn replays_reuse_memory_and_stay_equal() -> Result<()> {
    // A chain of convolutions: temporaries share buffers, and every replay gives the same bits.
    let (gpu, mut rng) = (gpu(), rng(5));
    let x = gpu.tensor([8, 16, 16], &random(&mut rng, 8 * 256))?;
    let mut tape = Tape::new(gpu);
    let mut y = tape.constant(&x);
    for _ in 0..6 {
        let weights = tape.frozen(&Frozen::new([8, 8, 3, 3], random(&mut rng, 576))?);
        y = ops::conv2d(&mut tape, y, weights, None, Conv2d::default())?;
    }
    let y = tape.keep(y)?;
    let program = tape.finish()?;
    let plan = program.plan();
    assert!(plan.arena_bytes * 2 <= plan.unshared_bytes, "{plan:?}");
    let mut runs = Vec::new();
    for _ in 0..3 {
        program.poison();
        pollster::block_on(program.run())?;
        runs.push(pollster::block_on(gpu.read(&y))?);
    }
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0], runs[2]);
    Ok(())
}

/// A convolution's weights and bias, and what a replay adds to their gradients.
struct Batch {
    picture: Tensor,
    target: Tensor,
    sums: [Tensor; 2],
    mean: Tensor,
    program: Program,
}

impl Batch {
    /// Adds `factor` times the loss and its gradients.
    fn new(factor: f32) -> Result<Self> {
        let (gpu, mut rng) = (gpu(), rng(20));
        let (picture, target) = (gpu.zeros([3, 9, 7])?, gpu.zeros([4, 9, 7])?);
        let weights = gpu.tensor([4, 3, 3, 3], &random(&mut rng, 108))?;
        let bias = gpu.tensor([4], &random(&mut rng, 4))?;
        // What was there before the first batch does not count.
        let nothing = |count| vec![f32::NAN; count];
        let sums = [gpu.tensor([4, 3, 3, 3], &nothing(108))?, gpu.tensor([4], &nothing(4))?];
        let mean = gpu.tensor([1], &nothing(1))?;
        let mut tape = Tape::new(gpu);
        let (x, wanted) = (tape.constant(&picture), tape.constant(&target));
        let (weights, bias) = (tape.variable(&weights), tape.variable(&bias));
        let settings = Conv2d { relu: true, ..Conv2d::default() };
        let y = ops::conv2d(&mut tape, x, weights, Some(bias), settings)?;
        // The bias has two uses.
        let spread = tape.frozen(&Frozen::new([4, 4, 1, 1], random(&mut rng, 16))?);
        let pointwise = Conv2d { padding: 0, ..Conv2d::default() };
        let y = ops::conv2d(&mut tape, y, spread, Some(bias), pointwise)?;
        let loss = ops::absolute_error(&mut tape, y, wanted, 0.01)?;
        tape.add_into(loss, factor, &mean)?;
        tape.backward_into(loss, factor, &[(weights, &sums[0]), (bias, &sums[1])])?;
        Ok(Batch { picture, target, sums, mean, program: tape.finish()? })
    }

    /// Replays it for one picture of a batch.
    fn replay(&self, seed: u64, at: usize, of: usize) -> Result<()> {
        let (gpu, mut rng) = (gpu(), rng(seed));
        gpu.write(&self.picture, &random(&mut rng, 189))?;
        gpu.write(&self.target, &random(&mut rng, 252))?;
        self.program.poison();
        pollster::block_on(gpu.finished(self.program.submit_in_batch(at, of)))
    }

    /// The gradients and the loss.
    fn sums(&self) -> Result<Vec<f32>> {
        let read = |tensor| pollster::block_on(gpu().read(tensor));
        Ok([read(&self.sums[0])?, read(&self.sums[1])?, read(&self.mean)?].concat())
    }
}

#[test]
fn a_batch_is_replays_that_add() -> Result<()> {
    let (single, batch) = (Batch::new(1.0)?, Batch::new(1.0 / 3.0)?);
    let mut expected = vec![0.0; 113];
    for seed in [31, 32, 33] {
        single.replay(seed, 0, 1)?;
        let one = single.sums()?;
        expected.iter_mut().zip(one).for_each(|(e, one)| *e += f64::from(one) / 3.0);
    }
    let mut runs = Vec::new();
    for _ in 0..2 {
        for (at, seed) in [31, 32, 33].into_iter().enumerate() {
            batch.replay(seed, at, 3)?;
        }
        runs.push(batch.sums()?);
    }
    for part in [0..108, 108..112, 112..113] {
        let error = common::relative_error(&runs[0][part.clone()], &expected[part.clone()]);
        assert!(error < 1e-6, "{part:?}: {error:e}");
    }
    assert_eq!(runs[0], runs[1], "the second batch begins with what the first left");
    Ok(())
}

#[test]
fn sums_that_do_not_fit_are_errors() -> Result<()> {
    let (gpu, numbers) = (gpu(), gpu().zeros([5])?);
    let mut tape = Tape::new(gpu);
    let (x, fixed) = (tape.variable(&numbers), tape.constant(&numbers));
    let double = ops::scale(&mut tape, x, 2.0)?;
    let loss = ops::absolute_error(&mut tape, double, fixed, 1.0)?;
    let (sum, other) = (gpu.zeros([5])?, gpu.zeros([4])?);
    for (result, sums) in [
        (double, vec![(x, &sum)]),
        (loss, vec![(fixed, &sum)]),
        (loss, vec![(double, &sum)]),
        (loss, vec![(x, &other)]),
        (loss, vec![(x, &sum), (x, &sum)]),
    ] {
        let error = tape.backward_into(result, 1.0, &sums);
        assert!(matches!(error, Err(Error::Shape { .. })), "{error:?}");
    }
    assert!(tape.add_into(loss, 1.0, &sum).is_err());
    tape.backward_into(loss, 1.0, &[(x, &sum)])
}
