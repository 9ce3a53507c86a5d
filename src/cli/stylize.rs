//! `impasto stylize`: everything that can be known to be wrong is said before the GPU is opened.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use impasto::gpu::Gpu;
use impasto::nets::{Graph, Network, NetworkSpec, Pool, Preprocess};
use impasto::picture::{Format, Picture, fitted_size, probe};
use impasto::transfer::{Event, Job, LayerWeight, LossRow, LossSettings, Painter, Start, Verdict};
use impasto::{Error, Result};

use super::interrupt::Interrupt;
use super::progress::Progress;
use super::{Common, beside, file};

/// Adam's step size where none is given.
pub const DEFAULT_LR: f32 = 0.02;

/// Arguments of `impasto stylize`.
#[derive(Args)]
pub struct StylizeArgs {
    /// The photograph: JPEG, PNG, WebP, TIFF, BMP or GIF
    content: PathBuf,
    /// A painting, and how much it counts beside the others; may be given several times
    #[arg(long, value_name = "FILE[=WEIGHT]", required = true)]
    style: Vec<String>,
    /// The result: .png, .jpg, .webp or .tiff [default: CONTENT-STYLE.png beside the content]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Long side of the result in pixels; 0 = the content's own size
    #[arg(long, value_name = "PX", default_value_t = 512)]
    size: u32,
    /// Long side of the paintings [default: as the result]; 0 = their own size
    #[arg(long, value_name = "PX")]
    style_size: Option<u32>,
    /// Steps of gradient descent; 0 = only the initial picture
    #[arg(long, default_value_t = 300)]
    steps: u64,
    /// default, random:vgg19[/K] or FILE.safetensors
    #[arg(long, default_value = "default", help_heading = "Look")]
    network: NetworkSpec,
    /// How much the result follows the content
    #[arg(long, value_name = "W", default_value_t = LossSettings::CONTENT_WEIGHT, value_parser = weight, allow_negative_numbers = true,
help_heading = "Look")]
    content_weight: f32,
    /// How much it follows the style
    #[arg(long, value_name = "W", default_value_t = LossSettings::STYLE_WEIGHT, value_parser = weight, allow_negative_numbers = true,
help_heading = "Look")]
    style_weight: f32,
    /// How much it avoids differences between neighbouring pixels
    #[arg(long, value_name = "W", default_value_t = LossSettings::TV_WEIGHT, value_parser = weight, allow_negative_numbers = true,
help_heading = "Look")]
    tv_weight: f32,
    /// Layers that carry the content, with weights
    #[arg(long, value_name = "LAYER[=W],…", default_value = LossSettings::CONTENT_LAYERS, help_heading = "Look")]
    content_layers: String,
    /// Layers that carry the style, with weights
    #[arg(
        long,
        value_name = "LAYER[=W],…",
        default_value = LossSettings::STYLE_LAYERS,
        help_heading = "Look"
    )]
    style_layers: String,
    /// Where to start: content, noise, style (the first painting) or a picture
    #[arg(
        long,
        value_name = "content|noise|style|FILE",
        default_value = "content",
        help_heading = "Look"
    )]
    init: String,
    /// max or avg: overrides the network's pooling
    #[arg(long, help_heading = "Look")]
    pool: Option<Pool>,
    /// Seed of noise and random networks
    #[arg(long, default_value_t = 0, help_heading = "Look")]
    seed: u64,
    /// Step size of the optimiser
    #[arg(long, value_name = "R", default_value_t = DEFAULT_LR, value_parser = step_size, allow_negative_numbers = true,
help_heading = "Look")]
    lr: f32,
    /// caffe or torchvision: overrides what the network's file says or its names imply
    #[arg(long, help_heading = "Look")]
    preprocess: Option<Preprocess>,
    /// Write the losses of every step, a JSON object a line
    #[arg(long, value_name = "FILE.jsonl")]
    trace: Option<PathBuf>,
    /// Also write the picture after every so many steps, beside the result
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    save_every: Option<u64>,
}

/// Above this, squared gradients leave the range of f32 and the optimiser stands still.
const MAX_WEIGHT: f32 = 1e9;

fn weight(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(weight) if (0.0..=MAX_WEIGHT).contains(&weight) => Ok(weight),
        _ => Err(format!("a weight is a number from 0 to {MAX_WEIGHT:e}")),
    }
}

fn step_size(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(lr) if lr.is_finite() && lr > 0.0 => Ok(lr),
        _ => Err("a step size is a number above 0".into()),
    }
}

/// A painting's path and weight: `FILE` or `FILE=WEIGHT`.
fn style(text: &str) -> Result<(PathBuf, f32)> {
    // A file may have an `=` in its name: it is a weight only where a number follows.
    let weighted = text.rsplit_once('=').and_then(|(file, w)| Some((file, w.parse::<f32>().ok()?)));
    match weighted {
        Some((_, weight)) if !(weight.is_finite() && weight >= 0.0) => {
            Err(Error::Usage(format!("--style {text}: a weight is a number from 0 up")))
        }
        Some((file, weight)) => Ok((file.into(), weight)),
        None => Ok((text.into(), 1.0)),
    }
}

