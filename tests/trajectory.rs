//! The path of the losses, step by step, against goldens that PyTorch's autograd made with the same
//! pictures, weights and settings.
//!
//! To renew the goldens: `IMPASTO_GOLDEN=DIR cargo test --test trajectory -- --ignored` writes pictures and
//! networks into DIR; compute the losses of 20 steps and the first gradient there with an
//! implementation of the loss in `src/loss/targets.rs` (lr 0.02, content relu3_3, style relu1_1,
//! relu2_1, relu3_1, relu4_1, weights 1, 20, 0.5), and put `NAME.jsonl` and `NAME.grad` (f32, little
//! endian) into `tests/golden/`. Whenever the embedded network changes, so does the golden `default`:
//! `python weights/train/golden.py DIR` makes it.

mod common;
#[path = "common/pruned.rs"]
mod pruned;

use common::gpu;
use common::measured;
use impasto::gpu::Gpu;
use impasto::loss::{LayerWeight, LossSettings, Regions};
use impasto::nets::{Graph, Network, Pool, Preprocess, default_network};
use impasto::ops::conv2d::Variant;
use impasto::paint::{Descent, Event, Job, Layout, LossRow, Painter, Start, Verdict};
use impasto::picture::{Depth, Format, Picture};
use impasto::shape::Precision;
use impasto::tape::Tape;
use impasto::tape::loss_scale;
use impasto::tiles::measure::{self, Styles};
use impasto::{Result, tune};
use serde::Deserialize;

#[derive(Deserialize)]
struct Row {
    step: u64,
    total: f64,
    content: f64,
    style: f64,
    tv: f64,
}

/// A pair of pictures, a network and a way of pooling; odd sizes.
struct Pair {
    name: &'static str,
    content: Picture,
    style: Picture,
    pool: Pool,
    network: fn() -> Option<Network>,
}

/// A picture with structure at all scales, from integers so that it is the same everywhere.
fn pattern(width: u32, height: u32, seed: u32) -> Picture {
    let value = |i: u32| {
        let (x, y, c) = (i % width, i / width % height, i / width / height);
        let wave = (x * (3 + c) + y * (5 + seed)) % 97 + (x * y / (7 + seed)) % 61;
        let block = 40 * ((x / 8 + y / (5 + seed)) % 3);
        ((wave + block + 20 * c) % 256) as f32 / 255.0
    };
    let rgb = (0..3 * width * height).map(value).collect();
    Picture::from_planes((width, height), rgb, None, Depth::Eight).expect("planes fit")
}

fn small_network() -> Option<Network> {
    let mut network = Network::random(8, 5, Some("relu4_1")).expect("a random network");
    network.preprocess = Preprocess::caffe();
    Some(network)
}

fn vgg19() -> Option<Network> {
    let path =
        common::shared("the goldens of VGG-19")?.join("weights/vgg19-to-conv4_1.safetensors");
    let bytes = std::fs::read(path).expect("the weights");
    Some(Network::from_safetensors(&bytes, "vgg19", None).expect("VGG-19 loads"))
}

fn pairs() -> Vec<Pair> {
    let pair = |name, (w, h), (sw, sh), pool, network| Pair {
        name,
        content: pattern(w, h, 1),
        style: pattern(sw, sh, 4),
        pool,
        network,
    };
    vec![
        pair("small-max", (37, 29), (23, 41), Pool::Max, small_network),
        pair("small-avg", (24, 19), (31, 17), Pool::Avg, small_network),
        pair("default", (45, 38), (33, 47), Pool::Max, || default_network(None).ok()),
        pair("vgg19-max", (61, 45), (53, 67), Pool::Max, vgg19),
        pair("vgg19-avg", (40, 35), (35, 27), Pool::Avg, vgg19),
    ]
}

fn settings() -> LossSettings {
    let layers = |names: &[&str]| names.iter().map(|l| l.parse().expect("a layer")).collect();
    LossSettings {
        content_layers: layers(&["relu3_3"]),
        style_layers: layers(&["relu1_1", "relu2_1", "relu3_1", "relu4_1"]),
        content_weight: 1.0,
        style_weight: 20.0,
        tv_weight: 0.5,
        ..LossSettings::plain()
    }
}

