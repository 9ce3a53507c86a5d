//! Neural neighbours against PyTorch in f64: which vectors are nearest, the loss, and its gradient to the coefficients of the
//! picture's Laplacian pyramid. Then what holds of them in tiles, behind masks, between styles, and after a break.
//!
//! To renew the goldens: `IMPASTO_GOLDEN=DIR cargo test --test programs -- --ignored` writes pictures and a network into DIR;
//! `python tests/golden/neighbours.py DIR tests/golden [VGG19.safetensors]` computes them.

mod common;

use common::{gpu, pattern};
use impasto::Result;
use impasto::loss::neighbours::Found;
use impasto::loss::{
    Aim, LayerWeight, LossSettings, Mask, Pixels, Regions, StyleLoss, StyleTargets, StyleTraits,
    Targets,
};
use impasto::nets::{Graph, Network, Preprocess, default_network};
use impasto::ops::pyramid;
use impasto::paint::{Descent, Event, Job, Layout, Levels, Painter, Start, TileLayout, Verdict};
use impasto::picture::{Depth, Picture};
use impasto::shape::Precision;
use impasto::tape::{Tape, loss_scale};
use impasto::tiles::gradient::TiledGradient;
use impasto::tiles::grid::Grid;
use impasto::tiles::measure::{self, Styles};
use impasto::tiles::search;
use pollster::block_on;
use serde::Deserialize;

/// Numbers of all places' neighbours, and how much nearer they are than the next; the losses, and every seventh number of their
/// gradients.
#[derive(Deserialize)]
struct Golden {
    numbers: Vec<f32>,
    gaps: Vec<f64>,
    loss: f64,
    gradient: Vec<f64>,
    split_loss: f64,
    split_gradient: Vec<f64>,
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

fn settings(splits: bool) -> LossSettings {
    LossSettings { style_weight: 1.0, splits, ..LossSettings::neighbours() }
}

fn graph() -> Graph {
    Graph::new(Network::random(8, 3, Some("relu4_1")).expect("a network")).expect("a graph")
}

fn picture(size: (u32, u32), value: impl Fn(usize) -> f64) -> Picture {
    let rgb = (0..(3 * size.0 * size.1) as usize).map(|i| value(i) as f32).collect();
    Picture::from_planes(size, rgb, None, Depth::Eight).expect("planes fit")
}

/// Without any two pixels alike.
fn waves(size: (u32, u32), seed: f64) -> Picture {
    picture(size, |i| 0.5 + 0.3 * (seed * i as f64).sin() + 0.2 * (0.37 * (i as f64).sqrt()).cos())
}

/// A painting by neighbours at one size.
struct Scene {
    graph: Graph,
    settings: LossSettings,
    content: Picture,
    picture: Picture,
    styles: Vec<(Picture, f32)>,
    regions: Regions,
}

/// A loss, and its gradient to the picture's pixels, one level after the other.
type Step = (f32, Vec<f32>);

impl Scene {
    fn traits(&self, tile: Option<usize>) -> Result<Vec<(StyleTraits, f32)>> {
        let styles = Styles { pictures: &self.styles, regions: &self.regions, tile };
        block_on(measure::styles(gpu(), &self.graph, &self.settings, &styles))
    }

    fn aim<'a>(&'a self, styles: &'a [(StyleTraits, f32)]) -> Aim<'a> {
        let content = Pixels::of(&self.content);
        Aim { content, styles, regions: &self.regions, loss: &self.settings, tile: None }
    }

    fn levels(&self) -> Levels {
        Levels::new(&self.settings, self.content.size())
    }

    fn grid(&self, most: usize) -> Result<Grid> {
        let reach = self.settings.tile_reach(&self.graph, self.content.size());
        Grid::new(self.content.size(), most, reach)
    }

    /// What is found in tiles of at most so many pixels.
    fn found(&self, targets: &StyleTargets, most: usize) -> Result<Found> {
        let places = targets.places().expect("places");
        let sharp = self.levels().with_fine(self.picture.rgb(), self.content.rgb());
        let from = if self.settings.splits { self.picture.rgb() } else { &sharp };
        let of = (from, Pixels::of(&self.content), &self.grid(most)?);
        block_on(search::found(gpu(), &self.graph, &self.settings, places, of))
    }

