//! Tiles: their gradients add up to the whole picture's.

mod common;

use common::{gpu, relative_error};
use impasto::Result;
use impasto::gpu::Gpu;
use impasto::loss::style::{Normalization, StyleLoss};
use impasto::loss::{Aim, LayerWeight, LossSettings, Mask, Pixels, Regions, StyleTargets};
use impasto::nets::{Graph, Network, Pool, Preprocess, default_network};
use impasto::ops::{Padding, Variation};
use impasto::picture::{Depth, Picture};
use impasto::shape::Precision;
use impasto::tape::Tape;
use impasto::tape::loss_scale;
use impasto::tiles::gradient::TiledGradient;
use impasto::tiles::grid::Grid;
use impasto::tiles::measure::{self, Styles};

/// Structure at all scales that no tile repeats.
fn pattern((width, height): (u32, u32), seed: u32) -> Picture {
    let value = |i: u32| {
        let (x, y, c) = (i % width, i / width % height, i / width / height);
        let wave = (x * (3 + c) + y * (5 + seed)) % 97 + (x * y / (7 + seed)) % 61;
        ((wave + 40 * ((x / 8 + y / (5 + seed)) % 3) + 20 * c) % 256) as f32 / 255.0
    };
    let rgb = (0..3 * width * height).map(value).collect();
    Picture::from_planes((width, height), rgb, None, Depth::Eight).expect("planes fit")
}

struct Scene {
    graph: Graph,
    settings: LossSettings,
    content: Picture,
    styles: Vec<(Picture, f32)>,
    picture: Picture,
    regions: Regions,
}

/// Losses (total, content, style, variation) and the gradient.
type Step = ([f32; 4], Vec<f32>);

impl Scene {
    fn styles(&self, tile: Option<usize>) -> Styles<'_> {
        Styles { pictures: &self.styles, regions: &self.regions, tile }
    }

    fn whole(&self) -> Step {
        let step = async || -> Result<Step> {
            let gpu = gpu();
            let tensor =
                |p: &Picture| gpu.tensor([3, p.height() as usize, p.width() as usize], p.rgb());
            let content = tensor(&self.content)?;
            let (graph, settings) = (&self.graph, &self.settings);
            let targets =
                measure::targets(gpu, graph, settings, &content, &self.styles(None)).await?;
            let picture = tensor(&self.picture)?;
            let mut tape = Tape::new(gpu);
            let x = tape.variable(&picture);
            let losses = targets.record(&mut tape, graph, settings, x)?;
            let gradient = loss_scale::gradients(&mut tape, losses.total, &[x], graph.precision())?;
            let gradient = tape.keep(gradient.expect("the loss depends on x")[0])?;
            let mut kept = Vec::new();
            for loss in [losses.total, losses.content, losses.style, losses.variation] {
                kept.push(tape.keep(loss)?);
            }
            tape.finish()?.run().await?;
            let mut values = [0.0; 4];
            for (value, tensor) in values.iter_mut().zip(&kept) {
                *value = gpu.read(tensor).await?[0];
            }
            Ok((values, gpu.read(&gradient).await?))
        };
        pollster::block_on(step()).expect("the whole picture's gradient")
    }

    /// The same in tiles of at most `most` px, and how many there were.
    fn tiled(&self, gpu: &Gpu, most: usize, keep: bool) -> (Step, usize) {
        let step = async || -> Result<(Step, usize)> {
            let (graph, settings) = (&self.graph, &self.settings);
            let pictures = self.styles(Some(most));
            let styles = measure::styles(gpu, graph, settings, &pictures).await?;
            let aim = Aim {
                content: Pixels::of(&self.content),
                styles: &styles,
                regions: &self.regions,
                loss: settings,
                tile: Some(most),
            };
            let own = measure::own_moments(gpu, graph, &aim).await?;
            let style = StyleTargets::new(gpu, &aim, own.as_deref()).await?;
            let grid = Grid::new(self.content.size(), most, settings.reach(graph))?;
            let kept = keep.then(|| grid.count());
            let of = (&aim, &style);
            let mut tiled = TiledGradient::new(gpu, graph, of, (grid, most, kept)).await?;
            let mut steps = Vec::new();
            // The second step must not see the first one's sums.
            for _ in 0..2 {
                let mut gradient = vec![0.0; self.picture.rgb().len()];
                let sums = tiled.gradient(self.picture.rgb(), &mut gradient, &mut |_| true).await?;
                let sums = sums.expect("nobody stopped it");
                steps.push(([sums.total, sums.content, sums.style, sums.variation], gradient));
            }
            let second = steps.remove(1);
            assert_eq!(steps[0].0, second.0, "two steps differ");
            assert!(steps[0].1 == second.1, "two steps differ");
            Ok((second, tiled.grid().count()))
        };
        pollster::block_on(step()).expect("the gradient in tiles")
    }

    fn check(&self, name: &str, most: usize) {
        let (losses, gradient) = self.whole();
        let expected: Vec<f64> = gradient.iter().map(|v| f64::from(*v)).collect();
        for keep in [false, true] {
            let ((sums, tiled), count) = self.tiled(gpu(), most, keep);
            assert!(count >= 4, "{name}: {count} tiles");
            for (sum, loss) in sums.iter().zip(losses) {
                assert!(
                    (sum - loss).abs() <= 1e-4 * loss.abs().max(1e-3),
                    "{name}: {sums:?} {losses:?}"
                );
            }
            let error = relative_error(&tiled, &expected);
            println!("{name}: {count} tiles, gradient off by {error:.1e}");
            assert!(error < 1e-4, "{name}: the gradient is off by {error:.1e}");
        }
    }
}