/// The rows of a run of so many steps, in one go or several.
fn rows(graph: &Graph, job: &Job<'_>, goes: &[u64]) -> Vec<LossRow> {
    let mut rows = Vec::new();
    pollster::block_on(async {
        let mut painter = Painter::new(gpu(), graph, job).await.expect("a painter");
        for steps in goes {
            let mut watch = |event: Event<'_>| {
                if let Event::Losses(losses) = event {
                    rows.extend_from_slice(losses);
                }
                Verdict::Continue
            };
            painter.paint(*steps, None, &mut watch).await.expect("painted");
        }
        assert_eq!(painter.steps(), goes.iter().sum::<u64>());
    });
    rows
}

fn golden(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

#[test]
#[ignore = "no test: writes what the goldens are made of into the folder IMPASTO_GOLDEN"]
fn write_the_inputs_of_the_goldens() {
    let folder = std::env::var_os("IMPASTO_GOLDEN").expect("IMPASTO_GOLDEN names a folder");
    let folder = std::path::PathBuf::from(folder);
    for pair in pairs() {
        for (picture, kind) in [(&pair.content, "content"), (&pair.style, "style")] {
            let bytes = picture.encode(Format::Png).expect("a PNG");
            std::fs::write(folder.join(format!("{}-{kind}.png", pair.name)), bytes)
                .expect("written");
        }
    }
    let network = small_network().expect("a network").to_safetensors().expect("a file");
    std::fs::write(folder.join("small.safetensors"), network).expect("written");
}

#[test]
fn twenty_steps_follow_the_reference() {
    for pair in pairs() {
        let Some(mut network) = (pair.network)() else { continue };
        network.pool = pair.pool;
        let text =
            std::fs::read_to_string(golden(&format!("{}.jsonl", pair.name))).expect("golden");
        let expected: Vec<Row> =
            text.lines().map(|l| serde_json::from_str(l).expect("row")).collect();
        let graph = Graph::new(network).expect("a graph");
        let job = Job {
            content: &pair.content,
            styles: &measured(gpu(), &graph, &settings(), &[(pair.style.clone(), 1.0)]),
            start: Start::Content,
            loss: settings(),
            descent: Descent::adam(0.02),
            layout: Layout::default(),
            regions: Regions::ALL,
        };
        let rows = rows(&graph, &job, &[expected.len() as u64]);
        assert_eq!(rows.len(), 20);
        for (row, expected) in rows.iter().zip(&expected) {
            assert_eq!(row.step, expected.step);
            let pairs = [
                (row.total, expected.total),
                (row.content, expected.content),
                (row.style, expected.style),
                (row.tv, expected.tv),
            ];
            for (got, expected) in pairs {
                let (error, bound) = ((f64::from(got) - expected).abs(), 5e-3 * expected.abs());
                let step = row.step;
                assert!(error <= bound.max(1e-6), "{} step {step}: {got} {expected}", pair.name);
            }
        }
    }
}

/// With the device's own variants, and with every fast one that it has, on every layer that takes it.
#[test]
fn the_first_gradient_is_the_references() {
    for pair in pairs() {
        let Some(mut network) = (pair.network)() else { continue };
        network.pool = pair.pool;
        let bytes = std::fs::read(golden(&format!("{}.grad", pair.name))).expect("golden");
        let expected: Vec<f64> = bytes
            .chunks_exact(4)
            .map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])))
            .collect();
        let mut graph = Graph::new(network).expect("a graph");
        let variants = |precision| {
            let there = common::variants(gpu(), precision, &format!("{}'s gradient", pair.name));
            let fast = there.into_iter().filter(|variant| *variant != Variant::Baseline).map(Some);
            std::iter::once(None).chain(fast).map(move |variant| (precision, variant))
        };
        for (precision, variant) in Precision::ALL.into_iter().flat_map(variants) {
            let bound = match precision {
                Precision::F32 => 1e-3,
                Precision::F16 if !gpu().report().f16 => {
                    let name = &gpu().report().name;
                    common::skipped(&format!(
                        "{}'s gradient of f16 maps: {name} has none",
                        pair.name
                    ));
                    break;
                }
                // Rounding makes another of two nearly equal pixels the largest of a window, and its deepest map has
                // a dozen pixels.
                Precision::F16 if pair.name == "small-max" => 0.2,
                // 2.7e-2, of which 0.5e-2 are left with average pooling.
                Precision::F16 if pair.name == "default" => 5e-2,
                Precision::F16 => 2e-2,
            };
            graph = graph.with_precision(precision);
            let gpu = pollster::block_on(Gpu::open(&common::choice())).expect("a GPU");
            for size in [pair.content.size(), pair.style.size()] {
                let classes = graph.classes(size);
                variant.iter().for_each(|v| classes.iter().for_each(|c| tune::choose(&gpu, c, *v)));
            }
            let gradient = pollster::block_on(first_gradient(&gpu, &graph, &pair));
            let error = common::relative_error(&gradient.expect("a gradient"), &expected);
            println!("{}, {precision}, {variant:?}: the gradient is off by {error:.1e}", pair.name);
            assert!(error < bound, "{}, {precision}, {variant:?}: {error:.1e}", pair.name);
        }
    }
}

