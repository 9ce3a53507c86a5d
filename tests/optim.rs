//! The optimisers against f64 twins, and on losses that are known to be hard.

mod common;

use common::{checked_gpu, gpu, random, rng};
use impasto::Result;
use impasto::gpu::{Frozen, Gpu, Phase, Recorder, Tensor, Value};
use impasto::loss::{LayerWeight, LossSettings, Regions};
use impasto::nets::{Graph, Network};
use impasto::ops::{self, Conv2d};
use impasto::optim::{Average, Betas, Method, Optimizer, OptimizerSettings, State, Variable};
use impasto::paint::{Descent, Event, Job, Layout, LossRow, Painter, Start, Verdict};
use impasto::picture::{Depth, Picture};
use impasto::shape::Shape;
use impasto::tape::{Tape, Var};
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

/// Tensors of so many numbers each.
fn tensors(gpu: &Gpu, counts: &[usize]) -> Result<Vec<Tensor>> {
    counts.iter().map(|count| gpu.zeros([*count])).collect()
}

/// One vector in as many parts.
fn parts<'a>(counts: &[usize], mut numbers: &'a [f32]) -> Vec<&'a [f32]> {
    let part = |count: &usize| {
        let (part, rest) = numbers.split_at(*count);
        numbers = rest;
        part
    };
    counts.iter().map(part).collect()
}

fn write(gpu: &Gpu, tensors: &[Tensor], numbers: &[f32]) -> Result<()> {
    let counts: Vec<usize> = tensors.iter().map(|t| t.shape().elements()).collect();
    let parts = parts(&counts, numbers);
    tensors.iter().zip(parts).try_for_each(|(tensor, part)| gpu.write(tensor, part))
}

fn read<'a>(gpu: &Gpu, tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<Vec<f32>> {
    let parts = tensors.into_iter().map(|tensor| pollster::block_on(gpu.read(tensor)));
    Ok(parts.collect::<Result<Vec<_>>>()?.concat())
}

/// Variables called `0`, `1` …; one alone has no name.
fn optimizer_of_list(
    gpu: &Gpu,
    settings: &OptimizerSettings,
    tensors: &[Tensor],
    start: &[f32],
    state: Option<&State>,
) -> Result<Optimizer> {
    let counts: Vec<usize> = tensors.iter().map(|t| t.shape().elements()).collect();
    let alone = tensors.len() == 1;
    let name = |at: usize| if alone { String::new() } else { at.to_string() };
    let names: Vec<String> = (0..tensors.len()).map(name).collect();
    let all = names.iter().zip(tensors).zip(parts(&counts, start));
    let all = all.map(|((name, tensor), start)| Variable { name, tensor, start });
    Optimizer::new(gpu, settings, &all.collect::<Vec<_>>(), state)
}

fn values(tensors: &[Tensor]) -> Vec<Value> {
    tensors.iter().map(Value::from).collect()
}

