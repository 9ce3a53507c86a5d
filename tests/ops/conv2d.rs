//! What is special about convolutions.

use impasto::Result;
use impasto::gpu::Frozen;
use impasto::ops::conv2d::Variant;
use impasto::ops::{
    Conv2d, Padding, absolute_error, add, avg_pool, conv2d, gram, max_pool, relu, weighted_sum,
};
use impasto::shape::Precision;
use impasto::tape::{Tape, Var};

use crate::common::{gpu, random, relative_error, rng, variants};

/// The output for `x`, and the gradient to the input for the upstream gradient `dy`.
fn both_ways(
    settings: Conv2d,
    [c, h, w]: [usize; 3],
    o: usize,
    x: &[f32],
    dy: &[f32],
) -> Result<[Vec<f32>; 2]> {
    let gpu = gpu();
    let weights = random(&mut rng(11), o * c * 9);
    let mut tape = Tape::new(gpu);
    let x = tape.variable(&gpu.tensor([c, h, w], x)?);
    let weights = tape.frozen(&Frozen::new([o, c, 3, 3], weights)?);
    let y = conv2d(&mut tape, x, weights, None, settings)?;
    let upstream = tape.constant(&gpu.tensor([o, h, w], dy)?);
    let gradients = tape.backward_from(y, upstream)?;
    let dx = tape.gradient(&gradients, x).expect("y depends on x");
    let (y, dx) = (tape.keep(y)?, tape.keep(dx)?);
    let program = tape.finish()?;
    if let Some(variant) = settings.variant {
        let own = format!("conv2d_{}", variant.name());
        let shader = match variant {
            Variant::Baseline => "conv2d.",
            Variant::Winograd => "winograd.",
            _ => &own,
        };
        let runs = program.labels().filter(|label| label.contains(shader)).count();
        assert!(
            runs >= 2,
            "{variant:?} has another kernel: {:?}",
            program.labels().collect::<Vec<_>>()
        );
    }
    pollster::block_on(async {
        program.run().await?;
        Ok([gpu.read(&y).await?, gpu.read(&dx).await?])
    })
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

#[test]
fn the_gradient_is_the_adjoint() -> Result<()> {
    // ⟨conv x, y⟩ = ⟨x, convᵀ y⟩, whatever lies beyond the edges.
    let (shape, o) = ([13, 19, 23], 21);
    let count = shape.iter().product();
    for variant in variants(gpu(), Precision::F32, "adjoints") {
        for mode in Padding::ALL {
            let mut rng = rng(12);
            let (x, dy) = (random(&mut rng, count), random(&mut rng, o * 19 * 23));
            let settings = Conv2d { mode, variant: Some(variant), ..Conv2d::default() };
            let [y, dx] = both_ways(settings, shape, o, &x, &dy)?;
            let (forward, backward) = (dot(&y, &dy), dot(&x, &dx));
            let error = (forward - backward).abs() / forward.abs();
            assert!(error < 1e-5, "{variant:?} {mode:?}: {forward} is not {backward}");
        }
    }
    Ok(())
}

#[test]
fn variants_agree_where_layers_are_wide() -> Result<()> {
    // More channels than a window, a tile or a chunk holds.
    let (shape, o) = ([300, 12, 16], 140);
    let mut rng = rng(13);
    let (x, dy) = (random(&mut rng, 300 * 192), random(&mut rng, o * 192));
    let run = |variant| {
        let settings = Conv2d { variant: Some(variant), ..Conv2d::default() };
        both_ways(settings, shape, o, &x, &dy)
    };
    let expected =
        run(Variant::Baseline)?.map(|v| v.into_iter().map(f64::from).collect::<Vec<_>>());
    for variant in variants(gpu(), Precision::F32, "wide layers") {
        for (got, expected) in run(variant)?.iter().zip(&expected) {
            let error = relative_error(got, expected);
            assert!(error < 3e-6, "{variant:?} is off by {error:.1e}");
        }
    }
    Ok(())
}

#[test]
fn a_fused_relu_masks_once_all_uses_have_added() -> Result<()> {
    // y is read by two later operations, as a tap is by its loss and by the next layer.
    let (gpu, mut rng) = (gpu(), rng(14));
    let x = gpu.tensor([5, 11, 12], &random(&mut rng, 5 * 132))?;
    let weights = Frozen::new([7, 5, 3, 3], random(&mut rng, 7 * 45))?;
    let more = Frozen::new([6, 7, 3, 3], random(&mut rng, 6 * 63))?;
    let gradient = |fused: bool| -> Result<Vec<f32>> {
        let mut tape = Tape::new(gpu);
        let var = tape.variable(&x);
        let (weights, more) = (tape.frozen(&weights), tape.frozen(&more));
        let settings = Conv2d { relu: fused, ..Conv2d::default() };
        let mut y = conv2d(&mut tape, var, weights, None, settings)?;
        if !fused {
            y = relu(&mut tape, y)?;
        }
        let zero = tape.frozen(&Frozen::new([7, 7], vec![0.0; 49])?);
        let style = gram(&mut tape, y)?;
        let style = absolute_error(&mut tape, style, zero, 1.0)?;
        let next = conv2d(&mut tape, y, more, None, Conv2d::default())?;
        let zero = tape.frozen(&Frozen::new([6, 11, 12], vec![0.0; 6 * 132])?);
        let deep = absolute_error(&mut tape, next, zero, 0.01)?;
        let loss = weighted_sum(&mut tape, &[(1.0, style), (2.0, deep)])?;
        let gradients = tape.backward(loss)?;
        let dx = tape.gradient(&gradients, var).expect("the loss depends on x");
        let dx = tape.keep(dx)?;
        let program = tape.finish()?;
        program.poison();
        pollster::block_on(program.run())?;
        pollster::block_on(gpu.read(&dx))
    };
    let expected: Vec<f64> = gradient(false)?.into_iter().map(f64::from).collect();
    let error = relative_error(&gradient(true)?, &expected);
    assert!(error < 1e-6, "off by {error:.1e}");
    Ok(())
}

/// Everything that may be the last to add to the gradient of a fused ReLU.
#[test]
fn whoever_adds_last_masks() -> Result<()> {
    let (gpu, mut rng) = (gpu(), rng(15));
    let weights = Frozen::new([20, 5, 3, 3], random(&mut rng, 20 * 45))?;
    let wide = Frozen::new([18, 20, 3, 3], random(&mut rng, 18 * 180))?;
    let point = Frozen::new([9, 20, 1, 1], random(&mut rng, 9 * 20))?;
    type Use<'a> = Box<dyn Fn(&mut Tape, Var) -> Result<Var> + 'a>;
    let mut uses: Vec<(String, Use)> = vec![
        ("gram".into(), Box::new(gram)),
        ("max_pool 2×2".into(), Box::new(|tape, y| max_pool(tape, y, 2, 2))),
        ("max_pool 3×3/2".into(), Box::new(|tape, y| max_pool(tape, y, 3, 2))),
        ("avg_pool".into(), Box::new(|tape, y| avg_pool(tape, y, 2, 2))),
    ];
    for variant in variants(gpu, Precision::F32, "fused ReLUs") {
        for mode in Padding::ALL {
            let settings = Conv2d { mode, variant: Some(variant), ..Conv2d::default() };
            let wide = &wide;
            let next = move |tape: &mut Tape, y| {
                let wide = tape.frozen(wide);
                conv2d(tape, y, wide, None, settings)
            };
            uses.push((format!("3×3 {settings:?}"), Box::new(next)));
        }
        let settings = Conv2d { padding: 0, variant: Some(variant), ..Conv2d::default() };
        let point = &point;
        let side = move |tape: &mut Tape, y| {
            let point = tape.frozen(point);
            conv2d(tape, y, point, None, settings)
        };
        uses.push((format!("1×1 {settings:?}"), Box::new(side)));
    }
    for [h, w] in [[9, 12], [13, 7], [40, 48]] {
        let x = gpu.tensor([5, h, w], &random(&mut rng, 5 * h * w))?;
        for (name, use_of) in &uses {
            for twice in [false, true] {
                let gradient = |fused: bool| -> Result<Vec<f32>> {
                    let mut tape = Tape::new(gpu);
                    let var = tape.variable(&x);
                    let weights = tape.frozen(&weights);
                    let settings = Conv2d { relu: fused, ..Conv2d::default() };
                    let mut y = conv2d(&mut tape, var, weights, None, settings)?;
                    if !fused {
                        y = relu(&mut tape, y)?;
                    }
                    let mut result = use_of(&mut tape, y)?;
                    if twice {
                        let again = use_of(&mut tape, y)?;
                        result = add(&mut tape, result, again)?;
                    }
                    let shape = tape.shape(result).clone();
                    let numbers: Vec<f32> =
                        (0..shape.elements()).map(|i| (i as f32 * 0.618).fract() - 0.5).collect();
                    let upstream = gpu.tensor(shape, &numbers)?;
                    let upstream = tape.constant(&upstream);
                    let gradients = tape.backward_from(result, upstream)?;
                    let dx = tape.gradient(&gradients, var).expect("the result depends on x");
                    let dx = tape.keep(dx)?;
                    let program = tape.finish()?;
                    program.poison();
                    pollster::block_on(program.run())?;
                    pollster::block_on(gpu.read(&dx))
                };
                let expected: Vec<f64> = gradient(false)?.into_iter().map(f64::from).collect();
                let error = relative_error(&gradient(true)?, &expected);
                assert!(error < 1e-6, "{name} twice: {twice}, {h}×{w}: off by {error:.1e}");
            }
        }
    }
    Ok(())
}
