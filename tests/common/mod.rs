//! What the test binaries share: devices, seeded numbers, comparison.
#![allow(dead_code)] // Each test binary uses a part of it.

use std::io::Write;
use std::sync::OnceLock;

use impasto::gpu::{Choice, Gpu};
use impasto::loss::{LossSettings, StyleTraits};
use impasto::nets::Graph;
use impasto::ops::conv2d::Variant;
use impasto::picture::{Depth, Picture};
use impasto::shape::Precision;
use impasto::tiles::measure::{self, Styles};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The adapter that the tests run on: `IMPASTO_ADAPTER` and `IMPASTO_BACKEND` choose as `--adapter`
/// and `--backend` do.
pub fn choice() -> Choice {
    let var = |name| std::env::var(name).ok().filter(|v: &String| !v.is_empty());
    Choice {
        adapter: var("IMPASTO_ADAPTER"),
        backend: var("IMPASTO_BACKEND").map(|b| b.parse().expect("IMPASTO_BACKEND")),
    }
}

/// One device for all tests of a binary.
pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| {
        let gpu = pollster::block_on(Gpu::open(&choice())).expect("a GPU or a software driver");
        let report = gpu.report();
        let backend = report.backend.map_or("other".into(), |backend| backend.to_string());
        // Not with `eprintln!`, which is kept back where a test passes: .ci/run reads it.
        let _ = writeln!(
            std::io::stderr(),
            "testing on {backend}: {}, driver {}",
            report.name,
            report.driver
        );
        gpu
    })
}

/// The same device with wgpu's bounds checks in every shader.
pub fn checked_gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| pollster::block_on(Gpu::open_checked(&choice())).expect("a GPU"))
}

/// A generator that gives the same numbers everywhere.
pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// `count` numbers between −1 and 1.
pub fn random(rng: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// A picture with structure at all scales, from integers so that it is the same everywhere.
pub fn pattern(seed: u32) -> Picture {
    let (width, height) = (37, 33);
    let value = |i: u32| {
        let (x, y, c) = (i % width, i / width % height, i / width / height);
        let wave = (x * (3 + c) + y * (5 + seed)) % 97 + (x * y / (7 + seed)) % 61;
        let block = 40 * ((x / 8 + y / (5 + seed)) % 3);
        ((wave + block + 20 * c) % 256) as f32 / 255.0
    };
    let rgb = (0..3 * width * height).map(value).collect();
    Picture::from_planes((width, height), rgb, None, Depth::Eight).expect("planes fit")
}

/// ‖a − b‖ / ‖b‖, or ‖a‖ where b is 0. NaN when anything is NaN.
pub fn relative_error(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "different counts of numbers");
    let square = |v: f64| v * v;
    let error: f64 = a.iter().zip(b).map(|(a, b)| square(f64::from(*a) - b)).sum();
    let size: f64 = b.iter().map(|b| square(*b)).sum();
    (error / if size > 0.0 { size } else { 1.0 }).sqrt()
}

/// Says what is not tested here. Not with `eprintln!`: the harness swallows what tests print that pass.
pub fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "skipped {what}");
}

/// The variants of convolutions that the device has for maps of a precision: a tape takes another one in the place
/// of those that it has not, and a test would run twice what it ran before. Says which are left out.
pub fn variants(gpu: &Gpu, precision: Precision, test: &str) -> Vec<Variant> {
    let is_there = |variant: &Variant| match variant {
        Variant::Broadcast => gpu.broadcasts(),
        // Its factors are f16, whatever the device.
        Variant::Cooperative => precision == Precision::F16 && gpu.fragment_side().is_some(),
        _ => true,
    };
    let (there, missing): (Vec<_>, Vec<_>) = Variant::ALL.into_iter().partition(is_there);
    if !missing.is_empty() {
        let name = &gpu.report().name;
        skipped(&format!(
            "{test} with {missing:?}: {name} has no such kernel for {precision} maps"
        ));
    }
    there
}

/// The folder of real weights and pictures, if there is one; says so when a test is skipped.
pub fn shared(test: &str) -> Option<std::path::PathBuf> {
    match std::env::var_os("IMPASTO_SHARED").filter(|v| !v.is_empty()) {
        Some(folder) => Some(folder.into()),
        None => {
            skipped(&format!("{test}: IMPASTO_SHARED is not set"));
            None
        }
    }
}

/// What a job takes of style pictures that are looked at whole.
pub fn measured(
    gpu: &Gpu,
    graph: &Graph,
    loss: &LossSettings,
    pictures: &[(Picture, f32)],
) -> Vec<(StyleTraits, f32)> {
    let pictures = Styles::of(pictures);
    pollster::block_on(measure::styles(gpu, graph, loss, &pictures)).expect("styles")
}

/// Sends a signal such as `INT`. A shell has `kill` built in; the program is not on every machine.
#[cfg(unix)]
pub fn signal(name: &str, pid: u32) {
    let line = format!("kill -s {name} {pid}");
    let sent = std::process::Command::new("sh").args(["-c", &line]).status().expect("sh runs");
    assert!(sent.success(), "{line}");
}