/// Losses are scripted: some trials are rejected, some often enough to forget the history. Gradients are those of a
/// bowl plus noise, so that pairs bend this way and that; some coordinates run into the bounds. The vector lies in one
/// tensor or in several.
#[test]
fn every_trial_is_the_twins() -> Result<()> {
    let cases: [(&[usize], usize, u64); 8] = [
        (&[1], 1, 1),
        (&[2], 3, 2),
        (&[127], 4, 3),
        (&[4097], 5, 4),
        (&[9001], 2, 5),
        (&[40_001], 3, 6),
        (&[1, 5, 2], 3, 7),
        (&[4099, 3, 20_000, 127], 4, 8),
    ];
    for (counts, history, seed) in cases {
        let (gpu, mut rng, count) = (gpu(), rng(seed), counts.iter().sum());
        let bowl: Vec<f32> = (0..count).map(|_| rng.random_range(0.5..4.0)).collect();
        let centre: Vec<f32> = (0..count).map(|_| rng.random_range(-0.2..1.2)).collect();
        let mut x: Vec<f32> = (0..count).map(|_| rng.random_range(0.0..1.0)).collect();
        let (point, gradient) = (tensors(gpu, counts)?, tensors(gpu, counts)?);
        let loss = gpu.zeros(Shape::scalar())?;
        let method = Method::Lbfgs { history };
        let settings = Descent { method, ..Descent::adam(0.03) }.optimizer();
        let optimizer = optimizer_of_list(gpu, &settings, &point, &x, None)?;
        let mut recorder = Recorder::new(gpu);
        optimizer.record(&mut recorder, &values(&gradient), &(&loss).into())?;
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
            write(gpu, &gradient, &slopes)?;
            gpu.write(&loss, &[value])?;
            let expected = twin.step(&wide(&x), &wide(&slopes), f64::from(value), 0.03);
            program.poison();
            pollster::block_on(program.run())?;
            let base = wide(&read(gpu, (0..counts.len()).map(|at| optimizer.result(at)))?);
            assert_eq!(base, twin.base, "{counts:?} numbers, step {step}");
            let next = read(gpu, &point)?;
            let moved: Vec<f64> = expected.iter().zip(&base).map(|(e, b)| e - b).collect();
            let error: Vec<f64> = wide(&next).iter().zip(&expected).map(|(n, e)| n - e).collect();
            let (error, size) = (dot(&error, &error).sqrt(), dot(&moved, &moved).sqrt());
            let rounding = 1e-7 * (count as f64).sqrt();
            let what = format!("{counts:?}, step {step}: {error:e} of {size:e}");
            assert!(error <= 1e-3 * size + rounding, "{what}");
            seen = seen.max(twin.pairs.len());
            x = next;
        }
        assert_eq!(seen, history, "{counts:?} numbers: the ring was never full");
    }
    Ok(())
}

/// Weights, without bounds: they leave 0..1, and follow a rate that is rewritten between replays.
#[test]
fn adam_moves_a_list_as_the_book_says() -> Result<()> {
    let (gpu, mut rng, counts) = (gpu(), rng(10), [3, 1031, 64]);
    let count = counts.iter().sum();
    let (point, gradient) = (tensors(gpu, &counts)?, tensors(gpu, &counts)?);
    let start = random(&mut rng, count);
    for (bounds, betas) in [(None, Betas::WEIGHTS), (Some((-0.5, 0.75)), Betas::PICTURE)] {
        let method = Method::Adam(betas);
        let settings = OptimizerSettings { method, bounds, ..OptimizerSettings::adam(0.3) };
        let optimizer = optimizer_of_list(gpu, &settings, &point, &start, None)?;
        let mut recorder = Recorder::new(gpu);
        let loss = gpu.zeros(Shape::scalar())?;
        optimizer.record(&mut recorder, &values(&gradient), &(&loss).into())?;
        let program = recorder.finish()?;
        let [beta1, beta2] = [betas.beta1, betas.beta2].map(f64::from);
        let (mut x, mut m, mut v) = (wide(&start), vec![0.0; count], vec![0.0; count]);
        for step in 1..=12 {
            // Steps of very different lengths; one of none.
            let rate: f32 = [0.3, 0.05, 0.0, 1.0][step / 3 % 4];
            gpu.write(optimizer.rate(), &[rate])?;
            let slopes = random(&mut rng, count);
            write(gpu, &gradient, &slopes)?;
            pollster::block_on(program.run())?;
            for (i, slope) in wide(&slopes).into_iter().enumerate() {
                m[i] = beta1 * m[i] + (1.0 - beta1) * slope;
                v[i] = beta2 * v[i] + (1.0 - beta2) * slope * slope;
                let mean = m[i] / (1.0 - beta1.powi(step as i32));
                let square: f64 = v[i] / (1.0 - beta2.powi(step as i32));
                x[i] -= f64::from(rate) * mean / (square.sqrt() + f64::from(betas.epsilon));
                x[i] = bounds.map_or(x[i], |(low, high)| x[i].clamp(low.into(), high.into()));
            }
            let error = common::relative_error(&read(gpu, &point)?, &x);
            assert!(error < 2e-5, "{bounds:?}, step {step}: {error:e}");
        }
        let outside = x.iter().filter(|x| !(-0.5..=1.0).contains(*x)).count();
        assert_eq!(outside > count / 4, bounds.is_none(), "{outside} of {count}");
        assert_eq!(pollster::block_on(gpu.read(optimizer.clock()))?[0], 12.0);
    }
    Ok(())
}

