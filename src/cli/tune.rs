//! The tuner's choices between runs, and `impasto tune`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use impasto::Result;
use impasto::gpu::Gpu;
use impasto::nets::{Graph, NetworkSpec};
use impasto::shape::Precision;
use impasto::tune;
use pollster::block_on;

use super::{Common, bench, file, say};

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
    load(common, &gpu);
    let graph = Graph::new(network)?.with_precision(args.precision);
    for size in &args.size {
        graph.check_fits(&gpu, (*size, *size), "--size")?;
        for class in graph.classes((*size, *size)) {
            block_on(tune::tune(&gpu, class))?;
            say(&format!("{class}: {}", tune::chosen(&gpu, &class).unwrap_or_default()))?;
        }
    }
    match save(&gpu) {
        Some(path) => say(&format!("kept in {}", path.display()))?,
        None => note!("the choices can't be kept: there is no cache folder that can be written to"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Before painting: uses what is remembered, and measures what is missing. That nothing can be remembered
/// is no reason not to paint.
///
/// # Errors
/// What the GPU reports.
pub fn prepare(common: &Common, gpu: &Gpu, graph: &Graph, size: (u32, u32)) -> Result<()> {
    if common.no_tune {
        return Ok(());
    }
    load(common, gpu);
    let mut classes = graph.classes(size);
    classes.retain(|class| tune::is_open(gpu, class));
    if classes.is_empty() {
        return Ok(());
    }
    if !common.quiet {
        let (count, name) = (classes.len(), &gpu.report().name);
        note!(
            "measuring which kernels are fastest on {name}: {count} kinds of layers, once (--no-tune leaves it out)"
        );
    }
    for class in classes {
        block_on(tune::tune(gpu, class))?;
        common.say(|| format!("  {class}: {}", tune::chosen(gpu, &class).unwrap_or_default()));
    }
    if save(gpu).is_none() {
        common.say(|| {
            "the choices can't be kept: there is no cache folder that can be written to".into()
        });
    }
    Ok(())
}

/// Uses what is remembered for the device. A file that is damaged or meant for other kernels counts for nothing
/// and will be written anew.
pub fn load(common: &Common, gpu: &Gpu) {
    let text =
        path(gpu).filter(|_| !common.no_tune).and_then(|path| std::fs::read_to_string(path).ok());
    if let Some(text) = text
        && !tune::use_json(gpu, &text)
    {
        common
            .say(|| "the remembered choices of kernels are damaged or another version's: they are measured again".into());
    }
}

/// Where the choices were written, if they could be.
fn save(gpu: &Gpu) -> Option<PathBuf> {
    let path = path(gpu)?;
    std::fs::create_dir_all(path.parent()?).ok()?;
    file::write_atomic(&path, tune::to_json(gpu).as_bytes()).ok()?;
    Some(path)
}

/// The device's file in the user's cache folder.
fn path(gpu: &Gpu) -> Option<PathBuf> {
    Some(dirs::cache_dir()?.join("impasto").join(tune::file_name(gpu)))
}