fn settings(content: &str, style: &str) -> LossSettings {
    let layers = |list| LayerWeight::list(list).expect("layers");
    LossSettings {
        content_layers: layers(content),
        style_layers: layers(style),
        content_weight: 1.0,
        style_weight: 20.0,
        tv_weight: 0.5,
        ..LossSettings::plain()
    }
}

fn small(until: &str, pool: Pool, padding: Padding) -> Graph {
    let mut network = Network::random(8, 5, Some(until)).expect("a random network");
    network.preprocess = Preprocess::caffe();
    (network.pool, network.padding) = (pool, padding);
    Graph::new(network).expect("a graph")
}

/// For maps of that precision, with features so many times as large.
fn small_in(precision: Precision, size: f32) -> Graph {
    let mut network = Network::random(8, 5, Some("relu3_1")).expect("a random network");
    let Preprocess { order, scale, offset } = Preprocess::caffe();
    let (scale, offset) = (scale.map(|v| size * v), offset.map(|v| size * v));
    network.preprocess = Preprocess { order, scale, offset };
    // Rounding can make another pixel the largest of a window: its gradient is no measure of sums.
    network.pool = Pool::Avg;
    Graph::new(network).expect("a graph").with_precision(precision)
}

#[test]
fn tiles_add_up_to_the_whole() {
    let scene = |graph, settings, size| Scene {
        graph,
        settings,
        content: pattern(size, 1),
        styles: vec![(pattern((143, 121), 4), 2.0), (pattern((97, 131), 9), 1.0)],
        picture: pattern(size, 3),
        regions: Regions::default(),
    };
    let four = settings("relu2_2=0.5,relu3_3", "relu1_1,relu2_1=0.3,relu3_1,relu4_1");
    let graph = small("relu4_1", Pool::Max, Padding::Zero);
    scene(graph, four.clone(), (167, 139)).check("zero padding, max pool", 112);
    let graph = small("relu4_1", Pool::Avg, Padding::Reflect);
    scene(graph, four.clone(), (131, 181)).check("reflection, average pool", 97);
    let graph = small("relu2_1", Pool::Max, Padding::Replicate);
    let shallow = settings("relu1_2", "relu1_1,relu2_1");
    scene(graph, shallow, (45, 61)).check("replication, two blocks", 24);
    let graph = Graph::new(default_network(None).expect("a network")).expect("a graph");
    scene(graph, four.clone(), (150, 137)).check("the default network", 120);
    for style_loss in [StyleLoss::MeanStd, StyleLoss::Wasserstein] {
        for normalization in [Normalization::Relative, Normalization::Absolute] {
            let graph = small("relu3_1", Pool::Max, Padding::Zero);
            let three = settings("relu2_2", "relu1_1,relu2_1,relu3_1");
            let settings = LossSettings { style_loss, normalization, ..three };
            scene(graph, settings, (77, 70)).check(style_loss.name(), 56);
        }
    }
    for style_loss in StyleLoss::OF_MOMENTS {
        let graph = small("relu3_1", Pool::Max, Padding::Zero);
        let three = settings("relu2_2", "relu1_1,relu2_1,relu3_1");
        let settings = LossSettings { style_loss, strength: 0.3, ..three };
        scene(graph, settings, (77, 70)).check(&format!("{style_loss}, a part of it"), 56);
    }
    let graph = small("relu3_1", Pool::Max, Padding::Zero);
    let detailed = LossSettings { detail_weight: 3.0, ..settings("relu2_2", "relu1_1,relu3_1") };
    scene(graph, detailed, (77, 70)).check("detail", 56);
}