async fn first_gradient(gpu: &Gpu, graph: &Graph, pair: &Pair) -> Result<Vec<f32>> {
    let settings = settings();
    let tensor = |p: &Picture| gpu.tensor([3, p.height() as usize, p.width() as usize], p.rgb());
    let content = tensor(&pair.content)?;
    let styles = [(pair.style.clone(), 1.0)];
    let targets = measure::targets(gpu, graph, &settings, &content, &Styles::of(&styles)).await?;
    let mut tape = Tape::new(gpu);
    let x = tape.variable(&content);
    let losses = targets.record(&mut tape, graph, &settings, x)?;
    let gradient = loss_scale::gradients(&mut tape, losses.total, &[x], graph.precision())?;
    let gradient = tape.keep(gradient.expect("the loss depends on x")[0])?;
    let program = tape.finish()?;
    program.poison();
    program.run().await?;
    gpu.read(&gradient).await
}

#[test]
fn flat_pictures_give_no_nan() {
    let flat = |value| {
        let rgb = vec![value; 3 * 16 * 20];
        Picture::from_planes((20, 16), rgb, None, Depth::Eight).expect("planes fit")
    };
    let graph = Graph::new(small_network().expect("a network")).expect("a graph");
    let job = Job {
        content: &flat(0.0),
        styles: &measured(gpu(), &graph, &settings(), &[(flat(0.0), 1.0)]),
        start: Start::Content,
        loss: settings(),
        descent: Descent::adam(0.02),
        layout: Layout::default(),
        regions: Regions::ALL,
    };
    let picture = pollster::block_on(async {
        let mut painter = Painter::new(gpu(), &graph, &job).await?;
        let mut finite = true;
        let mut watch = |event: Event<'_>| {
            if let Event::Losses(rows) = event {
                finite &= rows.iter().all(|row| row.total.is_finite());
            }
            Verdict::Continue
        };
        painter.paint(5, None, &mut watch).await?;
        assert!(finite, "a loss is not finite");
        painter.picture().await
    });
    assert!(picture.expect("a picture").rgb().iter().all(|v| v.is_finite()));
}

#[test]
fn the_pruned_network_paints() {
    // Reflection padding, a colour convolution and side maps, all from the file.
    let Some(folder) = common::shared("the pruned network") else { return };
    let bytes =
        std::fs::read(folder.join("weights/vgg19-pruned16x-5SE.safetensors")).expect("weights");
    let converted = pruned::convert_pruned(&bytes);
    let network = Network::from_safetensors(&converted, "pruned", None).expect("it loads");
    assert!(network.colour.is_some() && network.sides.contains_key("relu4_1"));
    let graph = Graph::new(network).expect("a graph");
    let loss = LossSettings {
        content_layers: LayerWeight::list("relu4_1").expect("layers"),
        ..settings()
    };
    let job = Job {
        content: &pattern(60, 45, 1),
        styles: &measured(gpu(), &graph, &loss, &[(pattern(52, 66, 4), 1.0)]),
        start: Start::Content,
        loss,
        descent: Descent::adam(0.02),
        layout: Layout::default(),
        regions: Regions::ALL,
    };
    let rows = rows(&graph, &job, &[10]);
    assert_eq!(rows[0].content, 0.0);
    assert!(rows[0].style > 0.01, "{:?}", rows[0]);
    assert!(rows[9].total < 0.7 * rows[0].total, "{:?} {:?}", rows[0], rows[9]);
}