    /// The loss of the picture that has these levels, or of the picture itself.
    fn whole(&self, levels: &[Vec<f32>]) -> Result<(Found, Step)> {
        let (gpu, graph) = (gpu(), &self.graph);
        let traits = self.traits(None)?;
        let aim = self.aim(&traits);
        let style = block_on(StyleTargets::new(gpu, &aim, None))?;
        let found = self.found(&style, usize::MAX)?;
        let content = Pixels::of(&self.content).upload(gpu)?;
        let targets = block_on(Targets::measure(gpu, graph, &aim, (&content, style)))?;
        targets.set_found(gpu, &found)?;
        let mut tape = Tape::new(gpu);
        let shapes = self.levels();
        let vars = shapes
            .shapes()
            .zip(levels)
            .map(|(shape, level)| Ok(tape.variable(&gpu.tensor(shape, level)?)));
        let vars = vars.collect::<Result<Vec<_>>>()?;
        let x = if vars.len() > 1 { pyramid::synthesis(&mut tape, &vars)? } else { vars[0] };
        let loss = targets.record(&mut tape, graph, &self.settings, x)?.total;
        let gradients = loss_scale::gradients(&mut tape, loss, &vars, graph.precision())?;
        let mut kept = vec![tape.keep(loss)?];
        for gradient in gradients.expect("the loss depends on every level") {
            kept.push(tape.keep(gradient)?);
        }
        let program = tape.finish()?;
        program.poison();
        block_on(program.run())?;
        let mut numbers = Vec::new();
        for tensor in &kept {
            numbers.extend(block_on(gpu.read(tensor))?);
        }
        Ok((found, (numbers.remove(0), numbers)))
    }

    fn tiled(&self, most: usize) -> Result<(Found, Step)> {
        let (gpu, graph) = (gpu(), &self.graph);
        let traits = self.traits(Some(most))?;
        let aim = self.aim(&traits);
        let style = block_on(StyleTargets::new(gpu, &aim, None))?;
        let found = self.found(&style, most)?;
        let grid = self.grid(most)?;
        assert!(grid.count() > 1, "one tile of {most} px");
        let cut = (grid, most, None);
        let mut tiles = block_on(TiledGradient::new(gpu, graph, (&aim, &style), cut))?;
        tiles.set_found(found.clone());
        let mut gradient = vec![0.0; self.picture.rgb().len()];
        let mut watch = |_| true;
        let sums = block_on(tiles.gradient(self.picture.rgb(), &mut gradient, &mut watch))?;
        let sums = sums.expect("it was not stopped");
        Ok((found, (sums.total, gradient)))
    }
}

fn numbers(found: &Found) -> Vec<usize> {
    found.choice.iter().map(|number| *number as usize).collect()
}

#[test]
fn matches_losses_and_gradients_are_those_of_pytorch() -> Result<()> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/neighbours");
    for (name, network) in networks() {
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).expect("golden");
        let golden: Golden = serde_json::from_str(&text).expect("numbers");
        let mut scene = Scene {
            graph: Graph::new(network)?,
            settings: settings(false),
            content: pattern(1),
            picture: pattern(9),
            styles: vec![(pattern(4), 1.0)],
            regions: Regions::default(),
        };
        let mut levels = scene.levels().split(scene.picture.rgb());
        for level in &mut levels {
            // No two pixels alike: ties in max pools have a gradient that rounding decides.
            level.iter_mut().enumerate().for_each(|(i, v)| *v += (0.02 * (i as f64).sin()) as f32);
        }
        let expected =
            [(golden.loss, &golden.gradient), (golden.split_loss, &golden.split_gradient)];
        for (splits, (loss, gradient)) in [false, true].into_iter().zip(expected) {
            scene.settings = settings(splits);
            let (found, (own, own_gradient)) = scene.whole(&levels)?;
            if !splits {
                let chosen = numbers(&found);
                let places = chosen.iter().zip(&golden.numbers).zip(&golden.gaps);
                let others = places.filter(|((own, other), _)| **own as f32 != **other);
                // Another one may be as near.
                let wrong = others.filter(|(_, gap)| **gap > 1e-5).count();
                assert_eq!(wrong, 0, "{name}: other neighbours");
            }
            let wrong = (f64::from(own) / loss - 1.0).abs();
            let some: Vec<f32> = own_gradient.iter().step_by(7).copied().collect();
            let error = common::relative_error(&some, gradient);
            eprintln!("{name}, split {splits}: loss off by {wrong:.1e}, gradient by {error:.1e}");
            assert!(wrong < 1e-4, "{name}: {own} is not {loss}");
            assert!(error < 1e-3, "{name}: the gradient is off by {error:.1e}");
        }
    }
    Ok(())
}