/// Sums are f32 whatever maps are stored as: tiles differ from the whole by the rounding of maps alone.
#[test]
fn tiles_of_f16_maps_add_up() {
    if !gpu().report().f16 {
        common::skipped(&format!("tiles of f16 maps: {} has no f16", gpu().report().name));
        return;
    }
    let ways = StyleLoss::OF_MOMENTS.map(|loss| (loss, Normalization::Relative, 20.0, 1.0));
    // Large features alone: what their loss is in absolute terms decides about the scale of its gradient.
    let large = (StyleLoss::Gram, Normalization::Absolute, 0.0, 20.0);
    for (style_loss, normalization, style_weight, size) in ways.into_iter().chain([large]) {
        let scene = |precision| Scene {
            graph: small_in(precision, size),
            settings: LossSettings {
                style_loss,
                normalization,
                style_weight,
                ..settings("relu2_2", "relu1_1,relu3_1")
            },
            content: pattern((77, 70), 1),
            styles: vec![(pattern((60, 50), 4), 1.0)],
            picture: pattern((77, 70), 3),
            regions: Regions::default(),
        };
        let f64s = |v: Vec<f32>| v.into_iter().map(f64::from).collect::<Vec<_>>();
        let expected = f64s(scene(Precision::F32).whole().1);
        let half = scene(Precision::F16);
        let whole = half.whole().1;
        let error = relative_error(&whole, &expected);
        println!("{style_loss}: f16 is off by {error:.1e}");
        assert!(error > 1e-5, "{style_loss}: it is the f32 gradient");
        assert!(error < 2e-2, "{style_loss}: f16 is off by {error:.1e}");
        for keep in [false, true] {
            let ((_, tiled), _) = half.tiled(gpu(), 56, keep);
            let error = relative_error(&tiled, &f64s(whole.clone()));
            println!("{style_loss}: its tiles differ by {error:.1e}");
            assert!(error < 1e-2, "{style_loss}: tiles are off by {error:.1e}");
        }
    }
}

/// A single tile is both passes over the whole picture; and where no layer counts, neighbours still do.
#[test]
fn one_tile_and_no_layers() {
    let scene = |settings| Scene {
        graph: small("relu3_1", Pool::Max, Padding::Zero),
        settings,
        content: pattern((77, 70), 1),
        styles: vec![(pattern((60, 50), 4), 1.0)],
        picture: pattern((77, 70), 3),
        regions: Regions::default(),
    };
    let compare = |scene: &Scene, most| {
        let expected: Vec<f64> = scene.whole().1.iter().map(|v| f64::from(*v)).collect();
        for keep in [false, true] {
            let ((_, tiled), _) = scene.tiled(gpu(), most, keep);
            assert!(relative_error(&tiled, &expected) < 1e-4, "{most} {keep}");
        }
    };
    compare(&scene(settings("relu2_2", "relu1_1,relu3_1")), 100);
    compare(&scene(settings("relu1_1=0", "relu1_1=0")), 40);
}

/// A soft mask: a ramp along the diagonal, or the rest.
fn ramp((width, height): (u32, u32), rest: bool) -> Mask {
    let value = |i: u32| {
        let along = (i % width + i / width % height) as f32 / (width + height) as f32;
        let share = (4.0 * along - 1.5).clamp(0.0, 1.0);
        if rest { 1.0 - share } else { share }
    };
    let rgb = (0..3 * width * height).map(value).collect();
    Mask::of(&Picture::from_planes((width, height), rgb, None, Depth::Eight).expect("planes fit"))
}

