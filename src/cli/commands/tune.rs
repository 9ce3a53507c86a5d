//! The tuner's choices between runs, and `impasto tune`.

use std::process::ExitCode;

use clap::Args;
use impasto::Result;
use impasto::nets::{Graph, NetworkSpec};
use impasto::shape::Precision;
use impasto::tune;
use pollster::block_on;

use super::bench;
use crate::cli::flags::Common;
use crate::cli::output::{note, say};
use crate::cli::remembered;

/// Arguments of `impasto tune`.
#[derive(Args)]
pub struct TuneArgs {
    /// Tune for this network: default, random:vgg19[/K] or FILE.safetensors
    #[arg(long, default_value = "default")]
    network: NetworkSpec,
    /// Tune for pictures of N×N px
    #[arg(
        long, value_name = "N,…", value_delimiter = ',', default_value = "512",
        value_parser = clap::value_parser!(u32).range(16..=16384)
    )]
    size: Vec<u32>,
    /// Tune for maps stored as f32 or f16
    #[arg(long, value_name = "f32|f16", default_value_t = Precision::F32)]
    precision: Precision,
}

/// Measures, whatever is remembered, and remembers.
///
/// # Errors
/// What is wrong with the arguments, and what the GPU reports.
pub fn run(common: &Common, args: &TuneArgs) -> Result<ExitCode> {
    let network = bench::network(&args.network)?;
    let check = |size: &u32| network.check_size(*size, *size, network.layers.len());
    args.size.iter().try_for_each(check)?;
    let gpu = common.open_gpu_for(args.precision)?;
    remembered::load(common, &gpu);
    let graph = Graph::new(network)?.with_precision(args.precision);
    for size in &args.size {
        graph.check_fits(&gpu, (*size, *size))?;
        for class in tune::classes(&graph, (*size, *size)) {
            block_on(tune::tune(&gpu, class))?;
            say(&format!("{class}: {}", tune::chosen(&gpu, &class).unwrap_or_default()))?;
        }
    }
    match remembered::save(&tune::device(&gpu), &tune::to_json(&gpu)) {
        Some(path) => say(&format!("kept in {}", path.display()))?,
        None => note!("{}", remembered::NOWHERE),
    }
    Ok(ExitCode::SUCCESS)
}
