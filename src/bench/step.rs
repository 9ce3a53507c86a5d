//! Whole steps: forward, losses, gradient to the picture, Adam.

use web_time::Instant;

use super::rows::StepRow;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::loss::{LayerWeight, LossSettings, Regions};
use crate::measure::{median, numbers};
use crate::nets::{Graph, Network, NetworkSpec};
use crate::paint::{Descent, Job, Layout, Painter, Start, Verdict};
use crate::picture::{Depth, Picture};
use crate::shape::Precision;
use crate::tape::Tape;
use crate::tiles::measure::{self, Styles};

/// Seconds of a lap: long enough that its start and end do not count.
const LAP: f64 = 0.25;
/// Laps that are measured.
const LAPS: usize = 7;

/// The losses that are timed: style at relu1_1 … relu5_1 and content at relu4_2 for the random VGG-19, which
/// has these layers (Gatys et al. 2016), the defaults for any other network.
pub fn loss_of(spec: &NetworkSpec) -> LossSettings {
    let layer = |name: &str| LayerWeight { layer: name.into(), weight: 1.0 };
    match spec {
        NetworkSpec::Random { .. } => LossSettings {
            content_layers: vec![layer("relu4_2")],
            style_layers: (1..=5).map(|block| layer(&format!("relu{block}_1"))).collect(),
            ..LossSettings::plain()
        },
        _ => LossSettings::plain(),
    }
}

/// Times steps at a size. `network` must have the layers of [`loss_of`].
///
/// # Errors
/// When the picture is too small or too large for the network or the adapter, and whatever the driver
/// reports.
pub async fn measure(
    gpu: &Gpu,
    spec: &NetworkSpec,
    network: &Network,
    (size, precision): (u32, Precision),
) -> Result<StepRow> {
    let before = gpu.allocated_bytes();
    let loss = loss_of(spec);
    let network = network.clone().truncated(&loss.taps())?;
    let macs = network.macs_per_pixel(network.layers.len());
    let deepest = loss.taps().into_iter().max().unwrap_or_default();
    let graph = Graph::new(network)?.with_precision(precision);
    let (content, style) = (picture(size, 0)?, picture(size, 7)?);
    let styles = measure::styles(gpu, &graph, &loss, &Styles::of(&[(style, 1.0)])).await?;
    let job = Job {
        content: &content,
        styles: &styles,
        start: Start::Content,
        loss,
        descent: Descent::adam(0.02),
        layout: Layout::default(),
        regions: Regions::ALL,
    };
    let mut painter = Painter::new(gpu, &graph, &job).await?;
    let mut lap = async |steps: u64| -> Result<f64> {
        let start = Instant::now();
        painter.paint(steps, None, &mut |_| Verdict::Continue).await?;
        Ok(start.elapsed().as_secs_f64() / steps as f64)
    };
    // The first steps compile and allocate.
    lap(2).await?;
    let steps = (LAP / lap(1).await?).ceil().clamp(1.0, 1000.0) as u64;
    let mut laps = Vec::with_capacity(LAPS);
    for _ in 0..LAPS {
        laps.push(lap(steps).await?);
    }
    let seconds = median(&mut laps);
    let buffer_bytes = gpu.allocated_bytes() - before;
    drop(painter);
    let forward_seconds = forward(gpu, &graph, &content, &deepest).await?;
    let flops = 4.0 * macs * f64::from(size) * f64::from(size);
    Ok(StepRow {
        size,
        network: spec.to_string(),
        precision: precision.to_string(),
        seconds_per_step: seconds,
        spread: [laps[0], laps[LAPS - 1]],
        forward_seconds,
        effective_gflops: flops / seconds / 1e9,
        buffer_bytes,
    })
}

/// Seconds of the forward pass to a tap, handed over in as many replays as make a lap.
async fn forward(gpu: &Gpu, graph: &Graph, content: &Picture, tap: &str) -> Result<f64> {
    let shape = [3, content.height() as usize, content.width() as usize];
    let mut tape = Tape::new(gpu);
    let x = tape.constant(&gpu.tensor(shape, content.rgb())?);
    graph.record(&mut tape, x, &[tap], &mut |tape, _, value| tape.keep(value).map(|_| ()))?;
    let program = tape.finish()?;
    let lap = async |replays: usize| -> Result<f64> {
        let start = Instant::now();
        for _ in 1..replays {
            program.submit();
        }
        program.run().await?;
        Ok(start.elapsed().as_secs_f64() / replays as f64)
    };
    lap(2).await?;
    let replays = (LAP / lap(1).await?).ceil().clamp(1.0, 1000.0) as usize;
    let mut laps = Vec::with_capacity(LAPS);
    for _ in 0..LAPS {
        laps.push(lap(replays).await?);
    }
    Ok(median(&mut laps))
}

/// A noisy picture.
fn picture(size: u32, shift: usize) -> Result<Picture> {
    let count = 3 * (size as usize) * (size as usize);
    let rgb = numbers(count + shift).split_off(shift).iter().map(|v| v + 0.5).collect();
    Picture::from_planes((size, size), rgb, None, Depth::Eight)
}