#[test]
fn every_step_has_its_row() {
    // More steps than the ring of losses holds, in two goes; the rows are those of one go.
    let mut network = small_network().expect("a network");
    network = network.truncated(&["relu1_1"]).expect("it has relu1_1");
    let graph = Graph::new(network).expect("a graph");
    let layers = || LayerWeight::list("relu1_1").expect("layers");
    let loss = LossSettings { content_layers: layers(), style_layers: layers(), ..settings() };
    let job = Job {
        content: &pattern(9, 7, 1),
        styles: &measured(gpu(), &graph, &loss, &[(pattern(8, 6, 4), 1.0)]),
        start: Start::Content,
        loss,
        descent: Descent::adam(0.02),
        layout: Layout::default(),
        regions: Regions::ALL,
    };
    let run = |goes: &[u64]| rows(&graph, &job, goes);
    let (whole, parts) = (run(&[300]), run(&[170, 130]));
    assert_eq!(whole.len(), 300);
    assert_eq!(parts.len(), 300);
    for (i, (a, b)) in whole.iter().zip(&parts).enumerate() {
        assert_eq!((a.step, b.step), (i as u64, i as u64));
        assert_eq!((a.total, a.content, a.style, a.tv), (b.total, b.content, b.style, b.tv));
        assert!(i == 0 || (a.seconds >= whole[i - 1].seconds && b.seconds >= parts[i - 1].seconds));
    }
    assert!(whole[299].total < whole[0].total);
}

#[test]
fn weights_of_zero_cost_no_gradient_and_all_zero_is_refused() {
    let graph = Graph::new(small_network().expect("a network")).expect("a graph");
    let (content, styles) = (pattern(24, 16, 1), [(pattern(16, 16, 4), 1.0)]);
    let styles = measured(gpu(), &graph, &settings(), &styles);
    let plan = |content_weight, style_weight, tv_weight| {
        let loss = LossSettings { content_weight, style_weight, tv_weight, ..settings() };
        let job = Job {
            content: &content,
            styles: &styles,
            start: Start::Content,
            loss,
            descent: Descent::adam(0.02),
            layout: Layout::default(),
            regions: Regions::ALL,
        };
        let painter = pollster::block_on(Painter::new(gpu(), &graph, &job));
        painter.map(|painter| painter.plan().dispatches)
    };
    let all = plan(1.0, 20.0, 0.5).expect("a plan");
    assert!(plan(0.0, 20.0, 0.5).expect("a plan") < all);
    assert!(plan(1.0, 0.0, 0.5).expect("a plan") < all);
    assert!(matches!(plan(0.0, 0.0, 0.0), Err(impasto::Error::Usage(_))));
}

#[test]
fn a_run_that_diverges_says_so() {
    let graph = Graph::new(small_network().expect("a network")).expect("a graph");
    // A nearly flat style has small features: the relative style loss is far above 1.
    let flat = pattern(16, 16, 4).rgb().iter().map(|v| 0.4 + 0.01 * v).collect();
    let flat = Picture::from_planes((16, 16), flat, None, Depth::Eight).expect("planes fit");
    let (content, styles) = (pattern(24, 16, 1), [(flat, 1.0)]);
    let styles = measured(gpu(), &graph, &settings(), &styles);
    let loss = LossSettings { style_weight: f32::MAX, ..settings() };
    let job = Job {
        content: &content,
        styles: &styles,
        start: Start::Content,
        loss,
        descent: Descent::adam(0.02),
        layout: Layout::default(),
        regions: Regions::ALL,
    };
    let result = pollster::block_on(async {
        let mut painter = Painter::new(gpu(), &graph, &job).await?;
        painter.paint(5, None, &mut |_| Verdict::Continue).await
    });
    assert!(matches!(result, Err(impasto::Error::Diverged(_))), "{result:?}");
}
