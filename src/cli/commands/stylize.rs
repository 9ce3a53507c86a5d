//! `impasto stylize`: everything that can be known to be wrong is said before the GPU is opened.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use impasto::gpu::Gpu;
use impasto::loss::{LayerWeight, LossSettings, Mask, Regions};
use impasto::nets::{Graph, Network, NetworkSpec};
use impasto::paint::{Descent, Start};
use impasto::picture::{Format, MAX_PIXELS, MAX_SIDE, Picture, fitted_size, probe};
use impasto::session::{
    self, Begin, Finish, Planner, Preserve, Preset, Scales, Scene, Session, Standing,
};
use impasto::{Error, Result};
use pollster::block_on;

use crate::cli::checkpoint::Keeper;
use crate::cli::flags::{Common, Look, Outputs, Record, StylizeArgs};
use crate::cli::inputs::Inputs;
use crate::cli::order::Order;
use crate::cli::output::{beside, note, say, told};
use crate::cli::task::Task;
use crate::cli::{describe, file, watch};

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
    LayerWeight::list(list).map_err(|e| Error::Usage(format!("{flag} {list}: {}", told(&e))))
}

/// What is made of a painting.
fn finish(preserve: Preserve, colour_only: bool) -> Result<Finish> {
    match (preserve, colour_only) {
        (Preserve::Luma, true) => Err(Error::Usage(
            "--color-only takes the painting's colours and --preserve-color luma the content's: \
             give one of them"
                .into(),
        )),
        (_, true) => Ok(Finish::ColourOnly),
        (Preserve::Luma, false) => Ok(Finish::LumaOnly),
        (_, false) => Ok(Finish::Painting),
    }
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
        let finish = match finish(args.preserve_color, args.color_only)? {
            // The photograph has its own colours already, and taking them apart would round them.
            _ if args.strength == 0.0 => Finish::Painting,
            finish => finish,
        };
        let (format, descent) = (Format::from_path(&output)?, args.descent.check()?);
        if outputs.memory.tile.is_some() && descent.by_pieces().is_none() {
            let what =
                "--tile: --optimizer lbfgs moves all pixels at once; add --optimizer auto or adam";
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
                    "{flag} {path}: a picture will have this name; choose another"
                )));
            }
        }
        if let (Some(trace), Some(checkpoint)) = (trace, checkpoint)
            && file::same_file(trace, checkpoint)
        {
            let path = trace.display();
            return Err(Error::Usage(format!(
                "--checkpoint {path}: the trace will have this name; choose another"
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

/// All files that are read, decoded and checked; nothing is resampled yet.
struct Read {
    network: Network,
    content: Input,
    styles: Vec<(Input, f32)>,
    init: Option<Picture>,
    regions: Regions,
}

impl Read {
    fn all(args: &Look, settings: &Settings, inputs: &Inputs) -> Result<Self> {
        let network = network(args, &settings.loss, inputs)?;
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
        let decode =
            |path: &Path| Picture::decode(&inputs.read(path)?, &path.display().to_string());
        let init = init_file(args).map(decode).transpose()?;
        let mask = |path: &PathBuf| {
            let mask = Mask::of(&decode(path)?);
            if mask.plane().iter().all(|share| *share == 0.0) {
                let what = "nothing in this mask is white: make white what is to be painted".into();
                return Err(Error::File { path: path.display().to_string(), what });
            }
            Ok(mask)
        };
        let masks = |paths: &[PathBuf]| paths.iter().map(mask).collect::<Result<Vec<_>>>();
        let regions = Regions { content: masks(&args.mask)?, style: masks(&args.style_mask)? };
        Ok(Read { network, content, styles, init, regions })
    }

    /// The sizes to paint at.
    fn sizes(&self, scales: Scales) -> Vec<(u32, u32)> {
        session::sizes(&self.network, scales, self.content.size, &self.style_sizes())
    }

    fn style_sizes(&self) -> Vec<(u32, u32)> {
        self.styles.iter().map(|(style, _)| style.size).collect()
    }

    /// The pictures at their sizes, in the content's colour space; and where painting starts.
    fn scene(self, args: &Look, finish: Finish) -> (Scene, Start) {
        let content = self.content.fitted();
        let prepared = |style: Input| {
            args.preserve_color.style(style.fitted().into_space_of(&content), &content)
        };
        let styles: Vec<_> =
            self.styles.into_iter().map(|(style, weight)| (prepared(style), weight)).collect();
        let start = match (args.init.as_str(), self.init) {
            (_, Some(picture)) => Start::Picture(Box::new(picture.into_space_of(&content))),
            ("noise", None) => Start::Noise(args.seed),
            ("style", None) => Start::Picture(Box::new(styles[0].0.clone())),
            _ => Start::Content,
        };
        let sizes = styles.iter().map(|(style, _)| style.size());
        let regions = self.regions.resized(content.size(), sizes);
        (Scene { content, styles, regions, finish }, start)
    }
}

/// That every mask leaves something for the network to see, at every size that is painted.
fn check_masks(args: &Look, graph: &Graph, read: &Read, planner: &Planner) -> Result<()> {
    let taps = planner.loss.style_taps();
    let check = |path: &Path, mask: &Mask, size| {
        mask.check(graph, &taps, size)
            .map_err(|e| Error::File { path: path.display().to_string(), what: e.to_string() })
    };
    for (scale, size) in planner.sizes.iter().enumerate() {
        for (path, mask) in args.mask.iter().zip(&read.regions.content) {
            check(path, mask, *size)?;
        }
        let styles = args.style_mask.iter().zip(&read.regions.style).zip(planner.styles_at(scale));
        for ((path, mask), size) in styles {
            check(path, mask, size)?;
        }
    }
    Ok(())
}

/// Runs the command.
///
/// # Errors
/// What is wrong with arguments, files, pictures and networks, and what the GPU reports.
pub fn run(common: &Common, args: &StylizeArgs) -> Result<ExitCode> {
    let Task { common, look: args, flags, outputs, inputs, kept } = args.task(common)?;
    let settings = Settings::check(&args, &outputs)?;
    settings.check_outputs(&args, &outputs)?;
    let read = Read::all(&args, &settings, &inputs)?;
    // The initial picture alone is wanted at its full size.
    let steps = if args.strength == 0.0 { Some(0) } else { args.steps };
    let scales = if steps == Some(0) { Scales::Count(1) } else { args.scales };
    let mut planner = Planner {
        sizes: read.sizes(scales),
        styles: read.style_sizes(),
        masks: args.mask.len(),
        loss: settings.loss.clone(),
        descent: settings.descent,
        budget: u64::MAX,
        tile: outputs.memory.tile.map(|tile| tile as usize),
    };
    let padding = args.first_padding.unwrap_or(read.network.padding);
    let network = describe::network(&read.network, read.content.size);
    let graph = Graph::new(read.network.clone())?
        .with_first_padding(padding)
        .with_precision(args.precision);
    check_masks(&args, &graph, &read, &planner)?;
    if args.strength == 0.0 && !common.quiet {
        note!("--strength 0: nothing is painted, the result is the resized photograph");
    }
    let gpu = common.open_gpu_for(args.precision)?;
    common.say(|| network);
    if let Some(preset) = preset(&args)? {
        common.say(|| format!("preset {}: {}", preset.name, preset.about));
    }
    planner.budget = outputs.memory.budget(&gpu);
    if outputs.memory.plan {
        return print_plans(&common, &gpu, &graph, &planner);
    }
    // Before any pixel is resampled: what can't fit is said at once. A run that goes on uses memory as before.
    let last = planner.sizes.len() - 1;
    let layout = match kept.as_ref().filter(|kept| kept.notes.layouts.len() == last + 1) {
        Some(kept) => kept.notes.layouts[last],
        None => planner.at(&gpu, &graph, last, planner.budget)?.layout,
    };
    // A run that goes on takes as many as it began with, whatever became of its memory since.
    let begun = kept.as_ref().and_then(|kept| kept.notes.origin.steps);
    let steps = steps.or(begun).unwrap_or_else(|| planner.default_steps(&layout));
    let (scene, start) = read.scene(&args, settings.finish);
    let record = Record::new(common.no_tune, flags, inputs.hashes());
    let order = Order {
        output: &settings.output,
        format: settings.format,
        trace: outputs.trace.as_deref(),
        settings: Some(record.to_json()),
    };
    let sizes = planner.sizes.as_slice();
    let keeper = Keeper::new(&common, record, &outputs, (&order, steps), (sizes, kept.as_ref()));
    let (standing, trace) = match kept {
        Some(kept) => kept.standing(sizes)?,
        None => (Standing::first(start), Vec::new()),
    };
    let (tunes, choice) = (!common.no_tune, common.choice());
    let begin = Begin { standing, trace, steps, save_every: outputs.save_every, tunes, choice };
    let session = Session::new(gpu, graph, scene, planner, begin);
    watch::run(&common, &order, session, Some(keeper))
}

/// What `--plan` says, on standard output.
fn print_plans(common: &Common, gpu: &Gpu, graph: &Graph, planner: &Planner) -> Result<ExitCode> {
    let plans = block_on(session::plans(
        gpu,
        graph,
        planner,
        !common.no_tune,
        &mut watch::Planning(common),
    ))?;
    for ((width, height), plan) in planner.sizes.iter().zip(plans) {
        say(&format!("{width}×{height} px: {plan}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