/// L-BFGS without bounds finds a lowest point that lies outside 0..1, and its first step is as long as the rate.
#[test]
fn lbfgs_goes_where_there_are_no_bounds() -> Result<()> {
    let (gpu, counts) = (gpu(), [5, 1, 9]);
    let goal: Vec<f32> = (0..15).map(|i| (i as f32 - 7.0) / 2.0).collect();
    let (point, slopes) = (tensors(gpu, &counts)?, tensors(gpu, &counts)?);
    let value = gpu.zeros(Shape::scalar())?;
    let method = Method::Lbfgs { history: 5 };
    let settings = OptimizerSettings { method, ..OptimizerSettings::adam(0.5) };
    let optimizer = optimizer_of_list(gpu, &settings, &point, &[0.0; 15], None)?;
    gpu.write(optimizer.rate(), &[0.125])?;
    let mut recorder = Recorder::new(gpu);
    optimizer.record(&mut recorder, &values(&slopes), &(&value).into())?;
    let program = recorder.finish()?;
    for step in 0..40 {
        let x = read(gpu, &point)?;
        let bend = |i: usize| 1.0 + i as f32;
        let slope = |i: usize| bend(i) * (x[i] - goal[i]);
        let loss: f32 = (0..15).map(|i| 0.5 * slope(i) * (x[i] - goal[i])).sum();
        write(gpu, &slopes, &(0..15).map(slope).collect::<Vec<_>>())?;
        gpu.write(&value, &[loss])?;
        pollster::block_on(program.run())?;
        if step == 0 {
            let way = wide(&read(gpu, &point)?);
            let length = (dot(&way, &way) / 15.0).sqrt();
            assert!((length - 0.125).abs() < 1e-5, "{length}");
        }
    }
    let best = read(gpu, (0..3).map(|at| optimizer.result(at)))?;
    let error = common::relative_error(&best, &wide(&goal));
    assert!(error < 1e-3, "{error:e}: {best:?}");
    Ok(())
}

/// Whoever goes on from a state takes the same steps to the bit; what belongs to a variable has its name.
#[test]
fn a_list_goes_on_by_its_names() -> Result<()> {
    let (gpu, mut rng, counts) = (gpu(), rng(11), [6, 130]);
    let start = random(&mut rng, 136);
    let slopes: Vec<Vec<f32>> = (0..6).map(|_| random(&mut rng, 136)).collect();
    let run = |settings: &OptimizerSettings, (x, from, state): (&[f32], usize, Option<&State>)| {
        let (point, gradient) = (tensors(gpu, &counts)?, tensors(gpu, &counts)?);
        let optimizer = optimizer_of_list(gpu, settings, &point, x, state)?;
        let loss = gpu.zeros(Shape::scalar())?;
        let mut recorder = Recorder::new(gpu);
        optimizer.record(&mut recorder, &values(&gradient), &(&loss).into())?;
        let program = recorder.finish()?;
        let mut states = Vec::new();
        for (step, slopes) in slopes.iter().enumerate().skip(from) {
            write(gpu, &gradient, slopes)?;
            gpu.write(&loss, &[10.0 - step as f32])?;
            pollster::block_on(program.run())?;
            let state = pollster::block_on(optimizer.state(gpu, step as u64 + 1))?;
            states.push((read(gpu, &point)?, state));
        }
        Ok::<_, impasto::Error>(states)
    };
    let history = 3;
    for method in [Method::Adam(Betas::WEIGHTS), Method::Lbfgs { history }] {
        for average in [false, true] {
            let settings =
                OptimizerSettings { method, average, bounds: None, ..OptimizerSettings::adam(0.1) };
            let whole = run(&settings, (&start, 0, None))?;
            let (x, state) = &whole[2];
            let rest = run(&settings, (x, 3, Some(state)))?;
            assert_eq!(rest, whole[3..], "{settings:?}");
            let names: Vec<&str> = state.tensors.keys().map(String::as_str).collect();
            let of = |name: &str| names.contains(&name);
            let is_adam = matches!(method, Method::Adam(_));
            assert!(of(if is_adam { "square.1" } else { "s2.1" }), "{names:?}");
            assert_eq!(of("average.0") && of("average_clock") && of("x.1"), average, "{names:?}");
        }
    }
    // One tensor alone has plain names: those in a checkpoint.
    let point = tensors(gpu, &[4])?;
    for (method, expected) in [
        (Method::ADAM, "average average_clock clock mean square x"),
        (
            Method::Lbfgs { history: 1 },
            "average average_clock base base_gradient bends direction s0 state weights x y0",
        ),
    ] {
        let settings = OptimizerSettings { method, average: true, ..OptimizerSettings::adam(0.1) };
        let optimizer = optimizer_of_list(gpu, &settings, &point, &[0.0; 4], None)?;
        let state = pollster::block_on(optimizer.state(gpu, 0))?;
        assert_eq!(state.tensors.into_keys().collect::<Vec<_>>().join(" "), expected);
    }
    Ok(())
}

