//! The files of a `stylize` command: read and checked before the GPU is opened, resampled after.

use std::path::{Path, PathBuf};

use impasto::loss::{LossSettings, Mask, Regions};
use impasto::nets::{Graph, Layer, Network, NetworkSpec};
use impasto::paint::Start;
use impasto::picture::{MAX_PIXELS, MAX_SIDE, Metadata, Picture, probe};
use impasto::session::{Finish, Planner, Scales, Scene};
use impasto::shape::Wrap;
use impasto::{Error, Result};

use super::flags::{Look, Outputs, Settings, Size};
use super::inputs::Inputs;

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
    network.truncated(&loss.taps()).map_err(|error| match (error, args.preset()) {
        (Error::Network { name, what }, Ok(Some(preset))) => {
            let what = format!("{what}; preset {} is for {}", preset.name, preset.network);
            Error::Network { name, what }
        }
        (error, _) => error,
    })
}

/// The size that a picture is wanted at, and for what loss.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    size: Size,
    /// Its edges that meet.
    wrap: Wrap,
    loss: &'a LossSettings,
}

/// A decoded picture, and the size that it is wanted at.
pub struct Input {
    picture: Picture,
    pub size: (u32, u32),
    wrap: Wrap,
}

impl Input {
    /// Reads a picture that is wanted with that long side (0: its own). What its header says is
    /// checked before a pixel is decoded.
    fn read(
        path: &Path,
        bytes: &[u8],
        wanted: Wanted<'_>,
        flag: &str,
        most: u32,
        network: &Network,
    ) -> Result<Self> {
        let name = path.display().to_string();
        let own = probe(bytes, &name)?;
        let Wanted { size, wrap, loss } = wanted;
        let size = size.of(own);
        let size = wrap.rounded(size, step(network, loss, (size, wrap)));
        let (width, height) = size;
        if width.max(height) > most || u64::from(width) * u64::from(height) > MAX_PIXELS {
            return Err(Error::Usage(format!(
                "{flag}: a picture of {width}×{height} px is too large: at most {most} px on a side and \
                 {} megapixels in all",
                MAX_PIXELS / 1_000_000
            )));
        }
        network.check_size(width, height, network.layers.len())?;
        Ok(Input { picture: Picture::decode(bytes, &name)?, size, wrap })
    }

    /// The picture at that size.
    fn fitted(self) -> Picture {
        let Input { picture, size, wrap } = self;
        let picture = picture.joined(wrap);
        if picture.size() == size {
            return picture;
        }
        picture.resized_around(size.0, size.1, wrap)
    }
}

/// Pixels of a picture that the network halves to one at the coarsest octave, of those that are left once its sides are multiples
/// of them: as many octaves as see [`LossSettings::LEAST_SIDE`] of such pixels.
fn step(network: &Network, loss: &LossSettings, (size, wrap): ((u32, u32), Wrap)) -> u32 {
    let pools = network.layers.iter().filter(|layer| matches!(layer, Layer::Pool { .. })).count();
    let steps = (0..loss.octaves()).rev().map(|octave| 1 << (pools + octave));
    let sees = |step: &u32| {
        let (width, height) = wrap.rounded(size, *step);
        width.min(height) / step >= LossSettings::LEAST_SIDE as u32
    };
    steps.into_iter().find(sees).unwrap_or(1 << pools)
}

/// All files that are read, decoded and checked; nothing is resampled yet.
pub struct Read {
    pub content: Input,
    styles: Vec<(Input, f32)>,
    init: Option<Picture>,
    regions: Regions,
}