/// Pictures of odd sides, two styles of other sizes.
fn scene(splits: bool) -> Scene {
    Scene {
        graph: graph(),
        settings: LossSettings {
            content_weight: 0.7,
            tv_weight: 0.5,
            detail_weight: 0.2,
            strength: 0.8,
            ..settings(splits)
        },
        content: waves((237, 150), 0.31),
        picture: waves((237, 150), 0.47),
        styles: vec![(waves((130, 101), 0.11), 2.0), (waves((90, 203), 0.23), 1.0)],
        regions: Regions::default(),
    }
}

/// White to the left of a column, grey after it.
fn half(size: (u32, u32), column: u32, left: bool) -> Mask {
    let width = size.0 as usize;
    Mask::of(&picture(size, |i| {
        let inside = ((i % width) < column as usize) == left;
        if inside { 1.0 } else { 0.1 }
    }))
}

#[test]
fn tiles_give_the_gradient_of_the_whole() -> Result<()> {
    for (splits, masked) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut scene = scene(splits);
        if masked {
            let size = scene.content.size();
            scene.regions.content = vec![half(size, 100, true), half(size, 100, false)];
            let of = |at: usize| scene.styles[at].0.size();
            scene.regions.style = vec![half(of(0), 60, true), half(of(1), 30, false)];
        }
        let pixels = vec![scene.picture.rgb().to_vec()];
        let (found, (loss, gradient)) = scene.whole(&pixels)?;
        let (found_in_tiles, (in_tiles, tiled)) = scene.tiled(144)?;
        let what = format!("split {splits}, masked {masked}");
        if splits {
            let error = common::relative_error(
                &found_in_tiles.centre,
                &found.centre.iter().map(|v| f64::from(*v)).collect::<Vec<_>>(),
            );
            assert!(error < 1e-5, "{what}: the centre is off by {error:.1e}");
        } else {
            assert!(numbers(&found) == numbers(&found_in_tiles), "{what}: other neighbours");
        }
        let off = (in_tiles / loss - 1.0).abs();
        let gradient: Vec<f64> = gradient.iter().map(|v| f64::from(*v)).collect();
        let error = common::relative_error(&tiled, &gradient);
        eprintln!("{what}: loss off by {off:.1e}, gradient by {error:.1e}");
        assert!(off < 1e-5, "{what}: {in_tiles} is not {loss}");
        assert!(error < 1e-4, "{what}: the gradient is off by {error:.1e}");
    }
    Ok(())
}

#[test]
fn maps_in_f16_come_near() -> Result<()> {
    if !gpu().report().f16 {
        common::skipped(&format!("neighbours with f16: {} has none", gpu().report().name));
        return Ok(());
    }
    for splits in [false, true] {
        let mut scene = scene(splits);
        let pixels = vec![scene.picture.rgb().to_vec()];
        let (_, (full, gradient)) = scene.whole(&pixels)?;
        let gradient: Vec<f64> = gradient.iter().map(|v| f64::from(*v)).collect();
        scene.graph = scene.graph.with_precision(Precision::F16);
        for (half, halves) in [scene.whole(&pixels)?.1, scene.tiled(144)?.1] {
            let error = common::relative_error(&halves, &gradient);
            println!("split {splits}: loss {half} and {full}, gradient off by {error:.1e}");
            assert!((half / full - 1.0).abs() < 2e-2, "{half} is not {full}");
            assert!(error < 0.1, "the gradient is off by {error:.1e}");
        }
    }
    Ok(())
}

#[test]
fn a_style_is_its_own_nearest_neighbour() -> Result<()> {
    let style = pattern(4);
    let mut scene = scene(false);
    scene.settings.strength = 1.0;
    (scene.graph, scene.styles) = (Graph::new(default_network(None)?)?, vec![(style.clone(), 1.0)]);
    (scene.content, scene.picture) = (style.clone(), style);
    let traits = scene.traits(None)?;
    let targets = block_on(StyleTargets::new(gpu(), &scene.aim(&traits), None))?;
    let found = scene.found(&targets, usize::MAX)?;
    // The first rotation is the style as it is. Means differ, one over a picture and one over its rotations too: some
    // places are nearer to others.
    let own = numbers(&found).iter().enumerate().filter(|(place, number)| place == *number).count();
    assert!(10 * own > 9 * found.choice.len(), "{own} of {}", found.choice.len());
    Ok(())
}