#[test]
fn lists_that_do_not_fit_are_errors() -> Result<()> {
    let (gpu, counts) = (gpu(), [2, 3]);
    let point = tensors(gpu, &counts)?;
    let settings = OptimizerSettings::adam(0.1);
    let made = |names: &[&'static str]| {
        let starts = [&[0.0; 2][..], &[0.0; 3]];
        let all = names.iter().zip(&point).zip(starts);
        let all = all.map(|((name, tensor), start)| Variable { name, tensor, start });
        Optimizer::new(gpu, &settings, &all.collect::<Vec<_>>(), None)
    };
    assert!(made(&["a", "a"]).is_err() && made(&[]).is_err());
    let optimizer = made(&["a", "b"])?;
    let loss = (&point[0]).into();
    let mut recorder = Recorder::new(gpu);
    for wrong in [&[2][..], &[3, 2], &[2, 3, 1]] {
        let gradients = values(&tensors(gpu, wrong)?);
        assert!(optimizer.record(&mut recorder, &gradients, &loss).is_err(), "{wrong:?}");
    }
    // A state that has lost a part, and one that has another's.
    let mut state = pollster::block_on(optimizer.state(gpu, 1))?;
    state.tensors.insert("mean.b".into(), vec![0.0; 4]);
    assert!(optimizer_from(gpu, &point, &state).is_err());
    state.tensors.remove("mean.b");
    assert!(optimizer_from(gpu, &point, &state).is_err());
    Ok(())
}

fn optimizer_from(gpu: &Gpu, point: &[Tensor], state: &State) -> Result<Optimizer> {
    let variables = [
        Variable { name: "a", tensor: &point[0], start: &[0.0; 2] },
        Variable { name: "b", tensor: &point[1], start: &[0.0; 3] },
    ];
    Optimizer::new(gpu, &OptimizerSettings::adam(0.1), &variables, Some(state))
}

/// A batch of three replays: the weights stay until the last, then move by the mean gradient.
#[test]
fn the_optimiser_runs_with_the_last_replay() -> Result<()> {
    let (gpu, count) = (gpu(), 70);
    let (mut rng, x) = (rng(12), gpu.zeros([count])?);
    let (weights, sum) = (gpu.zeros([count])?, gpu.zeros([count])?);
    let mut tape = Tape::new(gpu);
    let (var, wanted) = (tape.variable(&weights), tape.constant(&x));
    let loss = ops::absolute_error(&mut tape, var, wanted, 1.0)?;
    tape.backward_into(loss, 1.0 / 3.0, &[(var, &sum)])?;
    let start = random(&mut rng, count);
    let settings = OptimizerSettings::adam(0.25);
    let variable = Variable { name: "", tensor: &weights, start: &start };
    let optimizer = Optimizer::new(gpu, &settings, &[variable], None)?;
    tape.recorder().phase = Phase::Last;
    let value = tape.value(loss).clone();
    optimizer.record(tape.recorder(), &[(&sum).into()], &value)?;
    let program = tape.finish()?;
    let mut now = start;
    for step in 1..=4 {
        let mut mean = vec![0.0; count];
        for at in 0..3 {
            let numbers = random(&mut rng, count);
            plus(&mut mean, -2.0 / 3.0, &wide(&numbers));
            plus(&mut mean, 2.0 / 3.0, &wide(&now));
            gpu.write(&x, &numbers)?;
            assert_eq!(read(gpu, [&weights])?, now, "step {step}, replay {at}");
            program.poison();
            pollster::block_on(gpu.finished(program.submit_in_batch(at, 3)))?;
        }
        let error = common::relative_error(&read(gpu, [&sum])?, &mean);
        assert!(error < 1e-5, "step {step}: {error:e}");
        let next = read(gpu, [&weights])?;
        assert!(next.iter().zip(&now).all(|(a, b)| a != b), "step {step} moved nothing");
        now = next;
        assert_eq!(read(gpu, [optimizer.clock()])?[0], step as f32);
    }
    Ok(())
}

