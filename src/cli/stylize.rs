//! `impasto stylize`: everything that can be known to be wrong is said before the GPU is opened.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use impasto::gpu::Gpu;
use impasto::nets::{Graph, Network, NetworkSpec, Padding, Pool, Preprocess};
use impasto::ops::Variation;
use impasto::optim::Descent;
use impasto::picture::{Format, MAX_PIXELS, MAX_SIDE, Picture, fitted_size, probe};
use impasto::transfer::scales::style_size;
use impasto::transfer::{
    LayerWeight, LossSettings, Mask, Normalization, Preset, Regions, Scales, Start, StyleLoss,
};
use impasto::{Error, Result};

use super::checkpoint::Keeper;
use super::colour::{Finish, Preserve};
use super::descent::DescentArgs;
use super::inputs::Inputs;
use super::paint::{Order, describe, paint};
use super::plans::Planner;
use super::run::{Place, Run};
use super::scene::Scene;
use super::settings::Record;
use super::task::{Outputs, StylizeArgs, Task};
use super::{Common, beside, file, say};

/// What shapes the pixels. Every flag here is a setting: it is written into the result, and taken from there by
/// `--settings-from`. The rest are [`Outputs`].
#[derive(Args, Debug)]
pub struct Look {
    /// The photograph: JPEG, PNG, WebP, TIFF, BMP or GIF
    content: PathBuf,
    /// A painting, and how much it counts beside the others; may be given several times
    #[arg(long, value_name = "FILE[=WEIGHT]", required = true)]
    style: Vec<String>,
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
    /// Sizes to paint at, from coarse to fine, each √2 times the one before: auto (from about 128 px) or a number;
    /// 1 = only the size asked for
    #[arg(long, value_name = "N|auto", default_value_t = Scales::Auto)]
    scales: Scales,
    /// default, random:vgg19[/K] or FILE.safetensors
    #[arg(long, default_value = "default", help_heading = "Look")]
    network: NetworkSpec,
    /// How much the result follows the content
    #[arg(long, value_name = "W", default_value_t = LossSettings::CONTENT_WEIGHT)]
    #[arg(value_parser = weight, allow_negative_numbers = true, help_heading = "Look")]
    content_weight: f32,
    /// How much it follows the style
    #[arg(long, value_name = "W", default_value_t = LossSettings::STYLE_WEIGHT)]
    #[arg(value_parser = weight, allow_negative_numbers = true, help_heading = "Look")]
    style_weight: f32,
    /// How much it avoids differences between neighbouring pixels
    #[arg(long, value_name = "W", default_value_t = LossSettings::TV_WEIGHT)]
    #[arg(value_parser = weight, allow_negative_numbers = true, help_heading = "Look")]
    tv_weight: f32,
    /// What that sums: squares (their means), absolute (values, not their mean) or nine (squares, diagonals too)
    #[arg(long, value_name = "NAME", default_value_t = Variation::Squares, help_heading = "Look")]
    tv_kind: Variation,
    /// How much it keeps the content's fine detail: its edges, as differences between neighbouring pixels
    #[arg(long, value_name = "W", default_value_t = 0.0)]
    #[arg(value_parser = weight, allow_negative_numbers = true, help_heading = "Look")]
    detail: f32,
    /// How far to go from the photograph to the look that the other settings give: 0 = not at all, 1 = all the way
    #[arg(long, value_name = "0..1", default_value_t = 1.0)]
    #[arg(value_parser = strength, allow_negative_numbers = true, help_heading = "Look")]
    strength: f32,
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
    /// Paint only where this picture is white; several: each is painted in the style of the same number
    #[arg(long, value_name = "FILE", help_heading = "Look")]
    mask: Vec<PathBuf>,
    /// Only what is white in this picture counts of a painting; one for each --style, in the same order
    #[arg(long, value_name = "FILE", help_heading = "Look")]
    style_mask: Vec<PathBuf>,
    /// Keep the content's colours: luma paints only light and dark, histogram first gives the paintings the content's
    /// mean and spread of colours
    #[arg(
        long,
        value_name = "luma|histogram|none",
        default_value = "none",
        hide_possible_values = true,
        help_heading = "Look"
    )]
    preserve_color: Preserve,
    /// Keep the content's light and dark, and take only the painting's colours
    #[arg(long, help_heading = "Look")]
    color_only: bool,
    /// Seed of noise and random networks
    #[arg(long, default_value_t = 0, help_heading = "Look")]
    seed: u64,
    /// caffe or torchvision: overrides what the network's file says or its names imply
    #[arg(long, help_heading = "Look")]
    preprocess: Option<Preprocess>,
    #[command(flatten)]
    descent: DescentArgs,
}

/// Above this, squared gradients leave the range of f32 and the optimiser stands still.
const MAX_WEIGHT: f32 = 1e9;