fn layers(flag: &str, list: &str) -> Result<Vec<LayerWeight>> {
    LayerWeight::list(list).map_err(|e| Error::Usage(format!("{flag} {list}: {e}")))
}

/// What the command line says, checked against itself.
struct Settings {
    styles: Vec<(PathBuf, f32)>,
    output: PathBuf,
    format: Format,
    loss: LossSettings,
}

impl Settings {
    fn check(args: &StylizeArgs) -> Result<Self> {
        let styles = args.style.iter().map(|s| style(s)).collect::<Result<Vec<_>>>()?;
        if styles.iter().all(|(_, weight)| *weight == 0.0) {
            return Err(Error::Usage("--style: at least one style needs a weight above 0".into()));
        }
        let output = args.output.clone().unwrap_or_else(|| {
            let stem = styles[0].0.file_stem().unwrap_or_default().to_string_lossy();
            beside(&args.content.with_extension("png"), &stem)
        });
        let loss = LossSettings {
            content_layers: layers("--content-layers", &args.content_layers)?,
            style_layers: layers("--style-layers", &args.style_layers)?,
            content_weight: args.content_weight,
            style_weight: args.style_weight,
            tv_weight: args.tv_weight,
        };
        Ok(Settings { format: Format::from_path(&output)?, styles, output, loss })
    }

    /// The picture files that are read.
    fn inputs<'a>(&'a self, args: &'a StylizeArgs) -> impl Iterator<Item = &'a Path> {
        let styles = self.styles.iter().map(|(path, _)| path.as_path());
        let network = match &args.network {
            NetworkSpec::File(path) => Some(path.as_path()),
            _ => None,
        };
        [args.content.as_path()].into_iter().chain(styles).chain(init_file(args)).chain(network)
    }

    /// That every file that will be written can be, and is none that is read.
    fn check_outputs(&self, args: &StylizeArgs) -> Result<()> {
        for output in [Some(&self.output), args.trace.as_ref()].into_iter().flatten() {
            file::check_writable(output)?;
            if let Some(input) = self.inputs(args).find(|input| file::same_file(input, output)) {
                return Err(Error::Usage(format!(
                    "{}: would replace {}, which is read; choose another name with -o",
                    output.display(),
                    input.display()
                )));
            }
        }
        Ok(())
    }
}

fn init_file(args: &StylizeArgs) -> Option<&Path> {
    match args.init.as_str() {
        "content" | "noise" | "style" => None,
        file => Some(Path::new(file)),
    }
}

/// The network that was asked for, cut to what the layers need.
fn network(args: &StylizeArgs, loss: &LossSettings) -> Result<Network> {
    let mut network = match &args.network {
        NetworkSpec::Default => impasto::nets::default_network(args.preprocess)?,
        NetworkSpec::Random { divide } => Network::random(*divide, args.seed, None)?,
        NetworkSpec::File(path) => {
            let name = path.display().to_string();
            Network::from_safetensors(&file::read(path)?, &name, args.preprocess)?
        }
    };
    network.pool = args.pool.unwrap_or(network.pool);
    network.truncated(&loss.taps())
}

fn decode(path: &Path) -> Result<Picture> {
    Picture::decode(&file::read(path)?, &path.display().to_string())
}

/// The content at the result's size; sizes are checked before a pixel is decoded.
fn content(args: &StylizeArgs, settings: &Settings, network: &Network) -> Result<Picture> {
    let (name, bytes) = (args.content.display().to_string(), file::read(&args.content)?);
    let own = probe(&bytes, &name)?;
    let size = if args.size == 0 { own } else { fitted_size(own, args.size) };
    let most = settings.format.max_side().min(impasto::picture::MAX_SIDE);
    if size.0.max(size.1) > most {
        return Err(Error::Usage(format!(
            "--size: a result of {}×{} px is too large, {} holds at most {most} px on a side",
            size.0,
            size.1,
            settings.format.name()
        )));
    }
    network.check_size(size.0, size.1, network.layers.len())?;
    let picture = Picture::decode(&bytes, &name)?;
    Ok(if args.size == 0 { picture } else { picture.fitted(args.size) })
}

fn styles(
    args: &StylizeArgs,
    settings: &Settings,
    network: &Network,
    long_side: u32,
) -> Result<Vec<(Picture, f32)>> {
    let size = args.style_size.unwrap_or(long_side);
    let read = |(path, weight): &(PathBuf, f32)| {
        let picture = decode(path)?;
        let picture = if size == 0 { picture } else { picture.fitted(size) };
        network.check_size(picture.width(), picture.height(), network.layers.len())?;
        Ok((picture, *weight))
    };
    settings.styles.iter().map(read).collect()
}

