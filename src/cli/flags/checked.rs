//! What a `stylize` command line says, checked against itself and against the disk.

use std::path::{Path, PathBuf};

use impasto::loss::{LayerWeight, LossSettings, Regions};
use impasto::nets::NetworkSpec;
use impasto::paint::Descent;
use impasto::picture::Format;
use impasto::session::{Finish, Preserve};
use impasto::shape::Wrap;
use impasto::{Error, Result};

use super::look::Look;
use super::outputs::Outputs;
use crate::cli::file;
use crate::cli::output::{beside, told};

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

/// Weights of octaves, the full size first.
fn octave_weights(flag: &str, list: &str) -> Result<Vec<f32>> {
    let weight = |text: &str| text.trim().parse().ok().filter(|w: &f32| w.is_finite() && *w >= 0.0);
    let weights: Option<Vec<f32>> = list.split(',').map(weight).collect();
    let counts = weights.filter(|weights| weights.iter().any(|weight| *weight > 0.0));
    counts.ok_or_else(|| {
        Error::Usage(format!(
            "{flag} {list}: write numbers from 0 up, at least one above, such as 2,1,1"
        ))
    })
}

/// The result's file.
fn output(args: &Look, outputs: &Outputs, style: &Path) -> PathBuf {
    let usual = || {
        let stem = style.file_stem().unwrap_or_default().to_string_lossy();
        beside(&args.content.with_extension("png"), &stem)
    };
    match &outputs.output {
        None => usual(),
        Some(folder) if outputs.is_folder || folder.is_dir() => {
            folder.join(usual().file_name().unwrap_or_default())
        }
        Some(file) => file.clone(),
    }
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

/// That nothing is asked of neighbours that only moments have.
fn check_neighbours(args: &Look, descent: &Descent) -> Result<()> {
    if !args.style_loss.is_by_place() {
        return Ok(());
    }
    let wrong = |what: &str| Err(Error::Usage(format!("--style-loss neighbours: {what}")));
    let weighted = |layers: &[LayerWeight]| layers.iter().any(|layer| layer.weight != 1.0);
    match () {
        () if weighted(&layers("--style-layers", &args.style_layers)?) => {
            wrong("all of its layers count alike: leave the weights out of --style-layers")
        }
        () if args.octaves.weights(vec![1.0]).len() > 1 => wrong(
            "it begins with small pictures, and knows no octaves: leave --octaves out, or give 1",
        ),
        () if descent.by_pieces().is_none() => wrong(
            "neighbours change while it paints, which lbfgs can't follow: leave --optimizer out, or give adam",
        ),
        () if args.seamless != Wrap::None => wrong(
            "its places do not go around edges: leave --seamless out, or take another --style-loss",
        ),
        () => Ok(()),
    }
}

/// What the command line says, checked against itself.
pub struct Settings {
    pub styles: Vec<(PathBuf, f32)>,
    pub output: PathBuf,
    pub format: Format,
    pub loss: LossSettings,
    pub descent: Descent,
    pub finish: Finish,
}

impl Settings {
    /// Checks the flags against each other.
    ///
    /// # Errors
    /// [`Error::Usage`] with the flags that do not go together.
    pub fn check(args: &Look, outputs: &Outputs) -> Result<Self> {
        let styles = args.style.iter().map(|s| style(s)).collect::<Result<Vec<_>>>()?;
        if styles.iter().all(|(_, weight)| *weight == 0.0) {
            return Err(Error::Usage("--style: at least one style needs a weight above 0".into()));
        }
        Regions::pairs(args.mask.len(), args.style_mask.len(), styles.len())?;
        let output = output(args, outputs, &styles[0].0);
        let given = octave_weights("--octave-weights", &args.octave_weights)?;
        let by_place = args.style_loss.is_by_place();
        let style_octaves = if by_place { vec![1.0] } else { args.octaves.weights(given) };
        let mut content_octaves = octave_weights("--content-octaves", &args.content_octaves)?;
        content_octaves.truncate(style_octaves.len());
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
            style_octaves,
            content_octaves,
            splits: false,
        };
        let finish = match finish(args.preserve_color, args.color_only)? {
            // The photograph has its own colours already, and taking them apart would round them.
            _ if args.strength == 0.0 => Finish::Painting,
            finish => finish,
        };
        let (format, descent) = (Format::from_path(&output)?, args.descent.check()?);
        check_neighbours(args, &descent)?;
        // auto is adam here.
        let descent =
            descent.by_pieces().filter(|_| args.style_loss.is_by_place()).unwrap_or(descent);
        if outputs.memory.tile.is_some() && descent.by_pieces().is_none() {
            let what =
                "--tile: --optimizer lbfgs moves all pixels at once; add --optimizer auto or adam";
            return Err(Error::Usage(what.into()));
        }
        if outputs.memory.tile.is_some() && args.seamless != Wrap::None {
            let what = "--seamless needs the whole picture on the GPU, and --tile cuts it: leave one of them out";
            return Err(Error::Usage(what.into()));
        }
        Ok(Settings { styles, output, format, loss, descent, finish })
    }

    /// The files that are read beside the photograph.
    pub fn companions<'a>(&'a self, args: &'a Look) -> impl Iterator<Item = &'a Path> {
        self.inputs(args).skip(1)
    }

    /// The picture files that are read, the photograph first.
    fn inputs<'a>(&'a self, args: &'a Look) -> impl Iterator<Item = &'a Path> {
        let styles = self.styles.iter().map(|(path, _)| path.as_path());
        let network = match &args.network {
            NetworkSpec::File(path) => Some(path.as_path()),
            _ => None,
        };
        let masks = args.mask.iter().chain(&args.style_mask).map(PathBuf::as_path);
        let pictures = [args.content.as_path()].into_iter().chain(styles).chain(masks);
        pictures.chain(args.init_file()).chain(network)
    }

    /// That every file that will be written can be, and is none that is read.
    pub fn check_outputs(&self, args: &Look, outputs: &Outputs) -> Result<()> {
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
