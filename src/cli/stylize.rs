//! `impasto stylize`: everything that can be known to be wrong is said before the GPU is opened.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use impasto::nets::{Graph, Network, NetworkSpec, Padding, Pool, Preprocess};
use impasto::ops::Variation;
use impasto::picture::{Format, MAX_PIXELS, MAX_SIDE, Picture, fitted_size, probe};
use impasto::transfer::scales::style_size;
use impasto::transfer::{
    LayerWeight, LossSettings, Normalization, Preset, Scales, Start, StyleLoss,
};
use impasto::{Error, Result};

use super::paint::{Order, Scene, describe, paint};
use super::{Common, beside, file};

/// Adam's step size where none is given.
pub const DEFAULT_LR: f32 = 0.05;

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
    /// The settings of another program, for the flags that are not given: gatys, neural-style, tutorial, crowson or
    /// gatys-hr
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Long side of the result in pixels; 0 = the content's own size
    #[arg(long, value_name = "PX", default_value_t = 512)]
    size: u32,
    /// Long side of the paintings [default: as the result]; 0 = their own size
    #[arg(long, value_name = "PX")]
    style_size: Option<u32>,
    /// Steps of gradient descent at the last scale; 0 = only the initial picture
    #[arg(long, default_value_t = 100)]
    steps: u64,
    /// Sizes to paint at, from coarse to fine, each √2 times the one before: auto (from about 128 px) or a number; 1 = only
    /// the size asked for
    #[arg(long, value_name = "N|auto", default_value_t = Scales::Auto)]
    scales: Scales,
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
    /// What that sums: squares (their means), absolute (values, not their mean) or nine (squares, diagonals too)
    #[arg(long, value_name = "NAME", default_value_t = Variation::Squares, help_heading = "Look")]
    tv_kind: Variation,
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
    /// By what styles are compared: gram, mean-std (Gram matrices, means and deviations) or wasserstein
    #[arg(long, value_name = "NAME", default_value_t = StyleLoss::Gram, help_heading = "Look")]
    style_loss: StyleLoss,
    /// What a layer's losses are divided by: relative (to the target's size) or absolute (as in other programs)
    #[arg(long, value_name = "NAME", default_value_t = Normalization::Relative, help_heading = "Look")]
    normalization: Normalization,
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
    /// zero, reflect or replicate: how the first convolution sees past the edge [default: as the network's others]
    #[arg(long, value_name = "NAME", help_heading = "Look")]
    first_padding: Option<Padding>,
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
            variation: args.tv_kind,
            style_loss: args.style_loss,
            normalization: args.normalization,
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
        let trace = args.trace.as_deref();
        if let Some(trace) = trace
            && (file::same_file(trace, &self.output) || self.is_between(args, trace))
        {
            let trace = trace.display();
            return Err(Error::Usage(format!(
                "--trace {trace}: is a picture's name; choose another"
            )));
        }
        for (flag, output) in [("-o", Some(self.output.as_path())), ("--trace", trace)] {
            let Some(output) = output else { continue };
            file::check_writable(output)?;
            if let Some(input) = self.inputs(args).find(|input| file::same_file(input, output)) {
                return Err(Error::Usage(format!(
                    "{}: would replace {}, which is read; choose another name with {flag}",
                    output.display(),
                    input.display()
                )));
            }
        }
        match self.inputs(args).find(|input| self.is_between(args, input)) {
            None => Ok(()),
            Some(input) => Err(Error::Usage(format!(
                "--save-every: would replace {}, which is read; choose another name with -o",
                input.display()
            ))),
        }
    }

    /// Whether `path` has a name that --save-every may write to.
    fn is_between(&self, args: &StylizeArgs, path: &Path) -> bool {
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else { return false };
        let number = name.rsplit_once('-').map_or("", |(_, number)| number);
        let numbered = number.len() >= 6 && number.bytes().all(|b| b.is_ascii_digit());
        args.save_every.is_some()
            && numbered
            && file::same_file(path, &beside(&self.output, number))
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
    network.truncated(&loss.taps()).map_err(|error| match (error, preset(args)) {
        (Error::Network { name, what }, Ok(Some(preset))) => {
            let what = format!("{what}; preset {} is for {}", preset.name, preset.network);
            Error::Network { name, what }
        }
        (error, _) => error,
    })
}

fn preset(args: &StylizeArgs) -> Result<Option<&'static Preset>> {
    args.preset.as_deref().map(Preset::named).transpose()
}