#[test]
fn regions_are_tiled() {
    let (size, sizes) = ((77, 70), [(60, 50), (53, 64)]);
    let regions = [
        // A style for each region, all of it.
        Regions { content: vec![ramp(size, false), ramp(size, true)], style: Vec::new() },
        // Parts of two styles, blended in one region.
        Regions {
            content: vec![ramp(size, true)],
            style: sizes.map(|size| ramp(size, false)).to_vec(),
        },
    ];
    for regions in regions {
        // A region whose style does not count is a region all the same.
        for (style_loss, first) in [(StyleLoss::Gram, 0.0), (StyleLoss::MeanStd, 1.0)] {
            let scene = Scene {
                graph: small("relu3_1", Pool::Max, Padding::Zero),
                settings: LossSettings { style_loss, ..settings("relu2_2", "relu1_1,relu3_1") },
                content: pattern(size, 1),
                styles: vec![(pattern(sizes[0], 4), first), (pattern(sizes[1], 9), 2.0)],
                picture: pattern(size, 3),
                regions: regions.clone(),
            };
            scene.check("regions", 56);
        }
    }
}

/// A style alone and a content alone: what does not count has no gradient.
#[test]
fn a_single_loss_is_tiled() {
    let (squares, nine, absolute) = (Variation::Squares, Variation::Nine, Variation::Absolute);
    for (content_weight, style_weight, tv_weight, variation) in [
        (0.0, 3.0, 0.0, squares),
        (2.0, 0.0, 0.0, squares),
        (0.0, 0.0, 1.0, squares),
        (0.0, 0.0, 1.0, nine),
        (0.0, 0.0, 1e-3, absolute),
    ] {
        let scene = Scene {
            graph: small("relu3_1", Pool::Max, Padding::Zero),
            settings: LossSettings {
                content_weight,
                style_weight,
                tv_weight,
                variation,
                ..settings("relu2_2", "relu1_1,relu3_1")
            },
            content: pattern((77, 70), 1),
            styles: vec![(pattern((60, 50), 4), 1.0)],
            picture: pattern((77, 70), 3),
            regions: Regions::default(),
        };
        scene.check("one loss", 56);
    }
}

#[test]
fn detail_is_the_error_of_edges_over_the_edges() {
    let scene = Scene {
        graph: small("relu3_1", Pool::Max, Padding::Zero),
        settings: LossSettings {
            content_weight: 0.0,
            style_weight: 0.0,
            tv_weight: 0.0,
            detail_weight: 1.0,
            ..settings("relu2_2", "relu1_1,relu3_1")
        },
        content: pattern((77, 70), 1),
        styles: vec![(pattern((60, 50), 4), 1.0)],
        picture: pattern((77, 70), 3),
        regions: Regions::default(),
    };
    scene.check("detail alone", 56);
    // Against plain sums: the squared steps of the difference over those of the content.
    let steps = |of: &dyn Fn(usize) -> f32| {
        let square = |a: usize, b: usize| f64::from(of(b) - of(a)).powi(2);
        let at = |i: usize| (i % 77, i / 77 % 70);
        let across: f64 = (0..3 * 5390).filter(|i| at(*i).0 < 76).map(|i| square(i, i + 1)).sum();
        let down: f64 = (0..3 * 5390).filter(|i| at(*i).1 < 69).map(|i| square(i, i + 77)).sum();
        across / (3.0 * 76.0 * 70.0) + down / (3.0 * 77.0 * 69.0)
    };
    let (content, picture) = (scene.content.rgb(), scene.picture.rgb());
    let expected = steps(&|i| picture[i] - content[i]) / steps(&|i| content[i]);
    let total = f64::from(scene.whole().0[0]);
    assert!((total - expected).abs() < 1e-5 * expected, "{total} instead of {expected}");
}

