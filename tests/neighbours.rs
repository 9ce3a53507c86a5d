//! Neural neighbours against PyTorch in f64: which vectors are nearest, the loss, and its gradient to the coefficients of the
//! picture's Laplacian pyramid.
//!
//! To renew the goldens: `IMPASTO_GOLDEN=DIR cargo test --test programs -- --ignored` writes pictures and a network into DIR;
//! `python tests/golden/neighbours.py DIR tests/golden [VGG19.safetensors]` computes them.

mod common;

use common::{gpu, pattern};
use impasto::Result;
use impasto::gpu::Tensor;
use impasto::loss::Pixels;
use impasto::loss::neighbours::{LAYERS, Neighbours, Pool, grid, hypercolumns};
use impasto::nets::{Graph, Network, Preprocess, default_network};
use impasto::ops::pyramid;
use impasto::picture::Picture;
use impasto::shape::Precision;
use impasto::tape::Tape;
use serde::Deserialize;

/// Numbers and centred cosines of all places; the loss, and every seventh number of its gradient.
#[derive(Deserialize)]
struct Golden {
    numbers: Vec<f32>,
    scores: Vec<f64>,
    loss: f64,
    gradient: Vec<f64>,
}

const LEVELS: usize = 4;

fn tensor(picture: &Picture) -> Result<Tensor> {
    Pixels::of(picture).upload(gpu())
}

fn networks() -> Vec<(&'static str, Network)> {
    let mut small = Network::random(8, 5, Some("relu5_1")).expect("a random network");
    small.preprocess = Preprocess::caffe();
    let mut all = vec![("small", small), ("default", default_network(None).expect("embedded"))];
    if let Some(folder) = common::shared("the neighbours of VGG-19") {
        let bytes = std::fs::read(folder.join("weights/vgg19-to-conv4_1.safetensors"));
        let bytes = bytes.expect("the weights");
        all.push(("vgg19", Network::from_safetensors(&bytes, "vgg19", None).expect("it loads")));
    }
    all
}

/// What the content's places are to look like.
async fn neighbours(graph: &Graph) -> Result<Neighbours> {
    let (gpu, content, style) = (gpu(), pattern(1), pattern(4));
    let pool = Pool::measure(gpu, graph, &LAYERS, &[Pixels::of(&style)]).await?;
    let mut tape = Tape::new(gpu);
    let picture = tape.constant(&tensor(&content)?);
    let looks = hypercolumns(&mut tape, graph, &LAYERS, (picture, grid(content.size())))?;
    let looks = tape.keep(looks)?;
    tape.finish()?.run().await?;
    pool.neighbours(gpu, &looks).await
}

/// The levels of a picture, no two pixels alike: ties in max pools have a gradient that rounding decides.
async fn levels(picture: &Picture) -> Result<Vec<Tensor>> {
    let mut tape = Tape::new(gpu());
    let picture = tape.constant(&tensor(picture)?);
    let levels = pyramid::analysis(&mut tape, picture, LEVELS)?;
    let levels = levels.into_iter().map(|level| tape.keep(level)).collect::<Result<Vec<_>>>()?;
    tape.finish()?.run().await?;
    for level in &levels {
        let mut numbers = gpu().read(level).await?;
        numbers.iter_mut().enumerate().for_each(|(i, v)| *v += (0.02 * (i as f64).sin()) as f32);
        gpu().write(level, &numbers)?;
    }
    Ok(levels)
}

/// The loss of a picture of these levels, and its gradient to them.
async fn loss(graph: &Graph, goal: &Neighbours, levels: &[Tensor]) -> Result<(f32, Vec<f32>)> {
    let gpu = gpu();
    let mut tape = Tape::new(gpu);
    let vars: Vec<_> = levels.iter().map(|level| tape.variable(level)).collect();
    let picture = pyramid::synthesis(&mut tape, &vars)?;
    let loss = goal.record(&mut tape, graph, picture)?;
    let gradients = tape.backward(loss)?;
    let mut kept = vec![tape.keep(loss)?];
    for var in vars {
        let gradient = tape.gradient(&gradients, var).expect("the loss depends on every level");
        kept.push(tape.keep(gradient)?);
    }
    let program = tape.finish()?;
    program.poison();
    program.run().await?;
    let mut numbers = Vec::new();
    for tensor in &kept {
        numbers.extend(gpu.read(tensor).await?);
    }
    Ok((numbers.remove(0), numbers))
}

