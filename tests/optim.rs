//! The optimisers against f64 twins, and on losses that are known to be hard.

mod common;

use common::{gpu, random, rng};
use impasto::Result;
use impasto::gpu::{Program, Recorder};
use impasto::ops::{self, Conv2d};
use impasto::optim::{Average, Descent, Lbfgs, Method, Optimizer};
use impasto::tape::Tape;
use impasto::tensor::{Frozen, Shape, Tensor};
use rand::RngExt;

/// The same rules as `shaders/lbfgs.wgsl`, written with whole vectors, the recursion as in the book.
struct Twin {
    history: usize,
    base: Vec<f64>,
    base_gradient: Vec<f64>,
    loss: f64,
    pairs: Vec<(Vec<f64>, Vec<f64>)>,
    direction: Vec<f64>,
    length: f64,
    rejections: usize,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn plus(a: &mut [f64], factor: f64, b: &[f64]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += factor * b);
}

fn held(x: f64, slope: f64) -> bool {
    (x <= 0.0 && slope > 0.0) || (x >= 1.0 && slope < 0.0)
}

fn without_held(x: &[f64], gradient: &[f64], values: &[f64]) -> Vec<f64> {
    let held = x.iter().zip(gradient).map(|(x, g)| held(*x, *g));
    held.zip(values).map(|(held, v)| if held { 0.0 } else { *v }).collect()
}

impl Twin {
    fn new(history: usize) -> Self {
        Twin {
            history,
            base: Vec::new(),
            base_gradient: Vec::new(),
            loss: 0.0,
            pairs: Vec::new(),
            direction: Vec::new(),
            length: 0.0,
            rejections: 0,
        }
    }

    /// The next trial, for a trial with this loss and gradient.
    fn step(&mut self, x: &[f64], gradient: &[f64], loss: f64, lr: f64) -> Vec<f64> {
        let first = self.base.is_empty();
        let difference = |a: &[f64], b: &[f64]| -> Vec<f64> {
            if first { vec![0.0; a.len()] } else { a.iter().zip(b).map(|(a, b)| a - b).collect() }
        };
        let s = difference(x, &self.base);
        let y = without_held(x, gradient, &difference(gradient, &self.base_gradient));
        let descent = if first { 0.0 } else { dot(&s, &self.base_gradient) };
        if first || loss <= self.loss + 1e-4 * descent + 1e-6 * self.loss.abs() {
            if dot(&s, &y) > 1e-4 * (dot(&s, &s) * dot(&y, &y)).sqrt() {
                self.pairs.push((s, y));
                self.pairs.drain(..self.pairs.len().saturating_sub(self.history));
            }
            (self.base, self.base_gradient) = (x.to_vec(), gradient.to_vec());
            (self.loss, self.rejections, self.length) = (loss, 0, 1.0);
            let pull = without_held(x, gradient, gradient);
            self.direction = self.two_loops(&pull);
            if self.pairs.is_empty() || dot(&pull, &self.direction) >= 0.0 {
                self.pairs.clear();
                self.direction = pull.iter().map(|v| -v).collect();
                self.length = lr * (x.len() as f64 / dot(&pull, &pull)).sqrt();
            }
        } else {
            self.rejections += 1;
            let lowest = -0.5 * descent / (loss - self.loss - descent);
            let shorter = lowest.clamp(0.1, 0.5);
            self.length *= shorter;
            if self.rejections == 4 && !self.pairs.is_empty() {
                self.pairs.clear();
                let pull = without_held(&self.base, &self.base_gradient, &self.base_gradient);
                self.direction = pull.iter().map(|v| -v).collect();
                self.length = shorter * (dot(&s, &s) / dot(&pull, &pull)).sqrt();
            }
        }
        let mut way = without_held(&self.base, &self.base_gradient, &self.direction);
        way.iter_mut().for_each(|v| *v *= self.length);
        plus(&mut way, 1.0, &self.base);
        way.iter().map(|v| v.clamp(0.0, 1.0)).collect()
    }

