//! What `-v` and `-vv` say.

use crate::cli::output::note;
use impasto::Result;
use impasto::gpu::Plan;
use impasto::nets::Network;
use impasto::paint::Painter;

/// What `-v` says about the network and the picture.
pub fn network(network: &Network, (w, h): (u32, u32)) -> String {
    let layers = network.layers.len();
    let megabytes = network.parameter_bytes(layers) as f64 / 1e6;
    format!(
        "network: {}\n  {} layers, {megabytes:.1} MB of weights, {:.0} multiply-adds a pixel\n  \
         preprocessing {} ({}), {} padding, {} pooling\npicture: {w}×{h} px",
        network.name,
        layers,
        network.macs_per_pixel(layers),
        network.preprocess,
        network.preprocess_source,
        network.padding.name(),
        network.pool.name(),
    )
}

/// What `-v` says about a scale's step.
pub fn step(plan: &Plan, (w, h): (u32, u32), allocated: u64) -> String {
    let mb = |bytes: u64| bytes as f64 / 1e6;
    format!(
        "step at {w}×{h} px: {} dispatches, {:.1} GFLOP\nmemory: {:.1} MB of buffers in all; {} temporaries share \
         {:.1} MB in {} buffers ({:.1} MB without sharing)",
        plan.dispatches,
        plan.flops as f64 / 1e9,
        mb(allocated),
        plan.temporaries,
        mb(plan.arena_bytes),
        plan.slots,
        mb(plan.unshared_bytes),
    )
}

/// GPU time by label, the longest first.
pub fn profile(painter: &mut Painter) -> Result<()> {
    let mut totals: Vec<(String, f64, u64)> = Vec::new();
    for timing in pollster::block_on(painter.profile())? {
        let seconds = timing.time.as_secs_f64();
        match totals.iter_mut().find(|(label, ..)| *label == timing.label) {
            Some((_, sum, flops)) => (*sum, *flops) = (*sum + seconds, *flops + timing.flops),
            None => totals.push((timing.label, seconds, timing.flops)),
        }
    }
    totals.sort_by(|a, b| b.1.total_cmp(&a.1));
    let all: f64 = totals.iter().map(|(_, seconds, _)| seconds).sum();
    note!("GPU time of one step: {:.1} ms", 1e3 * all);
    for (label, seconds, flops) in totals {
        let rate = flops as f64 / seconds / 1e9;
        let rate = if flops > 0 { format!("{rate:9.1} GFLOP/s") } else { String::new() };
        note!("{:9.2} ms  {:4.1} %  {rate:>17}  {label}", 1e3 * seconds, 100.0 * seconds / all);
    }
    Ok(())
}
