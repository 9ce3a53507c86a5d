//! What is wanted of a picture: layers, weights, and by what styles are compared.

use std::str::FromStr;

use crate::error::{Error, Knob, Result};
use crate::loss::style::{Normalization, StyleLoss};
use crate::ops::Variation;

/// Why a loss that depends on nothing moves no picture.
pub(crate) fn nothing_to_move() -> Error {
    let [content, style, tv] = [Knob::ContentWeight, Knob::StyleWeight, Knob::TvWeight];
    Error::Usage(format!(
        "nothing would move the picture: one of {content}, {style} and {tv} must be above 0, and a layer's weight too"
    ))
}

/// A layer and how much it counts beside the others.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerWeight {
    /// Such as `relu3_1`.
    pub layer: String,
    /// At least 0.
    pub weight: f32,
}

/// `relu3_1` or `relu3_1=0.5`.
impl FromStr for LayerWeight {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (layer, weight) = text.split_once('=').unwrap_or((text, "1"));
        let weight: f32 = weight.parse().unwrap_or(f32::NAN);
        if layer.is_empty() || !weight.is_finite() || weight < 0.0 {
            return Err(Error::Usage(format!(
                "`{text}` is no layer with a weight; write it like relu3_1 or relu3_1=0.5"
            )));
        }
        Ok(LayerWeight { layer: layer.into(), weight })
    }
}

impl LayerWeight {
    /// Reads a list such as `relu1_1,relu2_1=0.5`.
    ///
    /// # Errors
    /// [`Error::Usage`] with the part that is no layer.
    pub fn list(text: &str) -> Result<Vec<Self>> {
        text.split(',').map(|layer| layer.trim().parse()).collect()
    }
}

/// The layers' names.
pub(crate) fn taps(layers: &[LayerWeight]) -> Vec<&str> {
    layers.iter().map(|layer| layer.layer.as_str()).collect()
}

/// What is wanted of the picture.
#[derive(Clone, Debug)]
pub struct LossSettings {
    /// Layers whose features follow the content picture.
    pub content_layers: Vec<LayerWeight>,
    /// Layers whose features resemble the style pictures'.
    pub style_layers: Vec<LayerWeight>,
    /// By what they are compared.
    pub style_loss: StyleLoss,
    /// What the layers' losses are divided by.
    pub normalization: Normalization,
    /// Factor of the content loss.
    pub content_weight: f32,
    /// Factor of the style loss.
    pub style_weight: f32,
    /// Factor of the total variation.
    pub tv_weight: f32,
    /// What it sums.
    pub variation: Variation,
    /// Factor of what keeps the content's edges.
    pub detail_weight: f32,
    /// How far from the content's own style to the styles', from 0 to 1.
    pub strength: f32,
}

impl LossSettings {
    /// Where content is read by default; every VGG has it.
    pub const CONTENT_LAYERS: &str = "relu3_3";
    /// Where style is read by default.
    pub const STYLE_LAYERS: &str = "relu1_1,relu2_1,relu3_1,relu4_1";
    /// The default factor of the content loss.
    pub const CONTENT_WEIGHT: f32 = 1.0;
    /// The default factor of the style loss.
    pub const STYLE_WEIGHT: f32 = 100.0;
    /// The default factor of the total variation.
    pub const TV_WEIGHT: f32 = 2.0;

    /// Layers that count: those with a weight above 0.
    pub(crate) fn counted(layers: &[LayerWeight]) -> Vec<LayerWeight> {
        layers.iter().filter(|l| l.weight > 0.0).cloned().collect()
    }

    /// The layers that count.
    pub(crate) fn counted_taps(&self) -> Vec<&str> {
        let layers = self.content_layers.iter().chain(&self.style_layers);
        layers.filter(|l| l.weight > 0.0).map(|l| l.layer.as_str()).collect()
    }

    /// The content and the style layers that count.
    pub(crate) fn counted_layers(&self) -> (Vec<LayerWeight>, Vec<LayerWeight>) {
        (Self::counted(&self.content_layers), Self::counted(&self.style_layers))
    }

    /// The weights of content, style and total variation.
    pub(crate) fn weights(&self) -> [f32; 3] {
        [self.content_weight, self.style_weight, self.strength * self.tv_weight]
    }

    /// Whether the content's own style is part of the target.
    pub(crate) fn keeps_own_style(&self) -> bool {
        self.strength < 1.0
    }

    /// The style layers that count.
    pub fn style_taps(&self) -> Vec<&str> {
        let layers = self.style_layers.iter().filter(|l| l.weight > 0.0);
        layers.map(|l| l.layer.as_str()).collect()
    }

    /// Every layer that is read.
    pub fn taps(&self) -> Vec<String> {
        let layers = self.content_layers.iter().chain(&self.style_layers);
        layers.map(|l| l.layer.clone()).collect()
    }
}

impl Default for LossSettings {
    fn default() -> Self {
        let layers = |list| LayerWeight::list(list).unwrap_or_default();
        LossSettings {
            content_layers: layers(Self::CONTENT_LAYERS),
            style_layers: layers(Self::STYLE_LAYERS),
            style_loss: StyleLoss::default(),
            normalization: Normalization::default(),
            content_weight: Self::CONTENT_WEIGHT,
            style_weight: Self::STYLE_WEIGHT,
            tv_weight: Self::TV_WEIGHT,
            variation: Variation::default(),
            detail_weight: 0.0,
            strength: 1.0,
        }
    }
}