    fn two_loops(&self, gradient: &[f64]) -> Vec<f64> {
        let mut q: Vec<f64> = gradient.iter().map(|v| -v).collect();
        let mut alphas = Vec::new();
        for (s, y) in self.pairs.iter().rev() {
            let alpha = dot(s, &q) / dot(s, y);
            plus(&mut q, -alpha, y);
            alphas.push(alpha);
        }
        if let Some((s, y)) = self.pairs.last() {
            let scale = dot(s, y) / dot(y, y);
            q.iter_mut().for_each(|v| *v *= scale);
        }
        for ((s, y), alpha) in self.pairs.iter().zip(alphas.iter().rev()) {
            let beta = dot(y, &q) / dot(s, y);
            plus(&mut q, alpha - beta, s);
        }
        q
    }
}

fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|v| f64::from(*v)).collect()
}

/// Losses are scripted: some trials are rejected, some often enough to forget the history. Gradients are those of a
/// bowl plus noise, so that pairs bend this way and that; some coordinates run into the bounds.
#[test]
fn every_trial_is_the_twins() -> Result<()> {
    for (count, history, seed) in [(1, 1, 1), (2, 3, 2), (127, 4, 3), (4097, 5, 4), (9001, 2, 5)] {
        let (gpu, mut rng) = (gpu(), rng(seed));
        let bowl: Vec<f32> = (0..count).map(|_| rng.random_range(0.5..4.0)).collect();
        let centre: Vec<f32> = (0..count).map(|_| rng.random_range(-0.2..1.2)).collect();
        let mut x: Vec<f32> = (0..count).map(|_| rng.random_range(0.0..1.0)).collect();
        let point = gpu.zeros([count])?;
        let (gradient, loss) = (gpu.zeros([count])?, gpu.zeros(Shape::scalar())?);
        let method = Method::Lbfgs { history };
        let descent = Descent { method, ..Descent::adam(0.03) };
        let optimizer = Optimizer::new(gpu, &descent, &point, &x, ((1, 1), None))?;
        let mut recorder = Recorder::new(gpu);
        optimizer.record(&mut recorder, &(&gradient).into(), &(&loss).into())?;
        let program = recorder.finish()?;
        let mut twin = Twin::new(history);
        let (mut fell, mut seen) = (0.0, 0);
        for step in 0..24 {
            let noise = random(&mut rng, count);
            let slope = |i: usize| bowl[i] * (x[i] - centre[i]) + 0.1 * noise[i];
            let slopes: Vec<f32> = (0..count).map(slope).collect();
            // Rejected: single ones, and four in a row.
            let rejected = [5, 9, 14, 15, 16, 17].contains(&step);
            fell += if rejected { 0.0 } else { 1.0 };
            let value: f32 = if rejected { 1e3 } else { 100.0 - fell };
            gpu.write(&gradient, &slopes)?;
            gpu.write(&loss, &[value])?;
            let expected = twin.step(&wide(&x), &wide(&slopes), f64::from(value), 0.03);
            program.poison();
            pollster::block_on(program.run())?;
            let base = wide(&pollster::block_on(gpu.read(optimizer.result()))?);
            assert_eq!(base, twin.base, "{count} numbers, step {step}");
            let next = pollster::block_on(gpu.read(&point))?;
            let moved: Vec<f64> = expected.iter().zip(&base).map(|(e, b)| e - b).collect();
            let error: Vec<f64> = wide(&next).iter().zip(&expected).map(|(n, e)| n - e).collect();
            let (error, size) = (dot(&error, &error).sqrt(), dot(&moved, &moved).sqrt());
            let rounding = 1e-7 * (count as f64).sqrt();
            assert!(error <= 1e-3 * size + rounding, "{count}, step {step}: {error:e} of {size:e}");
            seen = seen.max(twin.pairs.len());
            x = next;
        }
        assert_eq!(seen, history, "{count} numbers: the ring was never full");
    }
    Ok(())
}
