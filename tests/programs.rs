//! Losses and gradients of the presets, and of the style losses as this program has them, against goldens that PyTorch's
//! autograd made from the programs' own formulas in f64.
//!
//! To renew the goldens: `IMPASTO_GOLDEN=DIR cargo test --test programs -- --ignored` writes pictures and networks into DIR;
//! `python tests/golden/programs.py DIR tests/golden [VGG19.safetensors]` computes them.

mod common;

use common::{gpu, pattern};
use impasto::Result;
use impasto::loss::{LayerWeight, LossSettings, StyleLoss};
use impasto::nets::{Graph, Network, Padding, Preprocess};
use impasto::picture::{Format, Picture};
use impasto::session::{PRESETS, Preset};
use impasto::tape::Tape;
use impasto::tiles::measure::{self, Styles};
use serde::Deserialize;

/// The loss of the picture, and every fifth number of its gradient.
#[derive(Deserialize)]
struct Golden {
    total: f64,
    content: f64,
    style: f64,
    tv: f64,
    gradient: Vec<f64>,
}

/// Real weights reach conv4_1 only.
const SHALLOW: &str = "relu1_1=256,relu2_1=64,relu3_1=16,relu4_1=4";

struct Run {
    name: String,
    network: Network,
    loss: LossSettings,
    padding: Padding,
}

/// Content, style and the picture whose loss is computed.
fn pictures() -> [(&'static str, Picture); 3] {
    [("content", pattern(1)), ("style", pattern(4)), ("picture", pattern(9))]
}

fn small(preprocess: Preprocess) -> Network {
    let mut network = Network::random(8, 5, Some("relu5_1")).expect("a random network");
    network.preprocess = preprocess;
    network
}

fn preprocess(preset: &Preset) -> Preprocess {
    if preset.network.contains("torchvision") {
        Preprocess::torchvision()
    } else {
        Preprocess::caffe()
    }
}

fn runs() -> Vec<Run> {
    let of = |preset: &Preset| Run {
        name: preset.name.into(),
        network: Network { pool: preset.pool, ..small(preprocess(preset)) },
        loss: preset.loss().expect("layers"),
        padding: preset.first_padding,
    };
    let own = |style_loss: StyleLoss| Run {
        name: format!("own-{style_loss}"),
        network: small(Preprocess::caffe()),
        loss: LossSettings { style_loss, ..LossSettings::plain() },
        padding: Padding::Zero,
    };
    let mut runs: Vec<Run> = PRESETS.iter().map(of).collect();
    runs.extend([own(StyleLoss::MeanStd), own(StyleLoss::Wasserstein)]);
    if let Some(folder) = common::shared("the goldens of VGG-19") {
        let bytes = std::fs::read(folder.join("weights/vgg19-to-conv4_1.safetensors"));
        let bytes = bytes.expect("the weights");
        let network = Network::from_safetensors(&bytes, "vgg19", None).expect("VGG-19 loads");
        let layers = |list| LayerWeight::list(list).expect("layers");
        let shallow = |loss: LossSettings| LossSettings {
            content_layers: layers("relu3_3"),
            style_layers: layers(SHALLOW),
            ..loss
        };
        for name in ["crowson", "neural-style", "gatys-hr"] {
            let run = of(Preset::named(name).expect("a preset"));
            let (name, loss) = (format!("vgg19-{name}"), shallow(run.loss));
            runs.push(Run { name, network: network.clone(), loss, padding: run.padding });
        }
        let name = "vgg19-own-wasserstein".into();
        let loss = shallow(own(StyleLoss::Wasserstein).loss);
        runs.push(Run { name, network, loss, padding: Padding::Zero });
    }
    runs
}

/// Total, content, style, tv; and the gradient.
async fn measured(run: Run) -> Result<([f32; 4], Vec<f32>)> {
    let gpu = gpu();
    let graph = Graph::new(run.network)?.with_first_padding(run.padding);
    let tensor = |p: &Picture| gpu.tensor([3, p.height() as usize, p.width() as usize], p.rgb());
    let [content, style, picture] = pictures().map(|(_, picture)| picture);
    let (content, picture) = (tensor(&content), tensor(&picture));
    let styles = [(style, 1.0)];
    let targets = measure::targets(gpu, &graph, &run.loss, &content?, &Styles::of(&styles)).await?;
    let mut tape = Tape::new(gpu);
    let x = tape.variable(&picture?);
    let losses = targets.record(&mut tape, &graph, &run.loss, x)?;
    let gradients = tape.backward(losses.total)?;
    let gradient = tape.gradient(&gradients, x).expect("the loss depends on x");
    let gradient = tape.keep(gradient)?;
    let mut kept = Vec::new();
    for var in [losses.total, losses.content, losses.style, losses.variation] {
        kept.push(tape.keep(var)?);
    }
    let program = tape.finish()?;
    program.poison();
    program.run().await?;
    let mut numbers = [0.0; 4];
    for (number, tensor) in numbers.iter_mut().zip(&kept) {
        *number = gpu.read(tensor).await?[0];
    }
    Ok((numbers, gpu.read(&gradient).await?))
}

#[test]
#[ignore = "no test: writes what the goldens are made of into the folder IMPASTO_GOLDEN"]
fn write_the_inputs_of_the_goldens() {
    let folder = std::env::var_os("IMPASTO_GOLDEN").expect("IMPASTO_GOLDEN names a folder");
    let folder = std::path::PathBuf::from(folder);
    for (name, picture) in pictures() {
        let bytes = picture.encode(Format::Png).expect("a PNG");
        std::fs::write(folder.join(format!("{name}.png")), bytes).expect("written");
    }
    let network = small(Preprocess::caffe()).to_safetensors().expect("a file");
    std::fs::write(folder.join("programs.safetensors"), network).expect("written");
}

#[test]
fn losses_and_gradients_are_the_programs() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/programs");
    let mut failures = Vec::new();
    for run in runs() {
        let name = run.name.clone();
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).expect("golden");
        let golden: Golden = serde_json::from_str(&text).expect("numbers");
        let (numbers, gradient) = pollster::block_on(measured(run)).expect("measured");
        let expected = [golden.total, golden.content, golden.style, golden.tv];
        for (number, expected) in numbers.iter().zip(expected) {
            let error = (f64::from(*number) - expected).abs() / expected.abs().max(1e-6);
            if error.is_nan() || error > 1e-4 {
                failures
                    .push(format!("{name}: {numbers:?} is not {expected:?}, off by {error:.1e}"));
            }
        }
        let some: Vec<f32> = gradient.iter().step_by(5).copied().collect();
        let error = common::relative_error(&some, &golden.gradient);
        eprintln!("{name}: the gradient is off by {error:.1e}");
        if error.is_nan() || error > 2e-3 {
            failures.push(format!("{name}: the gradient is off by {error:.1e}"));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}
