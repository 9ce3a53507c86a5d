//! The loss: dimensionless unless [`Normalization`] says otherwise, so that one set of weights means the same for
//! every network, layer and resolution.
//!
//! - content, per layer: mean((F − P)²) / var(P), P the content picture's features;
//! - style, per layer: ‖G − A‖² / ‖A‖², G the Gram matrix, A the weighted mean of the styles', or another of the
//!   losses in [`crate::loss::style`];
//! - both are weighted means over their layers;
//! - total variation: mean(across²) + mean(down²) of the picture itself, or another [`Variation`];
//! - total = content_weight · content + style_weight · style + tv_weight · total variation
//!   + detail_weight · detail, the error of the picture's edges (`crate::loss::detail`).
//!
//! With a strength s below 1, A becomes (1 − s)·C + s·A, C the moments of the content picture, and tv_weight becomes
//! s · tv_weight; denominators stay. At the content picture the gradient of ‖G − A‖² is then s times what it was,
//! whatever the pictures are.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::error::{Error, Knob, Result};
use crate::gpu::{Frozen, Gpu, Tensor, Value};
use crate::loss::detail;
use crate::loss::regions::{Guides, Regions};
use crate::loss::style::{self, Moments, Normalization, Statistics, StyleLoss, StyleTarget};
use crate::nets::Graph;
use crate::ops::{self, Variation, statistics};
use crate::picture::Picture;
use crate::shape::Shape;
use crate::tape::{Tape, Var};
use crate::tiles::tiled::style_terms;

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

/// What a layer should be: the target, and the denominator of its error.
pub(crate) struct ContentTarget {
    pub layer: LayerWeight,
    pub value: Value,
    pub denominator: Value,
}

/// What a layer's moments should be in a region.
pub(crate) struct StyleTerm {
    pub layer: LayerWeight,
    pub region: usize,
    /// How much the region counts: its share of the picture.
    pub share: f32,
    pub target: StyleTarget,
}

/// The measured targets.
pub struct Targets {
    pub(crate) content: Vec<ContentTarget>,
    /// The content's pixels and the factor of what differs from their edges, where that counts.
    pub(crate) detail: Option<(Value, f32)>,
    pub(crate) style: Vec<StyleTerm>,
    /// By layer and region: the guide, and what makes moments over all pixels means over the region.
    pub(crate) guides: BTreeMap<(String, usize), (Value, f32)>,
}

/// The style pictures of a job.
#[derive(Clone, Copy)]
pub struct Styles<'a> {
    /// In sizes of their own, each with its weight in the blend.
    pub pictures: &'a [(Picture, f32)],
    /// Which parts of the picture they paint, and which parts of them count. Masks have the sizes of their pictures.
    pub regions: &'a Regions,
    /// They are looked at in tiles of at most so many pixels.
    pub tile: Option<usize>,
}

impl<'a> Styles<'a> {
    /// Whole pictures that paint the whole picture.
    pub fn of(pictures: &'a [(Picture, f32)]) -> Self {
        Styles { pictures, regions: Regions::ALL, tile: None }
    }
}

impl Targets {
    /// Runs the network once over the content picture and over each style picture.
    ///
    /// `content` is 3×H×W.
    ///
    /// # Errors
    /// [`Error::Usage`] when no style has a weight or masks do not go with styles; [`Error::Network`] when a layer is
    /// missing; and what recording and running can give.
    pub async fn measure(
        gpu: &Gpu,
        graph: &Graph,
        settings: &LossSettings,
        content: &Tensor,
        styles: &Styles<'_>,
    ) -> Result<Self> {
        let layers = LossSettings::counted(&settings.content_layers);
        let reads = settings.keeps_own_style() || settings.detail_weight > 0.0;
        let own = if reads { gpu.read(content).await? } else { Vec::new() };
        let [_, height, width] = content.shape().chw("targets")?;
        let own = ((width as u32, height as u32), own.as_slice());
        let content = measure_content(gpu, graph, &layers, settings, content).await?;
        let style = style_terms(gpu, graph, settings, own, styles).await?;
        let layers = LossSettings::counted(&settings.style_layers);
        let mut guides = BTreeMap::new();
        for (key, guide) in Guides::new(graph, &taps(&layers), &styles.regions.content)?.into_iter()
        {
            let roots = gpu.tensor(guide.shape, &guide.roots)?;
            guides.insert(key, ((&roots).into(), guide.factor()));
        }
        let detail = match settings.detail_weight > 0.0 {
            // The painter's picture takes the place of the content.
            true => Some((&gpu.tensor([3, height, width], own.1)?, detail::weight(settings, own))),
            false => None,
        };
        let detail = detail.map(|(pixels, weight)| (pixels.into(), weight));
        Ok(Targets { content, detail, style, guides })
    }