#[test]
fn matches_losses_and_gradients_are_those_of_pytorch() -> Result<()> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/neighbours");
    for (name, network) in networks() {
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).expect("golden");
        let golden: Golden = serde_json::from_str(&text).expect("numbers");
        let graph = Graph::new(network)?;
        let goal = pollster::block_on(neighbours(&graph))?;
        let choice = pollster::block_on(gpu().read(&goal.choice))?;
        let (numbers, scores) = choice.split_at(golden.numbers.len());
        let off = scores.iter().zip(&golden.scores).map(|(a, b)| (f64::from(*a) - b).abs());
        let off = off.fold(0.0, f64::max);
        // Another vector has a cosine of its own: where it is the same, it is as near.
        let others = numbers.iter().zip(&golden.numbers).filter(|(a, b)| a != b).count();
        let levels = pollster::block_on(levels(&pattern(9)))?;
        let (loss, gradient) = pollster::block_on(loss(&graph, &goal, &levels))?;
        let wrong = (f64::from(loss) / golden.loss - 1.0).abs();
        let some: Vec<f32> = gradient.iter().step_by(7).copied().collect();
        let error = common::relative_error(&some, &golden.gradient);
        eprintln!(
            "{name}: cosines off by {off:.1e}, {others} other neighbours, loss by {wrong:.1e}, gradient by {error:.1e}"
        );
        assert!(off < 1e-5, "{name}: a cosine is off by {off:.1e}");
        assert!(wrong < 1e-4, "{name}: {loss} is not {}", golden.loss);
        assert!(error < 1e-3, "{name}: the gradient is off by {error:.1e}");
    }
    Ok(())
}

#[test]
fn maps_in_f16_come_near() -> Result<()> {
    if !gpu().report().f16 {
        common::skipped(&format!("neighbours with f16: {} has none", gpu().report().name));
        return Ok(());
    }
    let of = |precision| {
        let graph = Graph::new(default_network(None)?)?.with_precision(precision);
        let goal = pollster::block_on(neighbours(&graph))?;
        let levels = pollster::block_on(levels(&pattern(9)))?;
        Ok::<_, impasto::Error>(pollster::block_on(loss(&graph, &goal, &levels))?.0)
    };
    let (half, full) = (of(Precision::F16)?, of(Precision::F32)?);
    assert!((half / full - 1.0).abs() < 2e-2, "{half} is not {full}");
    Ok(())
}

#[test]
fn a_picture_of_another_size_is_refused() -> Result<()> {
    let graph = Graph::new(Network::random(4, 1, Some("relu4_1"))?)?;
    let goal = pollster::block_on(neighbours(&graph))?;
    let mut tape = Tape::new(gpu());
    let picture = tape.constant(&gpu().zeros([3, 16, 40])?);
    let error = goal.record(&mut tape, &graph, picture).expect_err("refused").to_string();
    assert!(error.contains("16×40"), "{error}");
    Ok(())
}

#[test]
fn a_style_is_its_own_nearest_neighbour() -> Result<()> {
    let (gpu, style) = (gpu(), pattern(4));
    let graph = Graph::new(default_network(None)?)?;
    let pool = pollster::block_on(Pool::measure(gpu, &graph, &LAYERS, &[Pixels::of(&style)]))?;
    let mut tape = Tape::new(gpu);
    let picture = tape.constant(&tensor(&style)?);
    let looks = hypercolumns(&mut tape, &graph, &LAYERS, (picture, grid(style.size())))?;
    let looks = tape.keep(looks)?;
    pollster::block_on(tape.finish()?.run())?;
    let goal = pollster::block_on(pool.neighbours(gpu, &looks))?;
    let choice = pollster::block_on(gpu.read(&goal.choice))?;
    let (numbers, scores) = choice.split_at(choice.len() / 2);
    // The first piece is the style as it is. Means differ, one over a picture and one over its rotations too: some
    // places are nearer to others.
    let own = numbers.iter().enumerate().filter(|(place, number)| *place as f32 == **number);
    let own = own.count();
    assert!(10 * own > 9 * numbers.len(), "{own} of {}", numbers.len());
    assert!(scores.iter().all(|score| *score > 0.9), "{scores:?}");
    Ok(())
}
