//! `impasto bench`: what the adapter can do, what the kernels reach, what a step takes.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use impasto::bench::compare::{compare, read};
use impasto::bench::kernels::{self, KernelRow, Op};
use impasto::bench::peak::Ceilings;
use impasto::bench::{Report, Row, report, step};
use impasto::gpu::Gpu;
use impasto::nets::{Network, NetworkSpec, default_network};
use impasto::shape::Precision;
use impasto::{Error, Result};
use pollster::block_on;

use crate::cli::flags::Common;
use crate::cli::output::say;
use crate::cli::{file, remembered};

/// Arguments of `impasto bench`.
#[derive(Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Measure the adapter's ceilings: multiply-add rate, bandwidth, cost of a dispatch
    Peak(PeakArgs),
    /// Check and time every layer, direction and variant
    Kernels(KernelsArgs),
    /// Time whole steps: forward, losses, gradient, optimiser
    Step(StepArgs),
    /// Put two reports side by side: how many times as fast the second is, row by row
    Compare(CompareArgs),
}

#[derive(Args)]
struct PeakArgs {
    /// Write the rows as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct KernelsArgs {
    /// Only this operation: conv2d or gram
    #[arg(long, value_parser = op)]
    op: Option<Op>,
    /// Pictures of N×N px
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=16384))]
    size: u32,
    /// The network whose layers are measured: default, random:vgg19[/K] or FILE.safetensors
    #[arg(long, default_value = "random:vgg19")]
    network: NetworkSpec,
    /// How maps are stored: f32 or f16
    #[arg(long, value_name = "f32|f16", default_value_t = Precision::F32)]
    precision: Precision,
    /// Write the rows as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with a roofline plot and a chart by layer
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Args)]
struct StepArgs {
    /// Pictures of N×N px, a row for each
    #[arg(
        long, value_name = "N,…", value_delimiter = ',', default_value = "256,512,1024",
        value_parser = clap::value_parser!(u32).range(16..=16384)
    )]
    size: Vec<u32>,
    /// default, random:vgg19[/K] or FILE.safetensors
    #[arg(long, default_value = "random:vgg19")]
    network: NetworkSpec,
    /// How maps are stored: f32 or f16
    #[arg(long, value_name = "f32|f16", default_value_t = Precision::F32)]
    precision: Precision,
    /// Write the rows as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct CompareArgs {
    /// A report that --json wrote
    a: PathBuf,
    /// Another one
    b: PathBuf,
}

fn op(name: &str) -> std::result::Result<Op, String> {
    let known = Op::ALL.into_iter().find(|op| op.name() == name);
    known.ok_or_else(|| format!("choose one of {}", Op::ALL.map(Op::name).join(", ")))
}