    /// Stand-ins for the targets of a picture of that size and so many masks, to plan with.
    pub(crate) fn placeholders(
        tape: &mut Tape,
        graph: &Graph,
        settings: &LossSettings,
        ((width, height), masks): ((u32, u32), usize),
    ) -> Result<Self> {
        let scalar = |tape: &mut Tape| tape.recorder().placeholder(Shape::scalar());
        let mut content = Vec::new();
        for layer in LossSettings::counted(&settings.content_layers) {
            let (channels, pools) = graph.at(&layer.layer)?;
            let map = [channels, height as usize >> pools, width as usize >> pools];
            let value = tape.recorder().placeholder_in(graph.precision(), map);
            content.push(ContentTarget { layer, value, denominator: scalar(tape) });
        }
        let (mut style, mut guides) = (Vec::new(), BTreeMap::new());
        for layer in LossSettings::counted(&settings.style_layers) {
            let (channels, pools) = graph.at(&layer.layer)?;
            for region in 0..masks.max(1) {
                let target = StyleTarget::placeholder(tape, settings.style_loss, channels);
                style.push(StyleTerm { layer: layer.clone(), region, share: 1.0, target });
                if region < masks {
                    let map = [1, height as usize >> pools, width as usize >> pools];
                    let guide = (tape.recorder().placeholder(map), 1.0);
                    guides.insert((layer.layer.clone(), region), guide);
                }
            }
        }
        let map = [3, height as usize, width as usize];
        let detail = settings.detail_weight > 0.0;
        let detail = detail.then(|| (tape.recorder().placeholder(map), 1.0));
        Ok(Targets { content, detail, style, guides })
    }

    /// Records the loss of `picture`: total, content, style and total variation, each a scalar.
    ///
    /// # Errors
    /// What recording can give.
    pub fn record(
        &self,
        tape: &mut Tape,
        graph: &Graph,
        settings: &LossSettings,
        picture: Var,
    ) -> Result<Losses> {
        let (mut content_terms, mut seen) = (Vec::new(), Seen::new());
        let content_taps = self.content.iter().map(|t| t.layer.layer.as_str());
        let style_taps = self.style.iter().map(|term| term.layer.layer.as_str());
        let taps: Vec<&str> = content_taps.chain(style_taps).collect();
        graph.record(tape, picture, &taps, &mut |tape, tap, features| {
            // What counts for nothing is measured, but not followed back through the network.
            let content =
                if settings.content_weight > 0.0 { features } else { tape.detached(features) };
            let style =
                if settings.style_weight > 0.0 { features } else { tape.detached(features) };
            for target in self.content.iter().filter(|t| t.layer.layer == tap) {
                tape.scope(format!("content {tap}"));
                let count = target.value.shape().elements() as f32;
                let term = target.record(tape, content, 1.0 / count)?;
                content_terms.push((target.layer.weight, term));
            }
            for term in self.style.iter().filter(|term| term.layer.layer == tap) {
                tape.scope(format!("style {tap}"));
                let key = (tap.to_string(), term.region);
                let moments = match self.guides.get(&key) {
                    None => style::measure(tape, style, settings.style_loss)?,
                    Some((guide, factor)) => {
                        let guide = tape.given(guide);
                        let sums = style::measure_guided(tape, style, guide, settings.style_loss)?;
                        sums.scaled(tape, *factor)?
                    }
                };
                seen.insert(key, moments);
            }
            Ok(())
        })?;
        let style = self.record_style(tape, &seen)?;
        tape.scope("loss");
        let content = weighted_mean(tape, content_terms)?;
        let [content_weight, style_weight, tv_weight] = settings.weights();
        let smoothed = if tv_weight > 0.0 { picture } else { tape.detached(picture) };
        let variation = ops::total_variation(tape, smoothed, settings.variation)?;
        let mut terms =
            vec![(content_weight, content), (style_weight, style), (tv_weight, variation)];
        if let Some((pixels, weight)) = &self.detail {
            let pixels = tape.given(pixels);
            terms.push((*weight, detail::whole(tape, picture, pixels)?));
        }
        let total = ops::weighted_sum(tape, &terms)?;
        Ok(Losses { total, content, style, variation })
    }
}

/// Why a loss that depends on nothing moves no picture.
pub(crate) fn nothing_to_move() -> Error {
    let [content, style, tv] = [Knob::ContentWeight, Knob::StyleWeight, Knob::TvWeight];
    Error::Usage(format!(
        "nothing would move the picture: one of {content}, {style} and {tv} must be above 0, and a layer's weight too"
    ))
}

/// What is seen of a picture's style, by layer and region.
pub(crate) type Seen = BTreeMap<(String, usize), Statistics>;

