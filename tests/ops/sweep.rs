//! The sweep over the catalogue: every case of every operation, forward and backward.

use impasto::Result;
use impasto::gpu::{Frozen, Gpu};
use impasto::ops::conv2d::Variant;
use impasto::ops::reference::Array;
use impasto::ops::{CATALOGUE, Case, cast, scale};
use impasto::shape::Precision;
use impasto::tape::{Tape, Var};
use rand::RngExt;

use crate::common::{checked_gpu, gpu, random, relative_error, rng, skipped, variants};

/// f32 sums of up to some thousand products stay well below this.
const TOLERANCE: f64 = 3e-6;
/// Results that are stored as f16, some of them twice, each time off by 3e-4 at most half of the time.
const HALF_TOLERANCE: f64 = 1e-3;

/// Outputs up to which references are compared with finite differences.
const LARGEST_DIFFERENCE: usize = 10_000;

/// Inputs of a case and an upstream gradient, all seeded.
#[derive(Clone)]
struct Numbers {
    inputs: Vec<Vec<f32>>,
    upstream: Vec<f32>,
}

impl Numbers {
    fn of(case: &Case, seed: u64) -> Self {
        let mut rng = rng(seed);
        let shapes: Vec<_> = case.inputs.iter().collect();
        let out = case.op.shape(&shapes).expect("the case's shapes fit");
        let mut inputs: Vec<Vec<f32>> =
            case.inputs.iter().map(|s| random(&mut rng, s.elements())).collect();
        // Scalars are denominators: away from zero.
        inputs.iter_mut().filter(|v| v.len() == 1).for_each(|v| v[0] = 0.5 + v[0].abs());
        case.given.iter().for_each(|(at, numbers)| inputs[*at].clone_from(numbers));
        Numbers { inputs, upstream: random(&mut rng, out.elements()) }
    }

    /// The same, of numbers that f16 holds.
    fn rounded(mut self) -> Self {
        let round = |v: &mut f32| *v = half::f16::from_f32(*v).to_f32();
        self.inputs.iter_mut().chain([&mut self.upstream]).flatten().for_each(round);
        self
    }

    fn arrays(&self, case: &Case) -> Vec<Array> {
        let array = |(shape, v): (&impasto::shape::Shape, &Vec<f32>)| {
            Array::from_fn(shape.clone(), |i| f64::from(v[i]))
        };
        case.inputs.iter().zip(&self.inputs).map(array).collect()
    }
}

/// What the GPU gives: the output and the gradients of the inputs that are not frozen. The gradient
/// is that of y + y with y recorded twice, so that the second use adds to the first one's.
struct Results {
    output: Vec<f32>,
    gradients: Vec<Option<Vec<f32>>>,
}

/// With maps stored in `precision`.
fn on_gpu(gpu: &Gpu, case: &Case, numbers: &Numbers, precision: Precision) -> Result<Results> {
    pollster::block_on(async {
        let maps = if precision == Precision::F32 { 0 } else { case.op.maps() };
        let mut tape = Tape::new(gpu);
        let (mut leaves, mut inputs) = (Vec::new(), Vec::new());
        for (i, (shape, v)) in case.inputs.iter().zip(&numbers.inputs).enumerate() {
            if case.frozen.contains(&i) {
                let frozen = tape.frozen(&Frozen::new(shape.clone(), v.clone())?);
                inputs.push(if i < maps { cast(&mut tape, frozen, precision)? } else { frozen });
                leaves.push(None);
            } else {
                let leaf = tape.variable(&gpu.tensor(shape.clone(), v)?);
                // Through a temporary, so that the operation reads from poisoned memory.
                let precision = if i < maps { precision } else { Precision::F32 };
                let leaf_again = scale(&mut tape, leaf, 1.0)?;
                inputs.push(cast(&mut tape, leaf_again, precision)?);
                leaves.push(Some(leaf));
            }
        }
        let y = tape.record_boxed(case.op.boxed(), &inputs)?;
        let again = tape.record_boxed(case.op.boxed(), &inputs)?;
        let sum = impasto::ops::add(&mut tape, y, again)?;
        let upstream = gpu.tensor(tape.shape(y).clone(), &numbers.upstream)?;
        let upstream = tape.constant(&upstream);
        let gradients = tape.backward_from(sum, upstream)?;
        let output = cast(&mut tape, y, Precision::F32)?;
        let output = tape.keep(output)?;
        let mut kept = Vec::new();
        for leaf in leaves {
            let gradient: Option<Var> = leaf.and_then(|leaf| tape.gradient(&gradients, leaf));
            kept.push(gradient.map(|g| tape.keep(g)).transpose()?);
        }
        let program = tape.finish()?;
        let mut runs = Vec::new();
        for _ in 0..2 {
            program.poison();
            program.run().await?;
            let mut results = Results { output: gpu.read(&output).await?, gradients: Vec::new() };
            for tensor in &kept {
                results.gradients.push(match tensor {
                    Some(tensor) => Some(gpu.read(tensor).await?),
                    None => None,
                });
            }
            runs.push(results);
        }
        let second = runs.remove(1);
        assert!(same_bits(&runs[0], &second), "two runs gave different bits");
        Ok(second)
    })
}

