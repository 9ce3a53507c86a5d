//! From the picture's RGB in 0..1 to what a network was trained on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The order of channels and one affine map per channel:
/// `input[c] = rgb[order[c]] * scale[c] + offset[c]`, where `rgb` is the sRGB-coded picture in 0..1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preprocess {
    /// For each input channel, the picture's channel (0 red, 1 green, 2 blue); a permutation.
    pub order: [usize; 3],
    /// Factors, in the network's channel order.
    pub scale: [f32; 3],
    /// Offsets, in the network's channel order.
    pub offset: [f32; 3],
}

/// The names, in the order in which messages list them.
const NAMED: [(&str, Preprocess); 3] = [
    ("caffe", Preprocess::caffe()),
    ("torchvision", Preprocess::torchvision()),
    ("none", Preprocess::none()),
];

impl Preprocess {
    /// Oxford's, Caffe's and Keras' VGG: BGR in 0..255 minus (103.939, 116.779, 123.68).
    pub const fn caffe() -> Self {
        Self { order: [2, 1, 0], scale: [255.0; 3], offset: [-103.939, -116.779, -123.68] }
    }

    /// torchvision's and timm's VGG: RGB minus (0.485, 0.456, 0.406), over (0.229, 0.224, 0.225).
    pub const fn torchvision() -> Self {
        Self {
            order: [0, 1, 2],
            scale: [1.0 / 0.229, 1.0 / 0.224, 1.0 / 0.225],
            offset: [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225],
        }
    }

    /// RGB in 0..1, as it is.
    pub const fn none() -> Self {
        Self { order: [0, 1, 2], scale: [1.0; 3], offset: [0.0; 3] }
    }

    /// `caffe`, `torchvision` or `none`, where it is one of them.
    pub fn name(&self) -> Option<&'static str> {
        NAMED.iter().find(|(_, p)| p == self).map(|(name, _)| *name)
    }

    /// The value of `impasto.preprocess`: a name, or the explicit form as JSON.
    pub(super) fn to_metadata(self) -> Result<String, String> {
        self.check()?;
        if let Some(name) = self.name() {
            return Ok(name.to_owned());
        }
        let explicit = Explicit {
            order: self.order.iter().map(|&c| CHANNELS[c]).collect(),
            scale: self.scale,
            offset: self.offset,
        };
        serde_json::to_string(&explicit).map_err(|e| e.to_string())
    }

    /// Reads what [`Preprocess::to_metadata`] writes.
    pub(super) fn from_metadata(value: &str) -> Result<Self, String> {
        if !value.trim_start().starts_with('{') {
            return named(value);
        }
        let explicit: Explicit = serde_json::from_str(value).map_err(|e| {
            format!("`{value}` is no explicit preprocessing: {e}; write it as {FORM}")
        })?;
        let letters: Vec<Option<usize>> = explicit
            .order
            .chars()
            .map(|letter| CHANNELS.iter().position(|&c| c == letter))
            .collect();
        let &[Some(a), Some(b), Some(c)] = letters.as_slice() else {
            return Err(format!(
                "the order `{}` is none of the letters r, g, b; write it as {FORM}",
                explicit.order
            ));
        };
        let preprocess = Self { order: [a, b, c], scale: explicit.scale, offset: explicit.offset };
        preprocess.check()?;
        Ok(preprocess)
    }

    /// That every channel is used once and every number is usable.
    pub(super) fn check(&self) -> Result<(), String> {
        if !(0..3).all(|channel| self.order.contains(&channel)) {
            return Err(format!(
                "the preprocessing's channel order {:?} must name each of r, g and b once",
                self.order
            ));
        }
        let usable = |scale: &f32| scale.is_finite() && *scale != 0.0;
        if self.scale.iter().all(usable) && self.offset.iter().all(|o| o.is_finite()) {
            return Ok(());
        }
        Err(format!(
            "the preprocessing's scale {:?} must be finite and not zero, its offset {:?} finite",
            self.scale, self.offset
        ))
    }
}

/// The picture's channels by letter.
const CHANNELS: [char; 3] = ['r', 'g', 'b'];

/// How the explicit form looks.
const FORM: &str = r#"{"order":"bgr","scale":[255,255,255],"offset":[-103.939,-116.779,-123.68]}"#;

/// The explicit form of `impasto.preprocess`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Explicit {
    order: String,
    scale: [f32; 3],
    offset: [f32; 3],
}

/// The preprocessing called `name`.
fn named(name: &str) -> Result<Preprocess, String> {
    NAMED.iter().find(|(known, _)| *known == name).map(|(_, preprocess)| *preprocess).ok_or_else(
        || format!("unknown preprocessing `{name}`; choose `caffe`, `torchvision` or `none`"),
    )
}

/// Reads `caffe`, `torchvision` or `none` from the command line.
impl FromStr for Preprocess {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        named(name).map_err(Error::Usage)
    }
}

/// The name, or the explicit numbers.
impl fmt::Display for Preprocess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(
                f,
                "order {:?}, scale {:?}, offset {:?}",
                self.order, self.scale, self.offset
            ),
        }
    }
}

/// Why a network has the preprocessing it has; the first that applies, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreprocessSource {
    /// The caller said so.
    Given,
    /// The file's metadata says so.
    Metadata,
    /// Nobody says so: it goes with the style of the tensors' names.
    Names,
    /// The network was made here, for this input.
    Random,
}

impl fmt::Display for PreprocessSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Given => "given",
            Self::Metadata => "stated by the file's metadata",
            Self::Names => "guessed from the tensors' names",
            Self::Random => "the one random networks are made for",
        })
    }
}
