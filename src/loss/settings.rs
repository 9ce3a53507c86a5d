//! What is wanted of a picture: layers, weights, and by what styles are compared.

use std::str::FromStr;

use crate::error::{Error, Knob, Result};
use crate::loss::neighbours;
use crate::loss::style::{Normalization, StyleLoss};
use crate::nets::{Graph, Reach, octave};
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
        // What stands behind an @ is an octave (`nets::octave`), and not for lists of layers to say.
        if layer.is_empty() || layer.contains('@') || !weight.is_finite() || weight < 0.0 {
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

/// Layers that count at octaves that do.
fn at_octaves(layers: &[LayerWeight], octaves: &[f32]) -> Vec<LayerWeight> {
    let counted = octaves.iter().enumerate().flat_map(|(octave, factor)| {
        layers.iter().map(move |LayerWeight { layer, weight }| LayerWeight {
            layer: octave::tap(layer, octave),
            weight: weight * factor,
        })
    });
    counted.filter(|layer| layer.weight > 0.0).collect()
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
    /// How much the style counts at every octave of the picture, its full size first (`nets::octave`); at least one.
    pub style_octaves: Vec<f32>,
    /// The same for the content.
    pub content_octaves: Vec<f32>,
    /// Neighbours are looked for by every layer alone, in every step: the last part of a painting by them.
    pub splits: bool,
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
    /// The default factor of what keeps the content's edges.
    pub const DETAIL_WEIGHT: f32 = 0.3;
    /// How much the style counts at each octave by default (docs/OPTIMISERS.md, "Octaves").
    pub const STYLE_OCTAVES: [f32; 3] = [2.0, 1.0, 1.0];

    /// Pixels of a map across and down that are enough for its statistics at an octave; 32 px of the picture at `relu4_1`.
    pub const LEAST_SIDE: usize = 4;

    /// As Gatys et al. have it: the picture's full size alone, and no detail; with this program's layers and weights.
    #[must_use]
    pub fn plain() -> Self {
        LossSettings { detail_weight: 0.0, style_octaves: vec![1.0], ..Self::default() }
    }

    /// Neighbours alone ([`neighbours`]): as Kolkin et al. have it, nothing else is wanted of the picture.
    #[must_use]
    pub fn neighbours() -> Self {
        LossSettings {
            style_loss: StyleLoss::Neighbours,
            style_layers: LayerWeight::list(neighbours::LAYERS).unwrap_or_default(),
            content_weight: 0.0,
            tv_weight: 0.0,
            ..Self::plain()
        }
    }

    /// The content layers that count, at every octave.
    pub fn content_taps(&self) -> Vec<LayerWeight> {
        at_octaves(&self.content_layers, &self.content_octaves)
    }

    /// The style layers that count, at every octave.
    pub fn style_taps(&self) -> Vec<LayerWeight> {
        at_octaves(&self.style_layers, &self.style_octaves)
    }

    /// How far the network looks to see all that counts.
    pub fn reach(&self, graph: &Graph) -> Reach {
        let (content, style) = (self.content_taps(), self.style_taps());
        graph.reach(&taps(&content)).and(graph.reach(&taps(&style)))
    }

    /// The same where a picture of `size` is cut into tiles: the places that are compared are cut with it.
    pub fn tile_reach(&self, graph: &Graph, size: (u32, u32)) -> Reach {
        let reach = self.reach(graph);
        if !self.style_loss.is_by_place() {
            return reach;
        }
        neighbours::reach(reach, neighbours::grid(size, self.splits))
    }

    /// The same where styles of these sizes are measured in tiles.
    pub(crate) fn style_reach(&self, graph: &Graph, sizes: &[(u32, u32)]) -> Reach {
        let reach = graph.reach(&taps(&self.style_taps()));
        if !self.style_loss.is_by_place() {
            return reach;
        }
        // They are looked at upright, too, whose cells are as large.
        let grids = sizes.iter().map(|size| neighbours::style_grid(*size));
        grids.fold(reach, |all, grid| all.and(neighbours::reach(reach, grid)))
    }

    /// That a picture of `size` whose edges meet where those of `graph` do has no seam there: its sides must be multiples of the
    /// loss' stride.
    ///
    /// # Errors
    /// [`Error::Usage`] with the sides that would.
    pub fn check_wrap(&self, graph: &Graph, size: (u32, u32)) -> Result<()> {
        let stride = self.reach(graph).stride as u32;
        let rounded = graph.wrap().rounded(size, stride);
        if rounded == size {
            return Ok(());
        }
        let ((width, height), (near_width, near_height)) = (size, rounded);
        Err(Error::Usage(format!(
            "{}: the network takes steps of {stride} px, so a picture of {width}×{height} px would have a seam: take \
             {near_width}×{near_height} px",
            Knob::Seamless
        )))
    }

    /// The same with at most so many octaves, one or more. Where only those counted that are left out, the coarsest that
    /// stays takes their place: the loss would have no style, or no content.
    #[must_use]
    pub fn with_octaves(&self, most: usize) -> Self {
        let cut = |weights: &[f32]| {
            let mut kept = weights[..weights.len().min(most)].to_vec();
            if let Some(last) = kept.last_mut().filter(|_| weights.len() > most)
                && weights[..most].iter().all(|weight| *weight == 0.0)
            {
                *last = 1.0;
            }
            kept
        };
        let (style, content) = (cut(&self.style_octaves), cut(&self.content_octaves));
        LossSettings { style_octaves: style, content_octaves: content, ..self.clone() }
    }

    /// The same without the octaves that are too coarse for pictures of these sizes: statistics of a few pixels say
    /// nothing. `share`: the part of a picture that must be seen, where masks hide the rest.
    #[must_use]
    pub fn seen(&self, graph: &Graph, sizes: &[(u32, u32)], share: f32) -> Self {
        let all = self.content_layers.iter().chain(&self.style_layers);
        let layers = || all.clone().filter(|layer| layer.weight > 0.0);
        let is_seen = |octave: &usize| {
            let mut maps = layers().filter_map(|l| graph.at(&octave::tap(&l.layer, *octave)).ok());
            maps.all(|map| {
                sizes.iter().all(|(width, height)| {
                    let (width, height) = map.size((*width as usize, *height as usize));
                    let pixels = (width * height) as f32 * share;
                    width.min(height) >= Self::LEAST_SIDE
                        && pixels >= Self::LEAST_SIDE.pow(2) as f32
                })
            })
        };
        self.with_octaves(1 + (1..self.octaves()).take_while(is_seen).count())
    }

    /// Number of octaves at which something counts.
    pub fn octaves(&self) -> usize {
        let last = |weights: &[f32]| weights.iter().rposition(|weight| *weight > 0.0);
        last(&self.style_octaves).max(last(&self.content_octaves)).map_or(1, |last| last + 1)
    }

    /// The weights of content, style and total variation.
    pub(crate) fn weights(&self) -> [f32; 3] {
        [self.content_weight, self.style_weight, self.strength * self.tv_weight]
    }

    /// Whether the content's own style is part of the target.
    pub(crate) fn keeps_own_style(&self) -> bool {
        self.strength < 1.0 && !self.style_loss.is_by_place()
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
            detail_weight: Self::DETAIL_WEIGHT,
            strength: 1.0,
            style_octaves: Self::STYLE_OCTAVES.to_vec(),
            content_octaves: vec![1.0],
            splits: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::Network;

    #[test]
    fn octaves_that_are_too_coarse_are_left_out() {
        let graph = Network::random(16, 1, Some("relu4_1")).and_then(Graph::new).expect("a graph");
        let loss =
            |style: &[f32]| LossSettings { style_octaves: style.to_vec(), ..LossSettings::plain() };
        let seen = |style: &[f32], sizes: &[(u32, u32)], share| {
            loss(style).seen(&graph, sizes, share).style_octaves
        };
        let three = [2.0, 1.0, 0.5];
        assert_eq!(seen(&three, &[(512, 128)], 1.0), three);
        assert_eq!(seen(&three, &[(512, 127)], 1.0), [2.0, 1.0]);
        // The smallest picture decides, and what masks leave of it.
        assert_eq!(seen(&three, &[(512, 512), (99, 64)], 1.0), [2.0, 1.0]);
        assert_eq!(seen(&three, &[(512, 512), (99, 63)], 1.0), [2.0]);
        assert_eq!(seen(&three, &[(256, 256)], 0.2), [2.0, 1.0]);
        // There is always a style.
        assert_eq!(seen(&[0.0, 0.0, 1.0], &[(64, 64)], 1.0), [0.0, 1.0]);
        assert_eq!(seen(&[0.0, 1.0], &[(32, 32)], 1.0), [1.0]);
        assert_eq!(loss(&[0.0]).with_octaves(1).style_octaves, [0.0]);
    }

    #[test]
    fn layers_are_names_with_weights() {
        let read = |text: &str| text.parse::<LayerWeight>().ok().map(|l| (l.layer, l.weight));
        assert_eq!(read("relu3_1=0.5"), Some(("relu3_1".into(), 0.5)));
        assert_eq!(read("relu3_1"), Some(("relu3_1".into(), 1.0)));
        for wrong in ["", "=1", "relu3_1=-1", "relu3_1=x", "relu3_1=inf", "relu3_1@1"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