impl Targets {
    /// Records the style loss of a picture with these moments, a scalar: the weighted mean over the layers of the
    /// regions' terms, each by its share of the picture.
    pub(crate) fn record_style(&self, tape: &mut Tape, seen: &Seen) -> Result<Var> {
        // Every region has the same layers.
        let first = self.style.first().map(|term| term.region);
        let layers = self.style.iter().filter(|term| Some(term.region) == first);
        let sum: f32 = layers.map(|term| term.layer.weight).sum();
        let mut terms = Vec::new();
        for StyleTerm { layer, region, share, target } in &self.style {
            tape.scope(format!("style {}", layer.layer));
            let term = target.record(tape, &seen[&(layer.layer.clone(), *region)])?;
            terms.push((layer.weight * share / sum, term));
        }
        tape.scope("loss");
        if terms.is_empty() {
            return Ok(tape.frozen(&Frozen::scalar(0.0)));
        }
        ops::weighted_sum(tape, &terms)
    }
}

/// The scalars of a recorded loss.
pub struct Losses {
    /// The weighted sum of the others and of the detail.
    pub total: Var,
    /// Unweighted.
    pub content: Var,
    /// Unweighted.
    pub style: Var,
    /// Unweighted.
    pub variation: Var,
}

impl ContentTarget {
    fn record(&self, tape: &mut Tape, x: Var, factor: f32) -> Result<Var> {
        let (value, denominator) = (tape.given(&self.value), tape.given(&self.denominator));
        ops::relative_error(tape, x, value, denominator, factor)
    }
}

/// Σ weight · term / Σ weight, or a constant 0 where no layer counts.
pub(crate) fn weighted_mean(tape: &mut Tape, terms: Vec<(f32, Var)>) -> Result<Var> {
    let sum: f32 = terms.iter().map(|(weight, _)| weight).sum();
    if terms.is_empty() {
        return Ok(tape.frozen(&Frozen::scalar(0.0)));
    }
    let terms: Vec<_> = terms.into_iter().map(|(weight, term)| (weight / sum, term)).collect();
    ops::weighted_sum(tape, &terms)
}

async fn measure_content(
    gpu: &Gpu,
    graph: &Graph,
    layers: &[LayerWeight],
    settings: &LossSettings,
    picture: &Tensor,
) -> Result<Vec<ContentTarget>> {
    let mut tape = Tape::new(gpu);
    let picture = tape.constant(picture);
    let taps = taps(layers);
    let mut targets = Vec::new();
    graph.record(&mut tape, picture, &taps, &mut |tape, tap, features| {
        for layer in layers.iter().filter(|l| l.layer == tap) {
            let value = tape.keep(features)?;
            let features = tape.value(features).clone();
            let denominator = match settings.normalization {
                Normalization::Relative => statistics::variance(tape.recorder(), &features)?,
                Normalization::Absolute => (&Frozen::scalar(1.0)).into(),
            };
            let denominator = tape.recorder().keep(&denominator)?;
            let (value, denominator) = ((&value).into(), (&denominator).into());
            targets.push(ContentTarget { layer: layer.clone(), value, denominator });
        }
        Ok(())
    })?;
    tape.finish()?.run().await?;
    Ok(targets)
}

/// A picture's moments.
pub(crate) type ByLayer = BTreeMap<String, Moments>;

/// The targets of every layer and region, of styles with these moments; `own` are those of the content in every
/// region, where its style is to be kept in part.
pub(crate) async fn blend(
    gpu: &Gpu,
    settings: &LossSettings,
    styles: &Styles<'_>,
    (measured, own): (&[ByLayer], Option<&[ByLayer]>),
) -> Result<Vec<StyleTerm>> {
    let weights: Vec<f32> = styles.pictures.iter().map(|(_, weight)| *weight).collect();
    let sum: f32 = weights.iter().sum();
    if !(sum.is_finite() && sum > 0.0) {
        return Err(Error::Usage(format!(
            "{}: at least one style needs a weight above 0",
            Knob::Style
        )));
    }
    let mut terms = Vec::new();
    for (region, painters) in styles.regions.styles(weights.len())?.iter().enumerate() {
        // Styles of one region are blended; those of several count in theirs, beside the others.
        let alone = painters.len() < weights.len();
        let relative = if alone { weights[painters[0]] * weights.len() as f32 / sum } else { 1.0 };
        let share = styles.regions.share(region) * relative;
        for layer in LossSettings::counted(&settings.style_layers) {
            let of = |style: &usize| {
                let weight = if alone { 1.0 } else { weights[*style] };
                (measured[*style][&layer.layer].clone(), weight)
            };
            let blend: Vec<_> = painters.iter().map(of).collect();
            let (loss, normalization) = (settings.style_loss, settings.normalization);
            let own = own.map(|own| (&own[region][&layer.layer], settings.strength));
            let target = StyleTarget::new(gpu, loss, normalization, &blend, own).await?;
            terms.push(StyleTerm { layer, region, share, target });
        }
    }
    Ok(terms)
}
