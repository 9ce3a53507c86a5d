//! Whole steps and single layers, as criterion benches: `cargo bench --bench step`.
//!
//! Times include submitting and waiting. `IMPASTO_ADAPTER` and `IMPASTO_BACKEND` choose the device.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use impasto::Result;
use impasto::gpu::{Choice, Frozen, Gpu, Program};
use impasto::loss::{LayerWeight, LossSettings, Regions};
use impasto::measure::numbers;
use impasto::nets::{Graph, Network};
use impasto::ops::{self, Conv2d};
use impasto::paint::{Descent, Job, Layout, Painter, Start, Verdict};
use impasto::picture::{Depth, Picture};
use impasto::tape::Tape;
use impasto::tiles::measure::{self, Styles};
use pollster::block_on;

fn gpu() -> Gpu {
    let var = |name| std::env::var(name).ok().filter(|v: &String| !v.is_empty());
    let backend = var("IMPASTO_BACKEND").and_then(|b| b.parse().ok());
    block_on(Gpu::open(&Choice { adapter: var("IMPASTO_ADAPTER"), backend })).expect("a GPU")
}

/// A layer of VGG-19 at a 256² picture, forward.
fn layer(gpu: &Gpu, channels: usize, out: usize, side: usize) -> Result<Program> {
    let mut tape = Tape::new(gpu);
    let x = gpu.tensor([channels, side, side], &numbers(channels * side * side))?;
    let x = tape.constant(&x);
    let weights = tape.frozen(&Frozen::new([out, channels, 3, 3], numbers(out * channels * 9))?);
    let settings = Conv2d { relu: true, ..Conv2d::default() };
    let y = ops::conv2d(&mut tape, x, weights, None, settings)?;
    tape.keep(y)?;
    tape.finish()
}

fn layers(criterion: &mut Criterion) {
    let gpu = gpu();
    let mut group = criterion.benchmark_group("conv2d forward");
    group.sample_size(10);
    for (channels, out, side) in [(64, 64, 256), (128, 128, 128), (256, 256, 64), (512, 512, 32)] {
        let program = layer(&gpu, channels, out, side).expect("a program");
        // Elements are floating-point operations: the rate that criterion prints is FLOP/s.
        group.throughput(Throughput::Elements(program.plan().flops));
        let id = BenchmarkId::from_parameter(format!("{channels}→{out} at {side}²"));
        group.bench_function(id, |b| b.iter(|| block_on(program.run()).expect("a run")));
    }
    group.finish();
}

/// Forward, losses at five style layers and relu4_2, gradient to the picture, Adam.
fn steps(criterion: &mut Criterion) {
    let gpu = gpu();
    let mut group = criterion.benchmark_group("VGG-19 step");
    group.sample_size(10);
    for side in [128_u32, 256] {
        let plane = (side * side) as usize;
        let picture = |shift| {
            let rgb = numbers(3 * plane + shift).split_off(shift).iter().map(|v| v + 0.5).collect();
            Picture::from_planes((side, side), rgb, None, Depth::Eight).expect("planes fit")
        };
        let layers = |list| LayerWeight::list(list).expect("layers");
        let loss = LossSettings {
            content_layers: layers("relu4_2"),
            style_layers: layers("relu1_1,relu2_1,relu3_1,relu4_1,relu5_1"),
            ..LossSettings::plain()
        };
        let network = Network::random(1, 0, Some("relu5_1")).expect("a network");
        let graph = Graph::new(network).expect("a graph");
        let pictures = [(picture(7), 1.0)];
        let pictures = Styles::of(&pictures);
        let styles = measure::styles(&gpu, &graph, &loss, &pictures);
        let styles = block_on(styles).expect("styles");
        let content = picture(0);
        let job = Job {
            content: &content,
            styles: &styles,
            start: Start::Content,
            loss,
            descent: Descent::adam(0.02),
            layout: Layout::default(),
            regions: Regions::ALL,
        };
        let mut painter = block_on(Painter::new(&gpu, &graph, &job)).expect("a painter");
        group.throughput(Throughput::Elements(painter.plan().flops));
        group.bench_function(BenchmarkId::from_parameter(format!("{side}²")), |b| {
            b.iter(|| {
                block_on(painter.paint(1, None, &mut |_| Verdict::Continue)).expect("a step")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, layers, steps);
criterion_main!(benches);