/// Of a picture in one tensor.
fn optimizer_of(gpu: &Gpu, descent: &Descent, x: &Tensor, start: &[f32]) -> Result<Optimizer> {
    Optimizer::new(gpu, &descent.optimizer(), &[Variable { name: "", tensor: x, start }], None)
}

/// Losses before each of so many steps, and the result.
fn descend(
    gpu: &Gpu,
    descent: &Descent,
    start: &[f32],
    steps: usize,
    loss: impl Fn(&mut Tape, Var) -> Result<Var>,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let x = gpu.zeros([start.len(), 1, 1])?;
    let optimizer = optimizer_of(gpu, descent, &x, start)?;
    let mut tape = Tape::new(gpu);
    let var = tape.variable(&x);
    let loss = loss(&mut tape, var)?;
    let gradients = tape.backward(loss)?;
    let gradient = tape.gradient(&gradients, var).expect("the loss depends on x");
    let (gradient, value) = (tape.value(gradient).clone(), tape.value(loss).clone());
    optimizer.record(tape.recorder(), &[gradient], &value)?;
    let loss = tape.keep(loss)?;
    let program = tape.finish()?;
    let mut losses = Vec::new();
    for _ in 0..steps {
        pollster::block_on(program.run())?;
        losses.push(pollster::block_on(gpu.read(&loss))?[0]);
    }
    Ok((losses, pollster::block_on(gpu.read(optimizer.result(0)))?))
}

/// Mean square of A·x − b, for a square A.
fn least_squares(tape: &mut Tape, x: Var, a: &[f32], b: &[f32]) -> Result<Var> {
    let n = b.len();
    let a = tape.frozen(&Frozen::new([n, n, 1, 1], a.to_vec())?);
    let b = tape.frozen(&Frozen::new([n, 1, 1], b.to_vec())?);
    let settings = Conv2d { padding: 0, ..Conv2d::default() };
    let y = ops::conv2d(tape, x, a, None, settings)?;
    ops::absolute_error(tape, y, b, 1.0 / n as f32)
}

fn lbfgs(lr: f32) -> Descent {
    Descent { method: Method::Lbfgs { history: 10 }, ..Descent::adam(lr) }
}