fn weight(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(weight) if (0.0..=MAX_WEIGHT).contains(&weight) => Ok(weight),
        _ => Err(format!("a weight is a number from 0 to {MAX_WEIGHT:e}")),
    }
}

fn strength(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(strength) if (0.0..=1.0).contains(&strength) => Ok(strength),
        _ => Err("a strength is a number from 0, the photograph, to 1, the whole style".into()),
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
    descent: Descent,
    finish: Finish,
}

impl Settings {
    fn check(args: &Look, outputs: &Outputs) -> Result<Self> {
        let styles = args.style.iter().map(|s| style(s)).collect::<Result<Vec<_>>>()?;
        if styles.iter().all(|(_, weight)| *weight == 0.0) {
            return Err(Error::Usage("--style: at least one style needs a weight above 0".into()));
        }
        Regions::pairs(args.mask.len(), args.style_mask.len(), styles.len())?;
        let output = outputs.output.clone().unwrap_or_else(|| {
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
            detail_weight: args.detail,
            strength: args.strength,
        };
        let finish = match Finish::new(args.preserve_color, args.color_only)? {
            // The photograph has its own colours already, and taking them apart would round them.
            _ if args.strength == 0.0 => Finish::Painting,
            finish => finish,
        };
        let (format, descent) = (Format::from_path(&output)?, args.descent.check()?);
        if outputs.memory.tile.is_some() && !descent.is_by_pieces() {
            let what = "--tile: --optimizer lbfgs moves all pixels at once; use --optimizer adam";
            return Err(Error::Usage(what.into()));
        }
        Ok(Settings { styles, output, format, loss, descent, finish })
    }

    /// The picture files that are read.
    fn inputs<'a>(&'a self, args: &'a Look) -> impl Iterator<Item = &'a Path> {
        let styles = self.styles.iter().map(|(path, _)| path.as_path());
        let network = match &args.network {
            NetworkSpec::File(path) => Some(path.as_path()),
            _ => None,
        };
        let masks = args.mask.iter().chain(&args.style_mask).map(PathBuf::as_path);
        let pictures = [args.content.as_path()].into_iter().chain(styles).chain(masks);
        pictures.chain(init_file(args)).chain(network)
    }

    /// That every file that will be written can be, and is none that is read.
    fn check_outputs(&self, args: &Look, outputs: &Outputs) -> Result<()> {
        let (trace, checkpoint) = (outputs.trace.as_deref(), outputs.checkpoint.as_deref());
        let own = [("--trace", trace), ("--checkpoint", checkpoint)];
        for (flag, path) in own.into_iter().filter_map(|(flag, path)| Some((flag, path?))) {
            if file::same_file(path, &self.output) || self.is_between(outputs, path) {
                let path = path.display();
                return Err(Error::Usage(format!(
                    "{flag} {path}: is a picture's name; choose another"
                )));
            }
        }
        if let (Some(trace), Some(checkpoint)) = (trace, checkpoint)
            && file::same_file(trace, checkpoint)
        {
            let path = trace.display();
            return Err(Error::Usage(format!(
                "--checkpoint {path}: is the trace's name; choose another"
            )));
        }
        for (flag, output) in [("-o", Some(self.output.as_path()))].into_iter().chain(own) {
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
        match self.inputs(args).find(|input| self.is_between(outputs, input)) {
            None => Ok(()),
            Some(input) => Err(Error::Usage(format!(
                "--save-every: would replace {}, which is read; choose another name with -o",
                input.display()
            ))),
        }
    }

    /// Whether `path` has a name that --save-every may write to.
    fn is_between(&self, outputs: &Outputs, path: &Path) -> bool {
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else { return false };
        let number = name.rsplit_once('-').map_or("", |(_, number)| number);
        let numbered = number.len() >= 6 && number.bytes().all(|b| b.is_ascii_digit());
        outputs.save_every.is_some()
            && numbered
            && file::same_file(path, &beside(&self.output, number))
    }
}

fn init_file(args: &Look) -> Option<&Path> {
    match args.init.as_str() {
        "content" | "noise" | "style" => None,
        file => Some(Path::new(file)),
    }
}

/// The network that was asked for, cut to what the layers need.
fn network(args: &Look, loss: &LossSettings, inputs: &Inputs) -> Result<Network> {
    let mut network = match &args.network {
        NetworkSpec::Default => impasto::nets::default_network(args.preprocess)?,
        NetworkSpec::Random { divide } => Network::random(*divide, args.seed, None)?,
        NetworkSpec::File(path) => {
            let name = path.display().to_string();
            Network::from_safetensors(&inputs.read(path)?, &name, args.preprocess)?
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

fn preset(args: &Look) -> Result<Option<&'static Preset>> {
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
    fn read(
        path: &Path,
        bytes: &[u8],
        long_side: u32,
        flag: &str,
        most: u32,
        network: &Network,
    ) -> Result<Self> {
        let name = path.display().to_string();
        let own = probe(bytes, &name)?;
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
        Ok(Input { picture: Picture::decode(bytes, &name)?, size })
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
    let Task { common, look: args, flags, outputs, inputs, kept } = args.task(common)?;
    let settings = Settings::check(&args, &outputs)?;
    settings.check_outputs(&args, &outputs)?;
    let network = network(&args, &settings.loss, &inputs)?;
    let most = settings.format.max_side().min(MAX_SIDE);
    let input = |path: &Path, long_side, flag, most| {
        Input::read(path, &inputs.read(path)?, long_side, flag, most, &network)
    };
    let content = input(&args.content, args.size, "--size", most)?;
    let long_side = args.style_size.unwrap_or(content.size.0.max(content.size.1));
    let style = |(path, weight): &(PathBuf, f32)| {
        Ok((input(path, long_side, "--style-size", MAX_SIDE)?, *weight))
    };
    let styles = settings.styles.iter().map(style).collect::<Result<Vec<_>>>()?;
    let decode = |path: &Path| Picture::decode(&inputs.read(path)?, &path.display().to_string());
    let init = init_file(&args).map(decode).transpose()?;
    let mask = |path: &PathBuf| {
        let mask = Mask::of(&decode(path)?);
        if mask.plane().iter().all(|share| *share == 0.0) {
            let what = "nothing in this mask is white".into();
            return Err(Error::File { path: path.display().to_string(), what });
        }
        Ok(mask)
    };
    let masks = |paths: &[PathBuf]| paths.iter().map(mask).collect::<Result<Vec<_>>>();
    let regions = Regions { content: masks(&args.mask)?, style: masks(&args.style_mask)? };

    if args.strength == 0.0 && !common.quiet {
        note!("--strength 0: nothing is painted, the result is the resized photograph");
    }
    let gpu = common.open_gpu()?;
    common.say(|| describe(&network, content.size));
    if let Some(preset) = preset(&args)? {
        common.say(|| format!("preset {}: {}", preset.name, preset.about));
    }
    // The initial picture alone is wanted at its full size.
    let steps = if args.strength == 0.0 { 0 } else { args.steps };
    let count = if steps == 0 { Scales::Count(1) } else { args.scales };
    let style_sizes: Vec<_> = styles.iter().map(|(style, _)| style.size).collect();
    let sizes = scales(&network, count, content.size, &style_sizes);
    let padding = args.first_padding.unwrap_or(network.padding);
    let graph = Graph::new(network)?.with_first_padding(padding);
    let planner = Planner {
        sizes: sizes.clone(),
        styles: style_sizes,
        masks: args.mask.len(),
        loss: settings.loss,
        descent: settings.descent,
        memory: outputs.memory.clone(),
    };
    if outputs.memory.plan {
        return print_plans(&common, &gpu, &graph, &planner);
    }
    // Before any pixel is resampled: what can't fit is said at once. A run that goes on uses memory as before.
    if kept.as_ref().is_none_or(|kept| kept.notes.layouts.len() != sizes.len()) {
        planner.at(&gpu, &graph, sizes.len() - 1, None)?;
    }
    let content = content.fitted();
    let prepared =
        |style: Input| args.preserve_color.style(style.fitted().into_space_of(&content), &content);
    let styles: Vec<_> = styles.into_iter().map(|(s, weight)| (prepared(s), weight)).collect();
    let start = match (args.init.as_str(), init) {
        (_, Some(picture)) => Start::Picture(Box::new(picture.into_space_of(&content))),
        ("noise", None) => Start::Noise(args.seed),
        ("style", None) => Start::Picture(Box::new(styles[0].0.clone())),
        _ => Start::Content,
    };
    let regions = regions.resized(content.size(), styles.iter().map(|(style, _)| style.size()));
    let record = Record::new(common.no_tune, flags, inputs.hashes());
    let order = Order {
        output: &settings.output,
        format: settings.format,
        steps,
        trace: outputs.trace.as_deref(),
        save_every: outputs.save_every,
        settings: Some(record.to_json()),
    };
    let keeper = Keeper::new(&common, record, &outputs, &order, kept.as_ref());
    let (place, trace) = match kept {
        Some(kept) => kept.place(&sizes)?,
        None => (Place::first(start), Vec::new()),
    };
    let finish = settings.finish;
    let scene = Scene { content: &content, styles: &styles, regions, finish, planner };
    paint(&common, &gpu, &graph, &scene, &order, Run::new(place, trace, Some(keeper)))
}

/// What `--plan` says, on standard output.
fn print_plans(common: &Common, gpu: &Gpu, graph: &Graph, planner: &Planner) -> Result<ExitCode> {
    let plans = planner.all(common, gpu, graph, &mut None)?;
    for ((width, height), plan) in planner.sizes.iter().zip(plans) {
        say(&format!("{width}×{height} px: {plan}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
