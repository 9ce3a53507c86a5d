//! `impasto bench step` on burn, through wgpu: the same work, the same JSON, so that both can be put
//! side by side.
//!
//! ```sh
//! cargo run --release --manifest-path benches/peers/burn_step/Cargo.toml -- --size 64 --json burn.json
//! impasto bench step --size 64 --json ours.json && impasto bench compare burn.json ours.json
//! ```
//!
//! VGG-19 to conv5_1 with random weights, Gram losses at relu1_1 … relu5_1, a content loss at
//! relu4_2, Adam on the picture. On a software driver start small.
//!
//! Mesa 22.3's lavapipe crashes on the SPIR-V of burn's matrix product, which the Grams need. There,
//! `--forward` times the forward pass alone: `seconds_per_step` is 0, and `impasto bench compare`
//! compares the forward passes.

use std::time::Instant;

use burn::tensor::activation::relu;
use burn::tensor::module::{conv2d, max_pool2d};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, DeviceKind, Tensor, TensorData};

/// As in Cargo.toml.
const BURN: &str =
    if cfg!(feature = "spirv") { "burn 0.22.1, SPIR-V" } else { "burn 0.22.1, WGSL" };
/// Layers of each block and their width; the last block ends after its first layer.
const BLOCKS: [(usize, usize); 5] = [(2, 64), (2, 128), (4, 256), (4, 512), (1, 512)];
/// The content loss is at block 4's second layer.
const CONTENT: (usize, usize) = (3, 1);
/// Multiply-adds a pixel of the picture.
const MACS: f64 = 361_152.0;
const LAPS: usize = 7;
/// Seconds of a lap at least.
const LAP: f64 = 0.25;
/// No further lap once the laps have taken so many seconds.
const PATIENCE: f64 = 10.0;
const LR: f64 = 0.02;
const BETAS: (f64, f64) = (0.9, 0.99);

/// Even numbers between -1 and 1, the same in every peer.
struct Random(u64);

impl Random {
    fn numbers(&mut self, count: usize) -> Vec<f32> {
        let next = |_| {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(next).collect()
    }

    fn tensor<const D: usize>(
        &mut self,
        shape: [usize; D],
        scale: f32,
        device: &Device,
    ) -> Tensor<D> {
        let numbers = self.numbers(shape.iter().product());
        let scaled = numbers.into_iter().map(|v| v * scale).collect::<Vec<_>>();
        Tensor::from_data(TensorData::new(scaled, shape), device)
    }
}

struct Vgg {
    /// Weights and biases by block.
    blocks: Vec<Vec<(Tensor<4>, Tensor<1>)>>,
}

/// What the losses look at.
struct Taps {
    style: Vec<Tensor<4>>,
    content: Tensor<4>,
}

impl Vgg {
    fn new(random: &mut Random, device: &Device) -> Self {
        let mut fan_in = 3;
        let mut layer = |width: usize| {
            // As wide as numbers of variance 2 / (9 fan_in).
            let scale = (6.0 / (9 * fan_in) as f32).sqrt();
            let weight = random.tensor([width, fan_in, 3, 3], scale, device);
            fan_in = width;
            (weight, Tensor::zeros([width], device))
        };
        let block = |(layers, width): (usize, usize)| (0..layers).map(|_| layer(width)).collect();
        Self { blocks: BLOCKS.into_iter().map(block).collect() }
    }

    fn forward(&self, mut x: Tensor<4>) -> Taps {
        let (mut style, mut content) = (Vec::new(), None);
        for (i, block) in self.blocks.iter().enumerate() {
            if i > 0 {
                x = max_pool2d(x, MaxPoolOptions::new([2, 2]));
            }
            for (j, (weight, bias)) in block.iter().enumerate() {
                let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
                x = relu(conv2d(x, weight.clone(), Some(bias.clone()), options));
                if j == 0 {
                    style.push(x.clone());
                }
                if (i, j) == CONTENT {
                    content = Some(x.clone());
                }
            }
        }
        Taps { style, content: content.expect("block 4 has two layers") }
    }
}

fn gram(map: Tensor<4>) -> Tensor<2> {
    let [_, channels, height, width] = map.dims();
    let flat = map.reshape([channels, height * width]);
    flat.clone().matmul(flat.transpose()).div_scalar((height * width) as f32)
}

/// A picture that is being painted, with Adam's moments.
struct Painter {
    vgg: Vgg,
    targets: Vec<Tensor<2>>,
    content: Tensor<4>,
    x: Tensor<4>,
    moments: (Tensor<4>, Tensor<4>),
    steps: i32,
}

impl Painter {
    fn new(size: usize, device: &Device) -> Self {
        let mut random = Random(1);
        let vgg = Vgg::new(&mut random, device);
        let x = random.tensor([1, 3, size, size], 1.0, device);
        // A pass over another two pictures could take minutes; any numbers make the same work.
        let targets = BLOCKS.map(|(_, width)| random.tensor([width, width], 1.0, device)).into();
        let content = random.tensor([1, 512, size / 8, size / 8], 1.0, device);
        let zeros = Tensor::zeros_like(&x);
        Self { vgg, targets, content, x, moments: (zeros.clone(), zeros), steps: 0 }
    }

