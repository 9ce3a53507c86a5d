//! What benches find, as plain data: rows that are written as JSON.

use serde::{Deserialize, Serialize};

use crate::error::names;
use crate::gpu::Gpu;
use crate::shape::Precision;

/// What a bench found, and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The adapter's name.
    pub adapter: String,
    /// API and driver with its version.
    pub driver: String,
    /// The measurements.
    pub rows: Vec<Row>,
}

impl Report {
    /// A report without rows on a device.
    pub fn new(gpu: &Gpu) -> Self {
        let report = gpu.report();
        let backend = report.backend.map_or("other".into(), |b| b.to_string());
        let driver = format!("{backend}, {}", report.driver);
        Report { adapter: report.name.clone(), driver, rows: Vec::new() }
    }
}

/// One measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "bench", rename_all = "lowercase")]
pub enum Row {
    /// A ceiling of the adapter.
    Peak(PeakRow),
    /// A layer, a direction, a variant.
    Kernels(KernelRow),
    /// A whole step.
    Step(StepRow),
}

/// One ceiling.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeakRow {
    /// `multiply-add`, `cooperative matrix`, `bandwidth` or `dispatch`.
    pub name: String,
    /// `f32`, `f16`, or `f16→f32` for f16 factors and f32 sums.
    pub precision: String,
    /// The median of several runs.
    pub value: f64,
    /// `GFLOP/s`, `GB/s` (read and written together) or `µs`.
    pub unit: String,
}

/// From inputs to outputs, or from the outputs' gradient to those of the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The output.
    Forward,
    /// The gradient to the first input.
    Backward,
    /// The gradient to the weights.
    Weight,
}

names!(Direction, "direction", Forward = "forward", Backward = "backward", Weight = "weight");

/// A layer, a direction, a variant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KernelRow {
    /// As the catalogue calls it.
    pub op: String,
    /// The layer of the network, such as `conv1_2`.
    pub layer: String,
    /// Input channels, output channels (1 where the output is one number), height and width of the layer's maps.
    pub shape: [usize; 4],
    /// What is computed.
    pub direction: Direction,
    /// How it is computed.
    pub variant: String,
    /// How maps are stored: `f32` or `f16`.
    #[serde(default = "f32")]
    pub precision: String,
    /// This is what runs when nobody forces a variant.
    pub chosen: bool,
    /// GPU time (time until done, on adapters without timestamps) in microseconds: the median.
    pub median_us: f64,
    /// The fastest and the slowest replay's.
    pub spread_us: [f64; 2],
    /// What the direct computation takes, over the time: Winograd's can be above the ceiling.
    pub gflops: f64,
    /// Inputs, weights and outputs, moved once, over the time.
    pub gbps: f64,
    /// `gflops` over the roofline at this work's ratio of flops to bytes.
    pub ceiling_share: f64,
    /// Root mean square error of some results against f64, over the root mean square of the results.
    pub error: f64,
}

/// What older reports were measured with.
fn f32() -> String {
    Precision::F32.to_string()
}

/// A step at one size.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepRow {
    /// The picture is so many px wide and high.
    pub size: u32,
    /// As the command line names it.
    pub network: String,
    /// How maps and their gradients are stored: `f32` or `f16`.
    pub precision: String,
    /// Median of the laps.
    pub seconds_per_step: f64,
    /// The fastest and the slowest lap's.
    pub spread: [f64; 2],
    /// The network's forward pass alone, without losses: the median.
    pub forward_seconds: f64,
    /// What direct convolutions would compute, forward and to the picture, over the time: losses and
    /// the optimiser take time but do not count.
    pub effective_gflops: f64,
    /// All buffers that live while it steps.
    pub buffer_bytes: u64,
}