/// Three octaves of the style and two of the content.
fn octaves(settings: LossSettings) -> LossSettings {
    let (style_octaves, content_octaves) = (vec![1.0, 0.6, 0.4], vec![1.0, 0.5]);
    LossSettings { style_octaves, content_octaves, ..settings }
}

#[test]
fn octaves_are_tiled() {
    let (size, sizes) = ((237, 198), [(143, 121), (97, 131)]);
    let masks = Regions { content: vec![ramp(size, false), ramp(size, true)], style: Vec::new() };
    for (style_loss, regions) in [
        (StyleLoss::Gram, Regions::default()),
        (StyleLoss::MeanStd, masks.clone()),
        (StyleLoss::Wasserstein, Regions::default()),
    ] {
        let settings = settings("relu2_2", "relu1_1,relu3_1=0.5");
        let scene = Scene {
            graph: small("relu3_1", Pool::Max, Padding::Zero),
            settings: octaves(LossSettings { style_loss, strength: 0.7, ..settings }),
            content: pattern(size, 1),
            styles: vec![(pattern(sizes[0], 4), 1.0), (pattern(sizes[1], 9), 2.0)],
            picture: pattern(size, 3),
            regions,
        };
        scene.check(&format!("octaves, {style_loss}"), 144);
    }
}

/// A picture at half its size: weights of 1, 3, 3 and 1 over 8 across and down, edges repeated.
fn halved(picture: &Picture) -> Picture {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let half = (width / 2, height / 2);
    let value = |at: usize| {
        let (x, y, c) = (at % half.0, at / half.0 % half.1, at / half.0 / half.1);
        let mut sum = 0.0;
        for (r, down) in [1.0, 3.0, 3.0, 1.0].iter().enumerate() {
            for (s, across) in [1.0, 3.0, 3.0, 1.0].iter().enumerate() {
                let row = (2 * y + r).saturating_sub(1).min(height - 1);
                let column = (2 * x + s).saturating_sub(1).min(width - 1);
                let pixel = picture.rgb()[(c * height + row) * width + column];
                sum += down * across / 64.0 * f64::from(pixel);
            }
        }
        sum as f32
    };
    let rgb = (0..3 * half.0 * half.1).map(value).collect();
    Picture::from_planes((half.0 as u32, half.1 as u32), rgb, None, Depth::Eight).expect("planes")
}

#[test]
fn an_octave_is_the_picture_at_half_its_size() {
    let scene = |picture: &Picture, style: &Picture, octaves: [&[f32]; 2]| Scene {
        graph: small("relu3_1", Pool::Max, Padding::Zero),
        settings: LossSettings {
            style_octaves: octaves[0].to_vec(),
            content_octaves: octaves[1].to_vec(),
            ..settings("relu2_2", "relu1_1,relu3_1=0.5")
        },
        content: pattern(picture.size(), 1),
        styles: vec![(style.clone(), 1.0)],
        picture: picture.clone(),
        regions: Regions::default(),
    };
    let (picture, style) = (pattern((119, 102), 3), pattern((87, 93), 4));
    let (half, half_style) = (halved(&picture), halved(&style));
    let losses = |scene: Scene| scene.whole().0.map(f64::from);
    let [_, _, full, _] = losses(scene(&picture, &style, [&[1.0], &[1.0]]));
    let [_, _, first, _] = losses(scene(&half, &half_style, [&[1.0], &[1.0]]));
    let [_, _, second, _] = losses(scene(&halved(&half), &halved(&half_style), [&[1.0], &[1.0]]));
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-5 * b, "{a} instead of {b}");
    near(losses(scene(&picture, &style, [&[0.0, 1.0], &[1.0]]))[2], first);
    near(losses(scene(&picture, &style, [&[0.0, 0.0, 1.0], &[1.0]]))[2], second);
    // A mean, by their weights.
    let all = losses(scene(&picture, &style, [&[1.0, 0.6, 0.4], &[1.0]]))[2];
    near(all, (full + 0.6 * first + 0.4 * second) / 2.0);
    let mut content = scene(&half, &half_style, [&[1.0], &[1.0]]);
    content.content = halved(&pattern(picture.size(), 1));
    near(losses(scene(&picture, &style, [&[1.0], &[0.0, 1.0]]))[1], losses(content)[1]);
}