/// A decoded picture, and the size that it is wanted at.
struct Input {
    picture: Picture,
    size: (u32, u32),
}

impl Input {
    /// Reads a picture that is wanted with that long side (0: its own). What its header says is
    /// checked before a pixel is decoded.
    fn read(path: &Path, long_side: u32, flag: &str, most: u32, network: &Network) -> Result<Self> {
        let (name, bytes) = (path.display().to_string(), file::read(path)?);
        let own = probe(&bytes, &name)?;
        let size = if long_side == 0 { own } else { fitted_size(own, long_side) };
        let (width, height) = size;
        if width.max(height) > most || u64::from(width) * u64::from(height) > MAX_PIXELS {
            return Err(Error::Usage(format!(
                "{flag}: a picture of {width}×{height} px is too large: at most {most} px on a side and \
                 {} megapixels in all",
                MAX_PIXELS / 1_000_000
            )));
        }
        network.check_size(width, height, network.layers.len())?;
        Ok(Input { picture: Picture::decode(&bytes, &name)?, size })
    }

    /// The picture at that size.
    fn fitted(self) -> Picture {
        let Input { picture, size } = self;
        if picture.size() == size { picture } else { picture.resized(size.0, size.1) }
    }
}

/// The sizes to paint at: those whose pictures, and the style pictures beside them, the network can see.
pub fn scales(
    network: &Network,
    count: Scales,
    size: (u32, u32),
    styles: &[(u32, u32)],
) -> Vec<(u32, u32)> {
    let seen = |(w, h): (u32, u32)| network.check_size(w, h, network.layers.len()).is_ok();
    count.sizes(size, |now| {
        seen(now) && styles.iter().all(|style| seen(style_size(*style, now, size)))
    })
}

/// Runs the command.
///
/// # Errors
/// What is wrong with arguments, files, pictures and networks, and what the GPU reports.
pub fn run(common: &Common, args: &StylizeArgs) -> Result<ExitCode> {
    let settings = Settings::check(args)?;
    settings.check_outputs(args)?;
    let network = network(args, &settings.loss)?;
    let most = settings.format.max_side().min(MAX_SIDE);
    let content = Input::read(&args.content, args.size, "--size", most, &network)?;
    let long_side = args.style_size.unwrap_or(content.size.0.max(content.size.1));
    let style = |(path, weight): &(PathBuf, f32)| {
        let input = Input::read(path, long_side, "--style-size", MAX_SIDE, &network)?;
        Ok((input, *weight))
    };
    let styles = settings.styles.iter().map(style).collect::<Result<Vec<_>>>()?;
    let init = init_file(args).map(decode).transpose()?;

    let gpu = common.open_gpu()?;
    common.say(|| describe(&network, content.size));
    if let Some(preset) = preset(args)? {
        common.say(|| format!("preset {}: {}", preset.name, preset.about));
    }
    // The initial picture alone is wanted at its full size.
    let count = if args.steps == 0 { Scales::Count(1) } else { args.scales };
    let style_sizes: Vec<_> = styles.iter().map(|(style, _)| style.size).collect();
    let sizes = scales(&network, count, content.size, &style_sizes);
    let padding = args.first_padding.unwrap_or(network.padding);
    let graph = Graph::new(network)?.with_first_padding(padding);
    // Before any pixel is resampled.
    graph.check_fits(&gpu, content.size, "--size")?;
    styles.iter().try_for_each(|(style, _)| graph.check_fits(&gpu, style.size, "--style-size"))?;
    let content = content.fitted();
    let styles: Vec<_> = styles.into_iter().map(|(s, weight)| (s.fitted(), weight)).collect();
    let start = match (args.init.as_str(), init) {
        (_, Some(picture)) => Start::Picture(Box::new(picture)),
        ("noise", None) => Start::Noise(args.seed),
        ("style", None) => Start::Picture(Box::new(styles[0].0.clone())),
        _ => Start::Content,
    };
    let scene = Scene {
        content: &content,
        sizes,
        styles: &styles,
        start,
        loss: settings.loss,
        lr: args.lr,
    };
    let order = Order {
        output: &settings.output,
        format: settings.format,
        steps: args.steps,
        trace: args.trace.as_deref(),
        save_every: args.save_every,
    };
    paint(common, &gpu, &graph, &scene, &order)
}

fn decode(path: &Path) -> Result<Picture> {
    Picture::decode(&file::read(path)?, &path.display().to_string())
}
