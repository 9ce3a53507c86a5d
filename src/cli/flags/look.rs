//! The flags of `impasto stylize` that shape pixels, and which values they take.

use std::path::{Path, PathBuf};

use clap::Args;
use impasto::Result;
use impasto::loss::{LossSettings, Normalization, Octaves, StyleLoss, Variation};
use impasto::nets::{NetworkSpec, Padding, Pool, Preprocess};
use impasto::session::{Preserve, Preset, Scales};
use impasto::shape::{Precision, Wrap};

use super::descent::DescentArgs;
use super::size::Size;

/// What shapes the pixels. Every flag here is a setting: it is written into the result, and taken from there by
/// `--settings-from`. The rest are [`Outputs`](super::outputs::Outputs).
#[derive(Args, Clone, Debug)]
pub struct Look {
    /// The photograph: JPEG, PNG, WebP, TIFF, BMP or GIF. Several are painted one after the other
    pub content: PathBuf,
    /// A painting, and how much it counts beside the others; may be given several times
    #[arg(long, value_name = "FILE[=WEIGHT]", required = true)]
    pub style: Vec<String>,
    /// The settings of another program, for the flags that are not given: gatys, neural-style, tutorial, crowson or
    /// gatys-hr
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Long side of the result in pixels; 0 = the content's own size. Or a size in print, such as 90x60cm@300dpi or
    /// 36in@300dpi: as large as fits in it
    #[arg(long, value_name = "PX|PRINT", default_value_t = Size::Long(512))]
    pub size: Size,
    /// Long side of the paintings [default: as the result]; 0 = their own size
    #[arg(long, value_name = "PX")]
    pub style_size: Option<u32>,
    /// Steps of gradient descent at the last scale; 0 = only the initial picture. More steps are not more style: that
    /// is --style-weight [default: 50, with one octave 60, with adam 100]
    #[arg(long)]
    pub steps: Option<u64>,
    /// Sizes to paint at, from coarse to fine, each √2 times the one before: auto (from 184 to 256 px), a size to start
    /// from such as 128px, or a number; 1 = only the size asked for
    #[arg(long, value_name = "auto|N|Npx", default_value_t = Scales::Auto)]
    pub scales: Scales,
    /// Paint so many pixels more on every side, such as 8, and cut them off in the end: what a network sees at its edges
    /// looks like a thin frame
    #[arg(long, value_name = "PX", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=256))]
    pub margin: u32,
    /// The result tiles without a seam: x from left to right, y from top to bottom, both if nothing is said. Such sides are
    /// rounded to what the network halves
    #[arg(long, value_name = "x|y|both", num_args = 0..=1, default_missing_value = Wrap::Both.name())]
    #[arg(default_value_t = Wrap::None)]
    pub seamless: Wrap,
    /// default, random:vgg19[/K] or FILE.safetensors
    #[arg(long, default_value = "default", help_heading = "Look")]
    pub network: NetworkSpec,
    /// How much the result follows the content
    #[arg(long, value_name = "W", default_value_t = LossSettings::CONTENT_WEIGHT)]
    #[arg(value_parser = weight, allow_negative_numbers = true, help_heading = "Look")]
    pub content_weight: f32,
    /// How much it follows the style
    #[arg(long, value_name = "W", default_value_t = LossSettings::STYLE_WEIGHT)]
    #[arg(value_parser = weight, allow_negative_numbers = true, help_heading = "Look")]
    pub style_weight: f32,
    /// Smoother paint: 200 is clearly smoother, 20 hardly. Edges blur with it
    #[arg(long, value_name = "W", default_value_t = LossSettings::TV_WEIGHT)]
    #[arg(value_parser = weight, allow_negative_numbers = true, help_heading = "Look")]
    pub tv_weight: f32,
    /// Which differences --tv-weight counts: squares (their mean), absolute (the sum of their values) or nine (squares,
    /// with those across corners)
    #[arg(long, value_name = "NAME", default_value_t = Variation::Squares, help_heading = "Look")]
    pub tv_kind: Variation,
    /// How much it keeps the content's edges, such as those of faces and letters
    #[arg(long, value_name = "W", default_value_t = LossSettings::DETAIL_WEIGHT)]
    #[arg(value_parser = weight, allow_negative_numbers = true, help_heading = "Look")]
    pub detail: f32,
    /// How far to go from the photograph to the look that the other settings give: 0 = not at all, 1 = all the way
    #[arg(long, value_name = "0..1", default_value_t = 1.0)]
    #[arg(value_parser = strength, allow_negative_numbers = true, help_heading = "Look")]
    pub strength: f32,
    /// Layers that carry the content, with weights
    #[arg(long, value_name = "LAYER[=W],…", default_value = LossSettings::CONTENT_LAYERS, help_heading = "Look")]
    pub content_layers: String,
    /// Layers that carry the style, with weights
    #[arg(
        long,
        value_name = "LAYER[=W],…",
        default_value = LossSettings::STYLE_LAYERS,
        help_heading = "Look"
    )]
    pub style_layers: String,
    /// Sizes at which the style is compared, each half the one before: at the smaller ones the network sees the painting's
    /// large shapes. auto (three, where the picture is large enough) or a number; 1 = only the full size
    #[arg(long, value_name = "auto|N", default_value_t = Octaves::Auto, help_heading = "Look")]
    pub octaves: Octaves,
    /// How much the style counts at each of them, the full size first; the last counts for all that follow
    #[arg(long, value_name = "W,…", default_value = "2,1,1", help_heading = "Look")]
    pub octave_weights: String,
    /// How much the content counts at each of them
    #[arg(long, value_name = "W,…", default_value = "1", help_heading = "Look")]
    pub content_octaves: String,
    /// How styles are compared: gram, mean-std (Gram matrices, means and deviations), wasserstein, or neighbours (place by
    /// place: another method, with its own --lr, --steps, --scales and --margin)
    #[arg(long, value_name = "NAME", default_value_t = StyleLoss::Gram, help_heading = "Look")]
    pub style_loss: StyleLoss,
    /// What a layer's losses are divided by: relative (to the target's size) or absolute (as in other programs)
    #[arg(long, value_name = "NAME", default_value_t = Normalization::Relative, help_heading = "Look")]
    pub normalization: Normalization,
    /// Where to start: content, noise, style (the first painting) or a picture
    #[arg(
        long,
        value_name = "content|noise|style|FILE",
        default_value = "content",
        help_heading = "Look"
    )]
    pub init: String,
    /// max or avg: overrides the network's pooling
    #[arg(long, help_heading = "Look")]
    pub pool: Option<Pool>,
    /// zero, reflect or replicate: how the first convolution sees past the edge [default: as the network's others]
    #[arg(long, value_name = "NAME", help_heading = "Look")]
    pub first_padding: Option<Padding>,
    /// Paint only where this picture is white; of several, each is painted in the --style of the same number
    #[arg(long, value_name = "FILE", help_heading = "Look")]
    pub mask: Vec<PathBuf>,
    /// Paint like the part of a painting that is white in this picture; one for each --style, in the same order
    #[arg(long, value_name = "FILE", help_heading = "Look")]
    pub style_mask: Vec<PathBuf>,
    /// Keep the content's colours: luma paints only light and dark; histogram first gives the paintings the mean and the
    /// spread of the content's colours
    #[arg(
        long,
        value_name = "luma|histogram|none",
        default_value_t = Preserve::None,
        help_heading = "Look"
    )]
    pub preserve_color: Preserve,
    /// Keep the content's light and dark, and take only the painting's colours
    #[arg(long, help_heading = "Look")]
    pub color_only: bool,
    /// How the network's maps are stored: f32, or f16 for half the memory where the adapter can
    #[arg(long, value_name = "f32|f16", default_value_t = Precision::F32, help_heading = "Look")]
    pub precision: Precision,
    /// Seed of noise and random networks
    #[arg(long, default_value_t = 0, help_heading = "Look")]
    pub seed: u64,
    /// caffe, torchvision or none: overrides what the network's file says or its names imply
    #[arg(long, help_heading = "Look")]
    pub preprocess: Option<Preprocess>,
    #[command(flatten)]
    pub descent: DescentArgs,
}

impl Look {
    /// The margin on the left and the right, and above and below: edges that meet have none.
    pub fn margins(&self) -> (u32, u32) {
        let of = |meets| if meets { 0 } else { self.margin };
        (of(self.seamless.x()), of(self.seamless.y()))
    }

    /// The picture to start from, where it is a file.
    pub fn init_file(&self) -> Option<&Path> {
        match self.init.as_str() {
            "content" | "noise" | "style" => None,
            file => Some(Path::new(file)),
        }
    }

    /// The preset that was named.
    ///
    /// # Errors
    /// [`impasto::Error::Usage`] when there is none of that name.
    pub fn preset(&self) -> Result<Option<&'static Preset>> {
        self.preset.as_deref().map(Preset::named).transpose()
    }
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