/// Rows of unit length, orthogonal to each other.
fn rotation(n: usize, rng: &mut impl RngExt) -> Vec<Vec<f64>> {
    let mut rows: Vec<Vec<f64>> = Vec::new();
    while rows.len() < n {
        let mut row: Vec<f64> = (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
        for other in &rows {
            let shadow = dot(&row, other);
            plus(&mut row, -shadow, other);
        }
        let length = dot(&row, &row).sqrt();
        rows.push(row.iter().map(|v| v / length).collect());
    }
    rows
}

#[test]
fn an_ill_conditioned_bowl_is_no_trouble() -> Result<()> {
    // Curvatures from 1 to 1/10,000, along no axis; the lowest point lies inside.
    let (n, mut rng) = (201, rng(6));
    let axes = rotation(n, &mut rng);
    let scaled = |(i, row): (usize, &Vec<f64>)| {
        let length = 0.01f64.powf(i as f64 / (n - 1) as f64);
        row.iter().map(|v| (length * v) as f32).collect::<Vec<_>>()
    };
    let a: Vec<f32> = axes.iter().enumerate().flat_map(scaled).collect();
    let goal: Vec<f64> = (0..n).map(|_| rng.random_range(0.3..0.7)).collect();
    let b: Vec<f32> = a.chunks_exact(n).map(|row| dot(&wide(row), &goal) as f32).collect();
    let start: Vec<f32> = (0..n).map(|_| rng.random_range(0.0..1.0)).collect();
    let run_on = |gpu: &Gpu, descent: &Descent| {
        descend(gpu, descent, &start, 150, |tape, x| least_squares(tape, x, &a, &b))
    };
    let run = |descent: &Descent| run_on(gpu(), descent);
    let (losses, x) = run(&lbfgs(0.01))?;
    let mut adam = f32::INFINITY;
    for lr in [0.002, 0.01, 0.05] {
        let (losses, _) = run(&Descent::adam(lr))?;
        adam = losses.into_iter().fold(adam, f32::min);
    }
    let best = losses.iter().copied().fold(f32::INFINITY, f32::min);
    assert!(best < 0.05 * adam, "{best:e}, Adam {adam:e}");
    // In f64 it gets about as far: nothing is lost to rounding.
    let (mut twin, mut point, mut lowest) = (Twin::new(10), wide(&start), f64::INFINITY);
    for _ in 0..150 {
        let rows = a.chunks_exact(n).zip(&b);
        let error = rows.map(|(row, b)| dot(&wide(row), &point) - f64::from(*b));
        let error: Vec<f64> = error.collect();
        let loss = dot(&error, &error) / n as f64;
        let mut gradient = vec![0.0; n];
        let rows = a.chunks_exact(n).zip(&error);
        rows.for_each(|(row, error)| plus(&mut gradient, 2.0 * error / n as f64, &wide(row)));
        lowest = lowest.min(loss);
        point = twin.step(&point, &gradient, loss, 0.01);
    }
    assert!(f64::from(best) < 3.0 * lowest, "{best:e}, in f64 {lowest:e}");
    // The same bits in a second run, and with bounds checks in the shaders.
    let first = (losses, x);
    assert_eq!(run(&lbfgs(0.01))?, first);
    assert_eq!(run_on(checked_gpu(), &lbfgs(0.01))?, first);
    Ok(())
}

#[test]
fn it_stops_at_the_bounds_where_it_should() -> Result<()> {
    let (n, mut rng) = (60, rng(7));
    let a: Vec<f32> = random(&mut rng, n * n);
    let b: Vec<f32> = random(&mut rng, n).iter().map(|v| 6.0 * v).collect();
    let run =
        |lr| descend(gpu(), &lbfgs(lr), &vec![0.5; n], 400, |t, x| least_squares(t, x, &a, &b));
    // The first step may be far too small or too large.
    for lr in [1e-6, 0.01, 1e6] {
        let (losses, x) = run(lr)?;
        assert!(losses.iter().all(|loss| loss.is_finite()));
        let (a, b, x) = (wide(&a), wide(&b), wide(&x));
        let gradient_at = |x: &[f64]| -> Vec<f64> {
            let rows = a.chunks_exact(n).zip(&b);
            let error: Vec<f64> = rows.map(|(row, b)| dot(row, x) - b).collect();
            let mut gradient = vec![0.0; n];
            let rows = a.chunks_exact(n).zip(&error);
            rows.for_each(|(row, error)| plus(&mut gradient, 2.0 * error / n as f64, row));
            gradient
        };
        let size = |v: &[f64]| dot(v, v).sqrt();
        // There is no way down that stays inside: all that is left of the gradient is held.
        let gradient = gradient_at(&x);
        let left = size(&without_held(&x, &gradient, &gradient));
        let first = size(&gradient_at(&vec![0.5; n]));
        assert!(left < 1e-4 * first, "lr {lr}: {left:e} of {first:e}");
        let bound = x.iter().filter(|x| **x == 0.0 || **x == 1.0).count();
        assert!((5..n).contains(&bound), "{bound} of {n} lie on a bound");
    }
    Ok(())
}

#[test]
fn the_unit_of_the_loss_does_not_matter() -> Result<()> {
    let (n, mut rng) = (40, rng(9));
    let (a, b) = (random(&mut rng, n * n), random(&mut rng, n));
    let run = |unit: f32| {
        let scaled = |v: &[f32]| v.iter().map(|v| unit * v).collect::<Vec<_>>();
        let (a, b) = (scaled(&a), scaled(&b));
        descend(gpu(), &lbfgs(0.01), &vec![0.5; n], 100, |t, x| least_squares(t, x, &a, &b))
    };
    let fall = |losses: &[f32]| losses.iter().copied().fold(f32::INFINITY, f32::min) / losses[0];
    let expected = fall(&run(1.0)?.0);
    // Losses and gradients go with its square, the products of gradients with its fourth power.
    for unit in [1e-7, 1e-3, 1e3, 1e7] {
        let (losses, _) = run(unit)?;
        let fall = fall(&losses);
        assert!((fall / expected - 1.0).abs() < 0.02, "{unit:e}: {fall} instead of {expected}");
    }
    // Where f32 ends there may be no way down, but never nonsense.
    for unit in [1e-19, 1e-12, 1e-9, 1e11, 1e15] {
        let (losses, x) = run(unit)?;
        assert!(x.iter().all(|v| (0.0..=1.0).contains(v)), "{unit:e}: {x:?}");
        assert!(losses.iter().all(|loss| loss.is_finite()), "{unit:e}: {losses:?}");
    }
    Ok(())
}

#[test]
fn what_is_no_number_is_rejected_and_no_slope_moves_nothing() -> Result<()> {
    let (gpu, start) = (gpu(), [0.25, 0.5, 0.75]);
    let (x, gradient) = (gpu.zeros([3])?, gpu.zeros([3])?);
    let loss = gpu.zeros(Shape::scalar())?;
    let optimizer = optimizer_of(gpu, &lbfgs(0.1), &x, &start)?;
    let mut recorder = Recorder::new(gpu);
    optimizer.record(&mut recorder, &[(&gradient).into()], &(&loss).into())?;
    let program = recorder.finish()?;
    let step = |value: f32, slopes: [f32; 3]| -> Result<(Vec<f32>, Vec<f32>)> {
        gpu.write(&loss, &[value])?;
        gpu.write(&gradient, &slopes)?;
        pollster::block_on(program.run())?;
        let read = |tensor| pollster::block_on(gpu.read(tensor));
        Ok((read(&x)?, read(optimizer.result(0))?))
    };
    let (_, best) = step(3.0, [1.0, -1.0, 2.0])?;
    assert_eq!(best, start);
    for value in [f32::NAN, f32::INFINITY, f32::NAN, f32::NAN, f32::NAN] {
        let (trial, best) = step(value, [f32::NAN; 3])?;
        assert_eq!(best, start);
        assert!(trial.iter().all(|v| (0.0..=1.0).contains(v)), "{trial:?}");
    }
    let (trial, best) = step(2.0, [0.0; 3])?;
    assert_eq!(trial, best, "nothing pulls");
    assert_ne!(best, start, "a trial with a lower loss is taken");
    Ok(())
}

#[test]
fn the_average_is_the_corrected_one() -> Result<()> {
    let (gpu, count, mut rng) = (gpu(), 1031, rng(8));
    let start = random(&mut rng, count);
    let x = gpu.tensor([count], &start)?;
    let average = Average::new(gpu, &[x.shape().clone()])?;
    average.start(gpu, [&start[..]])?;
    assert_eq!(pollster::block_on(gpu.read(average.tensor(0)))?, start);
    let mut recorder = Recorder::new(gpu);
    average.record(&mut recorder, &[&x])?;
    let program = recorder.finish()?;
    let decay = f64::from(Average::DECAY);
    let mut sum = vec![0.0; count];
    for step in 1..=40 {
        let numbers = random(&mut rng, count);
        gpu.write(&x, &numbers)?;
        pollster::block_on(program.run())?;
        sum.iter_mut().for_each(|s| *s *= decay);
        plus(&mut sum, 1.0 - decay, &wide(&numbers));
        let expected: Vec<f64> = sum.iter().map(|s| s / (1.0 - decay.powi(step))).collect();
        let got = pollster::block_on(gpu.read(average.tensor(0)))?;
        let error = common::relative_error(&got, &expected);
        assert!(error < 1e-5, "after {step} steps: {error:e}");
    }
    Ok(())
}

/// A picture with structure, from integers.
fn pattern(width: u32, height: u32, seed: u32) -> Picture {
    let value = |i: u32| ((i * seed + i / width * 11) % 251) as f32 / 255.0;
    let rgb = (0..3 * width * height).map(value).collect();
    Picture::from_planes((width, height), rgb, None, Depth::Eight).expect("planes fit")
}

/// The rows of so many steps, and the painter.
fn paint(graph: &Graph, job: &Job<'_>, steps: u64) -> Result<(Vec<LossRow>, Painter)> {
    let mut rows = Vec::new();
    let mut painter = pollster::block_on(Painter::new(gpu(), graph, job))?;
    let mut watch = |event: Event<'_>| {
        if let Event::Losses(losses) = event {
            rows.extend_from_slice(losses);
        }
        Verdict::Continue
    };
    pollster::block_on(painter.paint(steps, None, &mut watch))?;
    Ok((rows, painter))
}