fn same_bits(a: &Results, b: &Results) -> bool {
    let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let all = |r: &Results| {
        let gradients: Vec<_> = r.gradients.iter().map(|g| g.as_deref().map(bits)).collect();
        (bits(&r.output), gradients)
    };
    all(a) == all(b)
}

/// Runs `check` on every case and reports all that fail.
fn each_case(check: impl Fn(&Case, &Numbers) -> Result<(), String>) {
    let there = variants(gpu(), Precision::F16, "the sweep");
    let missing = Variant::ALL.into_iter().filter(|variant| !there.contains(variant));
    let missing: Vec<String> = missing.map(|variant| format!("{variant:?}")).collect();
    let mut failures = Vec::new();
    for entry in CATALOGUE {
        // While working on one operation: IMPASTO_OP=conv2d.
        if let Ok(only) = std::env::var("IMPASTO_OP")
            && only != entry.name
        {
            eprintln!("skipped: {}, which is not IMPASTO_OP={only}", entry.name);
            continue;
        }
        for (i, case) in (entry.cases)().iter().enumerate() {
            // Another kernel would take their place, which has cases of its own.
            if missing.iter().any(|variant| case.note.contains(variant)) {
                continue;
            }
            let numbers = Numbers::of(case, i as u64);
            if let Err(what) = check(case, &numbers) {
                let Case { inputs, note, .. } = case;
                failures.push(format!("{} {note} {inputs:?}: {what}", entry.name));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn forward_and_backward_match_the_reference() {
    each_case(|case, numbers| {
        let results = on_gpu(gpu(), case, numbers, Precision::F32).map_err(|e| e.to_string())?;
        check(case, numbers, &results, TOLERANCE)?;
        let missing = (0..case.inputs.len())
            .find(|i| results.gradients[*i].is_none() && !case.frozen.contains(i));
        missing.map_or(Ok(()), |i| Err(format!("input {i} got no gradient")))
    });
}

#[test]
fn maps_can_be_stored_as_f16() {
    if !gpu().report().f16 {
        skipped(&format!("f16 maps of all operations: {} has none", gpu().report().name));
        return;
    }
    let mut seen = 0;
    for entry in CATALOGUE {
        seen += usize::from((entry.cases)().iter().any(|case| case.op.maps() > 0));
    }
    assert_eq!(seen, 11, "operations that take maps");
    each_case(|case, numbers| {
        if case.op.maps() == 0 {
            return Ok(());
        }
        let numbers = numbers.clone().rounded();
        let results = on_gpu(gpu(), case, &numbers, Precision::F16).map_err(|e| e.to_string())?;
        // A difference of two numbers has no others to average its rounding with.
        let single = case.inputs[0].elements() == 1;
        check(case, &numbers, &results, if single { 5e-3 } else { HALF_TOLERANCE })
    });
}

/// The results against the reference.
fn check(case: &Case, numbers: &Numbers, results: &Results, tolerance: f64) -> Result<(), String> {
    let x = numbers.arrays(case);
    let y = case.op.reference(&x);
    let error = relative_error(&results.output, &y.data);
    if error.is_nan() || error > tolerance {
        return Err(format!("forward is off by {error:.1e}"));
    }
    let dy = Array::from_fn(y.shape, |i| f64::from(numbers.upstream[i]));
    let expected = case.op.reference_backward(&x, &dy);
    for (i, gradient) in results.gradients.iter().enumerate() {
        let Some(gradient) = gradient else { continue };
        let twice = expected[i].map(|v| 2.0 * v);
        let error = relative_error(gradient, &twice.data);
        if error.is_nan() || error > tolerance {
            return Err(format!("gradient of input {i} is off by {error:.1e}"));
        }
    }
    Ok(())
}

#[test]
fn bounds_checks_change_no_bit() {
    each_case(|case, numbers| {
        let f16 = gpu().report().f16 && case.op.maps() > 0;
        for precision in Precision::ALL.into_iter().filter(|p| *p == Precision::F32 || f16) {
            let run = |gpu| on_gpu(gpu, case, numbers, precision).map_err(|e| e.to_string());
            if !same_bits(&run(gpu())?, &run(checked_gpu())?) {
                return Err(format!("other bits with {precision}"));
            }
        }
        Ok(())
    });
}

#[test]
fn samples_are_elements_of_the_whole() {
    each_case(|case, numbers| {
        // The loops are the same at every size.
        if numbers.upstream.len() > LARGEST_DIFFERENCE / 10 {
            return Ok(());
        }
        let x = numbers.arrays(case);
        let dy = Array::from_fn(case.op.reference(&x).shape, |i| f64::from(numbers.upstream[i]));
        let close = |all: &Array, some: &dyn Fn(&[usize]) -> Vec<f64>| {
            let count = all.data.len();
            let at: Vec<usize> = (0..count).step_by(count / 7 + 1).chain([count - 1]).collect();
            let near = |(at, v): (&usize, &f64)| (all.data[*at] - v).abs() < 1e-9 * (1.0 + v.abs());
            let some = some(&at);
            some.len() == at.len() && at.iter().zip(&some).all(near)
        };
        if !close(&case.op.reference(&x), &|at| case.op.reference_at(&x, at)) {
            return Err("output".into());
        }
        for (i, dx) in case.op.reference_backward(&x, &dy).iter().enumerate() {
            if !close(dx, &|at| case.op.reference_backward_at(&x, &dy, i, at)) {
                return Err(format!("gradient of input {i}"));
            }
        }
        Ok(())
    });
}

#[test]
fn references_match_finite_differences() {
    each_case(|case, numbers| {
        // The loops are the same at every size, and a large map has a ReLU's kink everywhere.
        if numbers.upstream.len() > LARGEST_DIFFERENCE {
            return Ok(());
        }
        let (x, mut rng) = (numbers.arrays(case), rng(7));
        let dy = Array::from_fn(case.op.reference(&x).shape, |i| f64::from(numbers.upstream[i]));
        let gradients = case.op.reference_backward(&x, &dy);
        for i in (0..x.len()).filter(|i| !case.frozen.contains(i)) {
            let direction = x[i].map(|_| rng.random_range(-1.0..1.0));
            let along = |step: f64| {
                let mut moved = x.clone();
                moved[i] = x[i].zip(&direction, |x, d| x + step * d);
                let y = case.op.reference(&moved);
                y.zip(&dy, |y, dy| y * dy).data.iter().sum::<f64>()
            };
            let difference = (along(1e-6) - along(-1e-6)) / 2e-6;
            let slope: f64 = gradients[i].zip(&direction, |g, d| g * d).data.iter().sum();
            if (difference - slope).abs() > 1e-5 * (1.0 + slope.abs()) {
                return Err(format!("input {i}: {slope} is not the difference {difference}"));
            }
        }
        Ok(())
    });
}