/// Masks say which styles a place may choose from, and a style's own which of its places there are.
#[test]
fn masks_restrict_the_choice() -> Result<()> {
    let mut scene = scene(false);
    let size = scene.content.size();
    // The same style twice: the left half of it for the left, the other for the right.
    let style = scene.styles[0].0.clone();
    scene.styles = vec![(style.clone(), 1.0), (style.clone(), 1.0)];
    scene.regions.content = vec![half(size, 100, true), half(size, 100, false)];
    scene.regions.style = vec![half(style.size(), 64, true), half(style.size(), 64, false)];
    let traits = scene.traits(None)?;
    let targets = block_on(StyleTargets::new(gpu(), &scene.aim(&traits), None))?;
    let found = scene.found(&targets, usize::MAX)?;
    assert!(found.choice.iter().all(|number| *number >= 0.0), "a place has none");
    let chosen = numbers(&found);
    let columns = size.0 as usize / 4;
    // As many of either half: the pool has one behind the other.
    let of = |left: bool| -> Vec<usize> {
        let own = chosen.iter().enumerate().filter(|(place, _)| (place % columns < 25) == left);
        own.map(|(_, number)| *number).collect()
    };
    let (left, right) = (of(true).into_iter().max(), of(false).into_iter().min());
    assert!(left < right, "{left:?} {right:?}");
    Ok(())
}

/// Takes steps; hands on.
fn painted(scene: &Scene, layout: Layout, start: Start, steps: u64) -> Result<Painter> {
    let traits = scene.traits(layout.measuring_tile())?;
    let job = Job {
        content: &scene.content,
        styles: &traits,
        regions: &scene.regions,
        start,
        loss: scene.settings.clone(),
        descent: Descent::adam(0.01),
        layout,
    };
    let mut painter = block_on(Painter::new(gpu(), &scene.graph, &job))?;
    let mut watch = |_: Event<'_>| Verdict::Continue;
    block_on(painter.paint(steps, None, &mut watch))?;
    Ok(painter)
}

#[test]
fn a_painting_that_goes_on_takes_the_same_steps() -> Result<()> {
    let tiles = Layout { tiles: Some(TileLayout { most: 144, keep: false }), ..Layout::default() };
    for (splits, layout) in
        [(false, Layout::default()), (true, Layout::default()), (false, tiles), (true, tiles)]
    {
        let scene = scene(splits);
        let through = painted(&scene, layout, Start::Content, 5)?;
        let half = painted(&scene, layout, Start::Content, 3)?;
        let start = Start::Carried(Box::new(block_on(half.carried())?));
        let on = painted(&scene, layout, start, 2)?;
        let (through, on) = (block_on(through.carried())?, block_on(on.carried())?);
        assert!(through.state == on.state, "split {splits}, {layout:?}: another state");
        assert!(through.picture == on.picture, "split {splits}, {layout:?}: another picture");
        assert!(on.picture.rgb() != scene.content.rgb());
    }
    Ok(())
}

#[test]
fn whole_and_in_tiles_the_picture_is_the_same() -> Result<()> {
    let scene = scene(false);
    let tiles = Layout { tiles: Some(TileLayout { most: 144, keep: false }), ..Layout::default() };
    let whole = block_on(painted(&scene, Layout::default(), Start::Content, 4)?.picture())?;
    let tiled = block_on(painted(&scene, tiles, Start::Content, 4)?.picture())?;
    let off = whole.rgb().iter().zip(tiled.rgb()).map(|(a, b)| f64::from((a - b).abs()));
    let mean = off.sum::<f64>() / whole.rgb().len() as f64;
    assert!(mean < 2e-3, "off by {mean:.1e} on average");
    Ok(())
}

/// The colours are those of the styles, in mean and in spread.
#[test]
fn a_painting_has_the_colours_of_its_style() -> Result<()> {
    let mut scene = scene(false);
    scene.settings.strength = 1.0;
    scene.styles = vec![(picture((120, 96), |i| 0.4 + 0.2 * (0.9 * i as f64).sin()), 1.0)];
    let painting = block_on(painted(&scene, Layout::default(), Start::Content, 2)?.picture())?;
    let about = |picture: &Picture| {
        let pixels = picture.rgb().len() / 3;
        let plane = &picture.rgb()[..pixels];
        let mean = plane.iter().sum::<f32>() / pixels as f32;
        (mean, plane.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / pixels as f32)
    };
    let ((mean, spread), wanted) = (about(&painting), about(&scene.styles[0].0));
    assert!((mean - wanted.0).abs() < 0.01, "{mean} is not {}", wanted.0);
    assert!((spread / wanted.1 - 1.0).abs() < 0.1, "{spread} is not {}", wanted.1);
    Ok(())
}