#[test]
fn a_real_loss_never_blows_up_and_the_best_picture_is_the_result() -> Result<()> {
    let layers = |list| LayerWeight::list(list).expect("layers");
    let loss = LossSettings {
        content_layers: layers("relu2_2"),
        style_layers: layers("relu1_1,relu2_1,relu3_1"),
        ..LossSettings::plain()
    };
    let graph = Graph::new(Network::random(16, 3, Some("relu3_1"))?)?;
    let (content, styles) = (pattern(29, 23, 3), [(pattern(20, 31, 7), 1.0)]);
    let styles = common::measured(common::gpu(), &graph, &loss, &styles);
    let job = |start, descent| Job {
        content: &content,
        styles: &styles,
        start,
        loss: loss.clone(),
        descent,
        layout: Layout::default(),
        regions: Regions::ALL,
    };
    let lowest = |rows: &[LossRow]| rows.iter().map(|r| r.total).fold(f32::INFINITY, f32::min);
    let (rows, _) = paint(&graph, &job(Start::Content, Descent::adam(0.05)), 60)?;
    let adam = lowest(&rows);
    // From far too careful to far too bold.
    for lr in [1e-6, 0.01, 1e6] {
        let (rows, painter) = paint(&graph, &job(Start::Content, lbfgs(lr)), 60)?;
        assert_eq!(rows.len(), 60);
        assert!(lowest(&rows) < adam, "lr {lr}: {} Adam {adam}", lowest(&rows));
        let picture = pollster::block_on(painter.picture())?;
        assert!(picture.rgb().iter().all(|v| (0.0..=1.0).contains(v)));
        let again = Start::Picture(Box::new(picture));
        let (again, _) = paint(&graph, &job(again, lbfgs(lr)), 1)?;
        assert!(again[0].total <= 1.0001 * lowest(&rows), "{:?} {}", again[0], lowest(&rows));
        // Whoever goes on from there, at whatever size, counts on.
        let carried = pollster::block_on(painter.carried())?;
        for descent in [lbfgs(lr), Descent::adam(0.01)] {
            let larger = pattern(40, 32, 3);
            let start = Start::Carried(Box::new(carried.clone()));
            let job = Job { content: &larger, ..job(start, descent) };
            let (rows, painter) = paint(&graph, &job, 70)?;
            assert_eq!(painter.steps(), 130);
            let steps: Vec<u64> = rows.iter().map(|row| row.step).collect();
            assert_eq!(steps, (60..130).collect::<Vec<_>>());
            assert!(lowest(&rows) < rows[0].total);
        }
    }
    Ok(())
}