impl Read {
    /// Reads what the settings name; the network, too.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn all(args: &Look, settings: &Settings, inputs: &Inputs) -> Result<(Network, Self)> {
        let network = network(args, &settings.loss, inputs)?;
        let most = settings.format.max_side().min(MAX_SIDE);
        let input = |path: &Path, size, flag, most| {
            Input::read(path, &inputs.read(path)?, size, flag, most, &network)
        };
        let wanted = Wanted { size: args.size, wrap: args.seamless, loss: &settings.loss };
        let content = input(&args.content, wanted, "--size", most)?;
        let style_size = match args.style_size {
            Some(0) => Size::Own,
            Some(side) => Size::Long(side),
            None => Size::Long(content.size.0.max(content.size.1)),
        };
        let style_size = Wanted { size: style_size, wrap: Wrap::None, ..wanted };
        let style = |(path, weight): &(PathBuf, f32)| {
            Ok((input(path, style_size, "--style-size", MAX_SIDE)?, *weight))
        };
        let styles = settings.styles.iter().map(style).collect::<Result<Vec<_>>>()?;
        let decode =
            |path: &Path| Picture::decode(&inputs.read(path)?, &path.display().to_string());
        let init = args.init_file().map(decode).transpose()?;
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
        Ok((network, Read { content, styles, init, regions }))
    }

    /// What is painted at which sizes, for as much memory as there may be.
    pub fn planner(
        &self,
        network: &Network,
        scales: Scales,
        settings: &Settings,
        outputs: &Outputs,
        margins: (u32, u32),
    ) -> Planner {
        let (width, height) = self.content.size;
        let size = (width + 2 * margins.0, height + 2 * margins.1);
        let styles: Vec<_> = self.styles.iter().map(|(style, _)| style.size).collect();
        let planner = Planner {
            masks: self.regions.content.len(),
            least_share: self.regions.least_share(),
            descent: settings.descent,
            tile: outputs.memory.tile.map(|tile| tile as usize),
            ..Planner::new(network, scales, size, styles, settings.loss.clone())
        };
        let (size, wrap) = (self.content.size, self.content.wrap);
        planner.wrapped(wrap, step(network, &settings.loss, (size, wrap)))
    }

    /// The content's size had its edges met nowhere, where that is another.
    pub fn rounded_from(&self, args: &Look) -> Option<(u32, u32)> {
        let plain = args.size.of(self.content.picture.size());
        (plain != self.content.size).then_some(plain)
    }

    /// The pictures at their sizes, in the content's colour space; and where painting starts.
    pub fn scene(self, args: &Look, finish: Finish) -> (Scene, Start) {
        let mut content = self.content.fitted();
        if let Some(dpi) = args.size.dpi() {
            let metadata = Metadata { dpi: Some(dpi), ..content.metadata().clone() };
            content = content.with_metadata(metadata);
        }
        let prepared = |style: Input| {
            args.preserve_color.style(style.fitted().into_space_of(&content), &content)
        };
        let styles: Vec<_> =
            self.styles.into_iter().map(|(style, weight)| (prepared(style), weight)).collect();
        let (wrap, margins) = (args.seamless, args.margins());
        let start = match (args.init.as_str(), self.init) {
            (_, Some(own)) => {
                // In its own size, so that it is resampled once: at the first scale.
                let own = own.into_space_of(&content).joined(wrap);
                let share = |margin, own, of| (margin * own + of / 2) / of;
                let [(w, h), (width, height)] = [own.size(), content.size()];
                let border = (share(margins.0, w, width), share(margins.1, h, height));
                Start::Picture(Box::new(own.with_border(border)))
            }
            ("noise", None) => Start::Noise(args.seed),
            ("style", None) => Start::Picture(Box::new(styles[0].0.clone().joined(wrap))),
            _ => Start::Content,
        };
        let sizes = styles.iter().map(|(style, _)| style.size());
        let regions = self.regions.resized((content.size(), wrap), sizes);
        let scene = Scene { regions, finish, ..Scene::new(content, styles) };
        (scene.with_margin(margins), start)
    }
}

/// That every mask leaves something for the network to see, at every size that is painted.
///
/// # Errors
/// [`Error::File`] with the mask that does not.
pub fn check_masks(args: &Look, graph: &Graph, read: &Read, planner: &Planner) -> Result<()> {
    let of_styles = graph.clone().with_wrap(Wrap::None);
    let check = |graph: &Graph, path: &Path, mask: &Mask, (size, scale)| {
        let taps = planner.loss_at(graph, scale).style_taps();
        let taps: Vec<&str> = taps.iter().map(|tap| tap.layer.as_str()).collect();
        mask.check(graph, &taps, size)
            .map_err(|e| Error::File { path: path.display().to_string(), what: e.to_string() })
    };
    for (scale, size) in planner.sizes.iter().enumerate() {
        for (path, mask) in args.mask.iter().zip(&read.regions.content) {
            check(graph, path, mask, (*size, scale))?;
        }
        let styles = args.style_mask.iter().zip(&read.regions.style).zip(planner.styles_at(scale));
        for ((path, mask), size) in styles {
            check(&of_styles, path, mask, (size, scale))?;
        }
    }
    Ok(())
}