/// A strength moves colours no further than it goes.
#[test]
fn colours_go_as_far_as_the_strength() -> Result<()> {
    let even = |value: f64| picture((96, 72), move |i| value + 0.02 * (0.9 * i as f64).sin());
    let mut scene = scene(false);
    (scene.content, scene.styles) = (even(0.8), vec![(even(0.2), 1.0)]);
    scene.settings.strength = 0.5;
    let painting = block_on(painted(&scene, Layout::default(), Start::Content, 1)?.picture())?;
    let (mut sum, mut squares) = (0.0, 0.0);
    for value in painting.rgb() {
        (sum, squares) = (sum + f64::from(*value), squares + f64::from(value * value));
    }
    let count = painting.rgb().len() as f64;
    let (mean, spread) = (sum / count, (squares / count - (sum / count).powi(2)).sqrt());
    assert!((mean - 0.5).abs() < 0.03, "{mean}");
    assert!(spread < 0.05, "a spread of {spread}");
    Ok(())
}

/// Neighbours of other styles are no neighbours.
#[test]
fn what_was_found_elsewhere_is_looked_for_again() -> Result<()> {
    let first = scene(false);
    let half = painted(&first, Layout::default(), Start::Content, 2)?;
    let carried = block_on(half.carried())?;
    let mut second = scene(false);
    second.styles.swap(0, 1);
    let start = Start::Carried(Box::new(carried.clone()));
    let on = block_on(painted(&second, Layout::default(), start, 1)?.carried())?;
    assert!(on.state.tensors["choice"] != carried.state.tensors["choice"]);
    assert!(on.state.tensors["pool"] != carried.state.tensors["pool"]);
    let traits = first.traits(None)?;
    let aim = first.aim(&traits);
    let style = block_on(StyleTargets::new(gpu(), &aim, None))?;
    let content = Pixels::of(&first.content).upload(gpu())?;
    let targets = block_on(Targets::measure(gpu(), &first.graph, &aim, (&content, style)))?;
    let error = targets.set_found(gpu(), &Found::default()).expect_err("refused").to_string();
    assert!(error.contains("look again"), "{error}");
    Ok(())
}

/// A painting that is re-aimed goes on as a new one would from what it left.
#[test]
fn a_painting_is_re_aimed() -> Result<()> {
    let tiles = Layout { tiles: Some(TileLayout { most: 144, keep: false }), ..Layout::default() };
    for layout in [Layout::default(), tiles] {
        let (first, mut second) = (scene(false), scene(false));
        second.styles.swap(0, 1);
        let mut painter = painted(&first, layout, Start::Content, 2)?;
        let carried = block_on(painter.carried())?;
        let traits = second.traits(layout.measuring_tile())?;
        let aim = Aim { tile: layout.measuring_tile(), ..second.aim(&traits) };
        block_on(painter.retarget(&second.graph, &aim))?;
        block_on(painter.paint(2, None, &mut |_| Verdict::Continue))?;
        let start = Start::Carried(Box::new(carried));
        let fresh = block_on(painted(&second, layout, start, 2)?.carried())?;
        let re_aimed = block_on(painter.carried())?;
        assert!(re_aimed.state == fresh.state && re_aimed.picture == fresh.picture, "{layout:?}");
        let moments = LossSettings { style_loss: StyleLoss::Gram, ..second.settings.clone() };
        let measured = common::measured(gpu(), &second.graph, &moments, &second.styles);
        let aim = Aim { loss: &moments, styles: &measured, ..second.aim(&traits) };
        let error = block_on(painter.retarget(&second.graph, &aim)).expect_err("refused");
        assert!(error.to_string().contains("begin a new painting"), "{error}");
    }
    Ok(())
}

#[test]
fn what_was_measured_for_moments_is_refused() -> Result<()> {
    let scene = scene(false);
    let moments = LossSettings { style_loss: StyleLoss::Gram, ..scene.settings.clone() };
    let of = |loss: &LossSettings| common::measured(gpu(), &scene.graph, loss, &scene.styles);
    let error = |loss: &LossSettings, traits: &[(StyleTraits, f32)]| {
        let aim = Aim { loss, ..scene.aim(traits) };
        block_on(StyleTargets::new(gpu(), &aim, None)).err().expect("refused").to_string()
    };
    let (by_place, by_moments) = (of(&scene.settings), of(&moments));
    assert!(error(&scene.settings, &by_moments).contains("measure it again"));
    assert!(error(&moments, &by_place).contains("measure it again"));
    let fewer = LayerWeight::list("relu1_1,relu3_1").expect("layers");
    let fewer = LossSettings { style_layers: fewer, ..scene.settings.clone() };
    assert!(error(&fewer, &by_place).contains("other layers"));
    Ok(())
}