/// Runs the command.
///
/// # Errors
/// What is wrong with arguments and files, and what the GPU reports.
pub fn run(common: &Common, args: &BenchArgs) -> Result<ExitCode> {
    match &args.what {
        What::Peak(args) => peak(common, args)?,
        What::Kernels(args) => kernels(common, args)?,
        What::Step(args) => step(common, args)?,
        What::Compare(args) => compare_files(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn peak(common: &Common, args: &PeakArgs) -> Result<()> {
    args.json.as_deref().map_or(Ok(()), file::check_writable)?;
    let gpu = open(common, Precision::F32)?;
    let report = block_on(Ceilings::measure(&gpu))?.report(&gpu);
    for row in &report.rows {
        if let Row::Peak(row) = row {
            let name = format!("{} {}", row.name, row.precision);
            say(&format!("{name:<26} {:>10.1} {}", row.value, row.unit))?;
        }
    }
    write_json(args.json.as_deref(), &report)
}

fn kernels(common: &Common, args: &KernelsArgs) -> Result<()> {
    let outputs = args.json.iter().chain(&args.html);
    outputs.into_iter().try_for_each(|path| file::check_writable(path))?;
    let network = network(&args.network)?;
    network.check_size(args.size, args.size, network.layers.len())?;
    let gpu = open(common, args.precision)?;
    let ceilings = block_on(Ceilings::measure(&gpu))?;
    let mut report = ceilings.report(&gpu);
    say(&format!(
        "ceilings: {:.1} GFLOP/s, {:.1} GB/s, {:.1} µs a dispatch",
        ceilings.flops / 1e9,
        ceilings.bandwidth / 1e9,
        1e6 * ceilings.dispatch
    ))?;
    say(
        "op      layer     shape               direction  variant         µs   ± %  GFLOP/s    GB/s  ceiling    error",
    )?;
    let ops = args.op.map_or(Op::ALL.to_vec(), |op| vec![op]);
    let mut told = Ok(());
    let mut watch = |row: &KernelRow| {
        if told.is_ok() {
            told = say(&describe(row));
        }
    };
    let of = (args.size, args.precision);
    let rows = block_on(kernels::measure(&gpu, &ceilings, &network, &ops, of, &mut watch))?;
    told?;
    report.rows.extend(rows.into_iter().map(Row::Kernels));
    if let Some(path) = &args.html {
        file::write_atomic(path, report::html(&report, &ceilings).as_bytes())?;
    }
    write_json(args.json.as_deref(), &report)
}

fn describe(row: &KernelRow) -> String {
    let [c, o, h, w] = row.shape;
    let spread = 50.0 * (row.spread_us[1] - row.spread_us[0]) / row.median_us;
    format!(
        "{:<7} {:<9} {:<19} {:<10} {:<9} {:>8.0} {:>5.0}  {:>7.1} {:>7.2}  {:>5.0} %  {:.1e}{}",
        row.op,
        row.layer,
        format!("{c}→{o}, {h}×{w}"),
        format!("{:?}", row.direction).to_lowercase(),
        row.variant,
        row.median_us,
        spread,
        row.gflops,
        row.gbps,
        100.0 * row.ceiling_share,
        row.error,
        if row.chosen { "  ←" } else { "" },
    )
}

fn step(common: &Common, args: &StepArgs) -> Result<()> {
    args.json.as_deref().map_or(Ok(()), file::check_writable)?;
    let network = network(&args.network)?;
    let needed = network.clone().truncated(&step::loss_of(&args.network).taps())?;
    let check = |size: &u32| needed.check_size(*size, *size, needed.layers.len());
    args.size.iter().try_for_each(check)?;
    let gpu = open(common, args.precision)?;
    let mut report = Report::new(&gpu);
    say("size        s a step   fastest … slowest    GFLOP/s   buffers   forward alone")?;
    for size in &args.size {
        let of = (*size, args.precision);
        let row = block_on(step::measure(&gpu, &args.network, &network, of))?;
        let [fastest, slowest] = row.spread;
        say(&format!(
            "{:<10} {:>9.4}   {fastest:.4} … {slowest:.4}   {:>8.1}  {:>5.0} MB   {:>11.4} s",
            format!("{size}×{size}"),
            row.seconds_per_step,
            row.effective_gflops,
            row.buffer_bytes as f64 / 1e6,
            row.forward_seconds,
        ))?;
        report.rows.push(Row::Step(row));
    }
    write_json(args.json.as_deref(), &report)
}

fn compare_files(args: &CompareArgs) -> Result<()> {
    let load = |path: &Path| -> Result<Report> {
        let wrong = |what| Error::File { path: path.display().to_string(), what };
        let text = String::from_utf8(file::read(path)?)
            .map_err(|e| wrong(format!("it is no text ({e})")))?;
        read(&text)
            .map_err(|e| wrong(format!("it is no report that `impasto bench --json` wrote ({e})")))
    };
    let (a, b) = (load(&args.a)?, load(&args.b)?);
    for (name, report) in [("A", &a), ("B", &b)] {
        say(&format!("{name}: {}, {}", report.adapter, report.driver))?;
    }
    let ratios = compare(&a, &b);
    if ratios.is_empty() {
        let (a, b) = (args.a.display(), args.b.display());
        return Err(Error::Usage(format!(
            "{a} and {b} have no row in common: bench the same work twice"
        )));
    }
    say(&format!("{:<62} {:>12} {:>12}   B is", "", "A", "B"))?;
    ratios.iter().try_for_each(|ratio| {
        let [a, b] = ratio.values;
        say(&format!("{:<62} {a:>12.4} {b:>12.4}   {:.2}× as fast", ratio.name, ratio.speedup))
    })
}

/// The network of that name, as far as VGG-19's conv5_1.
pub fn network(spec: &NetworkSpec) -> Result<Network> {
    match spec {
        NetworkSpec::Default => default_network(None),
        NetworkSpec::Random { divide } => Network::random(*divide, 0, Some("relu5_1")),
        NetworkSpec::File(path) => {
            Network::from_safetensors(&file::read(path)?, &path.display().to_string(), None)
        }
    }
}

/// Opens the device and says which it is: figures without it mean nothing.
fn open(common: &Common, precision: Precision) -> Result<Gpu> {
    let gpu = common.open_gpu_for(precision)?;
    remembered::load(common, &gpu);
    let report = Report::new(&gpu);
    say(&format!("{} ({})", report.adapter, report.driver))?;
    Ok(gpu)
}

fn write_json(path: Option<&Path>, report: &Report) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let mut text = serde_json::to_vec_pretty(report).map_err(|e| Error::System(e.to_string()))?;
    text.push(b'\n');
    file::write_atomic(path, &text)
}