    /// The loss and its gradient to the picture.
    fn gradient(&self) -> (Tensor<1>, Tensor<4>) {
        let x = self.x.clone().autodiff().require_grad();
        let taps = self.vgg.forward(x.clone());
        let mut loss = (taps.content - self.content.clone()).square().mean();
        for (map, target) in taps.style.into_iter().zip(&self.targets) {
            loss = loss + (gram(map) - target.clone()).square().mean();
        }
        let mut gradients = loss.backward();
        (loss.inner(), x.grad_remove(&mut gradients).expect("the picture requires a gradient"))
    }

    fn step(&mut self) {
        let (_, gradient) = self.gradient();
        self.steps += 1;
        let ((b1, b2), (m, v)) = (BETAS, self.moments.clone());
        let m = m.mul_scalar(b1) + gradient.clone().mul_scalar(1.0 - b1);
        let v = v.mul_scalar(b2) + gradient.square().mul_scalar(1.0 - b2);
        let rate = LR / (1.0 - b1.powi(self.steps));
        let root = v.clone().div_scalar(1.0 - b2.powi(self.steps)).sqrt().add_scalar(1e-8);
        self.x = self.x.clone() - m.clone().mul_scalar(rate) / root;
        self.moments = (m, v);
    }
}

/// Median, fastest and slowest seconds of a run; `wait` returns when the device is idle.
fn laps(run: &mut dyn FnMut(), wait: &dyn Fn()) -> [f64; 3] {
    let mut lap = |repeats: usize| {
        let start = Instant::now();
        (0..repeats).for_each(|_| run());
        wait();
        start.elapsed().as_secs_f64() / repeats as f64
    };
    // The first run compiles, allocates and tunes.
    lap(1);
    let once = lap(1);
    if once > PATIENCE {
        return [once; 3];
    }
    let repeats = (LAP / once).ceil().clamp(1.0, 1000.0) as usize;
    let start = Instant::now();
    let mut laps = vec![lap(repeats)];
    while laps.len() < LAPS && start.elapsed().as_secs_f64() < PATIENCE {
        laps.push(lap(repeats));
    }
    laps.sort_by(f64::total_cmp);
    [laps[(laps.len() - 1) / 2], laps[0], laps[laps.len() - 1]]
}

fn measure(size: usize, forward_only: bool, device: &Device) -> String {
    let mut painter = Painter::new(size, device);
    let wait = || device.sync().expect("the device works");
    // Numbers by which peers can be checked against each other.
    let last = painter.vgg.forward(painter.x.clone()).style.pop().expect("five blocks");
    println!("{size}²: relu5_1's mean square {:.6}", last.square().mean().into_scalar::<f32>());
    let [seconds, fastest, slowest] = if forward_only {
        [0.0; 3]
    } else {
        let (loss, gradient) = painter.gradient();
        let (loss, norm) = (loss.into_scalar::<f32>(), gradient.square().sum().sqrt());
        println!("{size}²: loss {loss:.6e}, gradient's norm {:.6e}", norm.into_scalar::<f32>());
        laps(&mut || painter.step(), &wait)
    };
    let (x, mut last) = (painter.x.clone(), None);
    let [forward, ..] = laps(&mut || last = Some(painter.vgg.forward(x.clone())), &wait);
    let work = if forward_only { 2.0 / forward } else { 4.0 / seconds };
    let gflops = work * MACS * (size * size) as f64 / 1e9;
    println!("{size}²: {seconds:.4} s a step, {gflops:.1} GFLOP/s, forward {forward:.4} s");
    let bytes = device.memory_pool_usage().map_or(0, |usage| usage.bytes_reserved);
    format!(
        r#"{{"bench": "step", "size": {size}, "network": "random:vgg19", "precision": "f32",
  "seconds_per_step": {seconds}, "spread": [{fastest}, {slowest}], "forward_seconds": {forward},
  "effective_gflops": {gflops}, "buffer_bytes": {bytes}}}"#
    )
}

fn main() {
    let (mut sizes, mut file, mut forward_only) = (vec![64], None, false);
    let usage = "usage: burn_step [--size 64,128] [--json FILE] [--forward]";
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        match flag.as_str() {
            "--forward" => forward_only = true,
            "--size" => {
                let list = args.next().expect(usage);
                let numbers = list.split(',').map(str::parse).collect::<Result<_, _>>();
                sizes = numbers.expect("--size takes 64,128,…");
            }
            "--json" => file = Some(args.next().expect(usage)),
            _ => panic!("{usage}"),
        }
    }
    let device = Device::wgpu(DeviceKind::DefaultDevice);
    let name = device.identity().map_or_else(|| "unknown".into(), |identity| identity.name);
    println!("{name}, {BURN}");
    let mut rows = Vec::new();
    for size in sizes {
        rows.push(measure(size, forward_only, &device));
        // After every size: a software driver may never get to the last.
        if let Some(path) = &file {
            let rows = rows.join(",\n ");
            let report = format!(
                "{{\"adapter\": {name:?}, \"driver\": {BURN:?}, \"rows\": [\n {rows}\n]}}\n"
            );
            std::fs::write(path, report).expect("the file can be written");
        }
    }
}