/// Runs the command.
///
/// # Errors
/// What is wrong with arguments, files, pictures and networks, and what the GPU reports.
pub fn run(common: &Common, args: &StylizeArgs) -> Result<ExitCode> {
    let settings = Settings::check(args)?;
    settings.check_outputs(args)?;
    let network = network(args, &settings.loss)?;
    let content = content(args, &settings, &network)?;
    let long_side = content.width().max(content.height());
    let styles = styles(args, &settings, &network, long_side)?;
    let start = match args.init.as_str() {
        "content" => Start::Content,
        "noise" => Start::Noise(args.seed),
        "style" => Start::Picture(Box::new(styles[0].0.clone())),
        file => Start::Picture(Box::new(decode(Path::new(file))?)),
    };
    let job = Job { content: &content, styles: &styles, start, loss: settings.loss, lr: args.lr };
    let order = Order {
        output: &settings.output,
        format: settings.format,
        steps: args.steps,
        trace: args.trace.as_deref(),
        save_every: args.save_every,
    };
    paint(common, &common.open_gpu()?, network, &job, &order)
}

/// What to write, and when.
pub struct Order<'a> {
    pub output: &'a Path,
    pub format: Format,
    pub steps: u64,
    pub trace: Option<&'a Path>,
    pub save_every: Option<u64>,
}

/// Paints and writes what was ordered; also what `demo` does.
pub fn paint(
    common: &Common,
    gpu: &Gpu,
    network: Network,
    job: &Job<'_>,
    order: &Order<'_>,
) -> Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    common.say(|| describe(&network, job));
    let graph = Graph::new(network)?;
    let mut painter = pollster::block_on(Painter::new(gpu, &graph, job))?;
    common.say(|| plan(&painter, gpu.allocated_bytes()));
    let mut progress = Progress::new(order.steps, common.quiet);
    let mut trace: Vec<LossRow> = Vec::new();
    let mut failed = None;
    let mut watch = |event: Event<'_>| {
        match event {
            Event::Steps(done) => progress.steps(done),
            Event::Losses(rows) => {
                progress.losses(rows);
                trace.extend_from_slice(rows);
            }
            Event::Picture(step, picture) => {
                let path = beside(order.output, &format!("{step:06}"));
                let written = picture.encode(order.format);
                failed = written.and_then(|bytes| file::write_atomic(&path, &bytes)).err();
            }
        }
        let stop = failed.is_some() || interrupt.code().is_some();
        if stop { Verdict::Stop } else { Verdict::Continue }
    };
    let painted = pollster::block_on(painter.paint(order.steps, order.save_every, &mut watch));
    // The trace of a run that failed is what tells why.
    if let Some(path) = order.trace {
        file::write_atomic(path, &json_lines(&trace)?)?;
    }
    painted?;
    if let Some(error) = failed {
        return Err(error);
    }
    let picture = pollster::block_on(painter.picture())?;
    file::write_atomic(order.output, &picture.encode(order.format)?)?;
    let code = interrupt.code();
    let (steps, seconds) = (painter.steps(), trace.last().map_or(0.0, |row| row.seconds));
    progress.finish(|| {
        let (stopped, size) = (if code.is_some() { "interrupted: " } else { "" }, picture.size());
        let output = order.output.display();
        format!("{stopped}{output}: {}×{} px after {steps} steps in {seconds:.1} s", size.0, size.1)
    });
    if common.verbose > 1 {
        print_profile(&mut painter)?;
    }
    Ok(ExitCode::from(code.unwrap_or(0)))
}

fn json_lines(rows: &[LossRow]) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for row in rows {
        let line = serde_json::to_string(row).map_err(|e| Error::Gpu(e.to_string()))?;
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
    Ok(text)
}

fn describe(network: &Network, job: &Job<'_>) -> String {
    let layers = network.layers.len();
    let megabytes = network.parameter_bytes(layers) as f64 / 1e6;
    let note = if network.name == "default" { impasto::nets::DEFAULT_NETWORK_NOTE } else { "" };
    let (w, h) = job.content.size();
    format!(
        "network: {}{note}\n  {} layers, {megabytes:.1} MB of weights, {:.0} multiply-adds a pixel\n  \
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

fn plan(painter: &Painter, allocated: u64) -> String {
    let plan = painter.plan();
    let mb = |bytes: u64| bytes as f64 / 1e6;
    format!(
        "step: {} dispatches, {:.1} GFLOP\nmemory: {:.1} MB of buffers in all; {} temporaries share \
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
fn print_profile(painter: &mut Painter) -> Result<()> {
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
    eprintln!("GPU time of one step: {:.1} ms", 1e3 * all);
    for (label, seconds, flops) in totals {
        let rate = flops as f64 / seconds / 1e9;
        let rate = if flops > 0 { format!("{rate:9.1} GFLOP/s") } else { String::new() };
        eprintln!("{:9.2} ms  {:4.1} %  {rate:>17}  {label}", 1e3 * seconds, 100.0 * seconds / all);
    }
    Ok(())
}
