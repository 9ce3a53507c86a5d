//! Presets: what well-known programs do, in the terms of this one, for fair comparison. Each computes its program's
//! loss, up to rounding, with the network that the program uses; what is left out is said beside it.
//!
//! Two identities make the numbers: the mean of layers' losses times the sum of their weights is their weighted sum;
//! and with G = F·Fᵀ/(HW), both mean(((G − A)/C)²) (Gram matrices over CHW) and mean((G − A)²)/C² (weights over C²)
//! are ‖G − A‖²/C⁴. Programs on pictures in 0..255 have other step sizes, and weights for sums over pixels.

use crate::error::{Error, Result};
use crate::loss::{LayerWeight, LossSettings, Normalization, StyleLoss, Variation};
use crate::nets::{Padding, Pool};
use crate::session::scales::Scales;

/// A program's settings.
#[derive(Clone, Debug)]
pub struct Preset {
    /// As the command line has it.
    pub name: &'static str,
    /// Which program, and what of it is missing.
    pub about: &'static str,
    /// The network that it uses.
    pub network: &'static str,
    /// Layers with weights, for [`LayerWeight::list`].
    pub content_layers: &'static str,
    /// The same.
    pub style_layers: &'static str,
    /// As in [`LossSettings`].
    pub content_weight: f32,
    /// The same.
    pub style_weight: f32,
    /// The same.
    pub tv_weight: f32,
    /// The same.
    pub variation: Variation,
    /// The same.
    pub style_loss: StyleLoss,
    /// The same.
    pub normalization: Normalization,
    /// How maps are halved.
    pub pool: Pool,
    /// Padding of the first convolution.
    pub first_padding: Padding,
    /// `content` or `noise`.
    pub init: &'static str,
    /// `adam` or `lbfgs`.
    pub optimizer: &'static str,
    /// Adam's step size on pictures in 0..1, where the program has one.
    pub lr: Option<f32>,
    /// Whether the result is the average of the iterates (decay 0.99).
    pub average: bool,
    /// Steps at the last scale.
    pub steps: u64,
    /// How many sizes it paints at.
    pub scales: Scales,
}

/// Gatys' layers, loss and optimiser, which most others started from.
const GATYS: Preset = Preset {
    name: "gatys",
    about: "Gatys' notebook at one size; its second run, 200 steps at 800 px, is left out",
    network: "VGG-19 with Caffe's preprocessing",
    content_layers: "relu4_2",
    style_layers: "relu1_1,relu2_1,relu3_1,relu4_1,relu5_1",
    content_weight: 1.0,
    // Five layers at 1e3/C² each.
    style_weight: 5e3,
    tv_weight: 0.0,
    variation: Variation::Squares,
    style_loss: StyleLoss::Gram,
    normalization: Normalization::Absolute,
    pool: Pool::Max,
    first_padding: Padding::Zero,
    init: "content",
    optimizer: "lbfgs",
    lr: None,
    average: false,
    steps: 500,
    scales: Scales::Count(1),
};

/// All presets, in the order in which messages list them.
pub static PRESETS: [Preset; 5] = [
    GATYS,
    Preset {
        name: "neural-style",
        about: "neural-style-pt, pictures in 0..255; it starts from fainter noise",
        content_weight: 5.0,
        // Five layers at 100 each.
        style_weight: 500.0,
        // 1e-3 on differences in 0..255.
        tv_weight: 1e-3 * 255.0,
        variation: Variation::Absolute,
        init: "noise",
        // Adam's 1 in 0..255.
        lr: Some(1.0 / 255.0),
        steps: 1000,
        ..GATYS
    },
    Preset {
        name: "tutorial",
        about: "PyTorch's tutorial on neural transfer",
        network: "torchvision's VGG-19",
        content_layers: "conv2_2",
        style_layers: "conv1_1,conv1_2,conv2_1,conv2_2,conv3_1",
        // Five layers at 1e6 each.
        style_weight: 5e6,
        steps: 300,
        ..GATYS
    },
    Preset {
        name: "crowson",
        about: "Crowson's style-transfer-pytorch; 250 steps at coarse scales, not 500, and 1000 at the first",
        network: "torchvision's VGG-19",
        content_weight: 0.015,
        style_layers: "relu1_1=256,relu2_1=64,relu3_1=16,relu4_1=4,relu5_1=1",
        style_weight: 1.0,
        tv_weight: 2.0,
        variation: Variation::Nine,
        style_loss: StyleLoss::Wasserstein,
        first_padding: Padding::Replicate,
        optimizer: "adam",
        lr: Some(0.02),
        average: true,
        steps: 500,
        scales: Scales::From(128),
        ..GATYS
    },
    Preset {
        name: "gatys-hr",
        about: "Scaling Painting Style Transfer (Galerne et al.); sizes grow by √2 from 128 px, not by 2 from 512",
        style_loss: StyleLoss::MeanStd,
        // At the second of its scales: it takes 600, 200, 66 and 30.
        steps: 200,
        scales: Scales::From(128),
        ..GATYS
    },
];

impl Preset {
    /// The preset of that name.
    ///
    /// # Errors
    /// [`Error::Usage`] with the names that there are.
    pub fn named(name: &str) -> Result<&'static Preset> {
        PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
            let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
            let names = names.join(", ");
            Error::Usage(format!("preset `{name}` is unknown; choose one of {names}"))
        })
    }

    /// The loss.
    ///
    /// # Errors
    /// [`Error::Usage`] when the layers are no list.
    pub fn loss(&self) -> Result<LossSettings> {
        Ok(LossSettings {
            content_layers: LayerWeight::list(self.content_layers)?,
            style_layers: LayerWeight::list(self.style_layers)?,
            style_loss: self.style_loss,
            normalization: self.normalization,
            content_weight: self.content_weight,
            style_weight: self.style_weight,
            tv_weight: self.tv_weight,
            variation: self.variation,
            ..LossSettings::plain()
        })
    }
}
