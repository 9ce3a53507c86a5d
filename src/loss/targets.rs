//! The loss: dimensionless unless [`Normalization`](crate::loss::Normalization) says otherwise, so that one set of weights means the same for
//! every network, layer and resolution.
//!
//! - content, per layer: mean((F − P)²) / var(P), P the content picture's features;
//! - style, per layer: ‖G − A‖² / ‖A‖², G the Gram matrix, A the weighted mean of the styles', or another of the
//!   losses in [`crate::loss::style`];
//! - both are weighted means over their layers;
//! - total variation: mean(across²) + mean(down²) of the picture itself, or another [`Variation`](crate::ops::Variation);
//! - total = content_weight · content + style_weight · style + tv_weight · total variation
//!   + detail_weight · detail, the error of the picture's edges (`crate::loss::detail`).
//!
//! With a strength s below 1, A becomes (1 − s)·C + s·A, C the moments of the content picture, and tv_weight becomes
//! s · tv_weight; denominators stay. At the content picture the gradient of ‖G − A‖² is then s times what it was,
//! whatever the pictures are.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::gpu::{Frozen, Gpu, Tensor, Value};
use crate::loss::aim::Aim;
use crate::loss::content::ContentTarget;
use crate::loss::detail;
use crate::loss::moments::{self, Seen, Statistics};
use crate::loss::neighbours::{self, Cells, Found, PlaceInputs, Places};
use crate::loss::regions::Guides;
use crate::loss::settings::{LossSettings, taps};
use crate::loss::style_targets::StyleTargets;
use crate::nets::Graph;
use crate::ops::{self, Sampled};
use crate::tape::{Tape, Var};

/// By layer and region: the guide, and what makes moments over all pixels means over the region.
type GuideValues = BTreeMap<(String, usize), (Value, f32)>;
/// The content layers' terms, each with its weight.
type Terms = Vec<(f32, Var)>;
/// The style layers' maps.
type Maps = BTreeMap<String, Sampled>;

/// The measured targets of a picture that is looked at whole. Cloning shares them.
#[derive(Clone)]
pub struct Targets {
    content: Vec<ContentTarget>,
    /// The content's pixels and the factor of what differs from their edges, where that counts.
    detail: Option<(Value, f32)>,
    style: StyleTargets,
    guides: GuideValues,
    /// What was found for the picture's places, where styles are compared by these.
    place_inputs: Option<PlaceInputs>,
}

impl Targets {
    /// Runs the network once over the content, whose pixels `content` has, too; `style` is what it is to become.
    ///
    /// # Errors
    /// [`Error::Network`](crate::Error::Network) when a layer is missing, [`Error::Usage`](crate::Error::Usage) when
    /// nothing is left of a mask; otherwise what recording and running can give.
    pub async fn measure(
        gpu: &Gpu,
        graph: &Graph,
        aim: &Aim<'_>,
        (content, style): (&Tensor, StyleTargets),
    ) -> Result<Self> {
        let settings = aim.loss;
        let of_content = ContentTarget::measure(gpu, graph, settings, content).await?;
        let guides = guides(gpu, graph, aim)?;
        let detail = match settings.detail_weight > 0.0 {
            // The painter's picture takes the place of the content.
            true => {
                let pixels = aim.content.upload(gpu)?;
                Some(((&pixels).into(), detail::weight(settings, aim.content, graph.wrap())))
            }
            false => None,
        };
        let place_inputs = place_inputs(gpu, aim, &style)?;
        Ok(Targets { content: of_content, detail, style, guides, place_inputs })
    }

    /// Says which neighbours the picture's places have.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) when they were found for other places, and whatever the driver reported.
    pub fn set_found(&self, gpu: &Gpu, found: &Found) -> Result<()> {
        let places = self.style.places.as_ref().zip(self.place_inputs.as_ref());
        let Some((places, inputs)) = places else { return Ok(()) };
        inputs.load(gpu, places, (&Cells::all(places.grid), Some(found)))
    }

    /// Takes another aim of the same content and layers: what was measured of the content stays.
    ///
    /// # Errors
    /// As [`Targets::measure`].
    pub(crate) fn retarget(
        &mut self,
        gpu: &Gpu,
        graph: &Graph,
        aim: &Aim<'_>,
        style: StyleTargets,
    ) -> Result<()> {
        self.guides = guides(gpu, graph, aim)?;
        if let Some((_, weight)) = &mut self.detail {
            *weight = detail::weight(aim.loss, aim.content, graph.wrap());
        }
        self.place_inputs = place_inputs(gpu, aim, &style)?;
        self.style = style;
        Ok(())
    }

    /// What its places are to look like, where these are compared.
    pub(crate) fn places(&self) -> Option<&Places> {
        self.style.places.as_ref()
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
        let (content, seen, maps) = self.record_maps(tape, graph, settings, picture)?;
        let style = match (&self.style.places, &self.place_inputs) {
            (Some(places), Some(inputs)) => {
                let given = inputs.vars(tape);
                places.record(tape, &maps, &given)?
            }
            _ => self.style.record(tape, &seen)?,
        };
        tape.scope("loss");
        let content = weighted_mean(tape, content)?;
        let [content_weight, style_weight, tv_weight] = settings.weights();
        let smoothed = if tv_weight > 0.0 { picture } else { tape.detached(picture) };
        let variation = ops::total_variation(tape, smoothed, settings.variation, graph.wrap())?;
        let mut terms =
            vec![(content_weight, content), (style_weight, style), (tv_weight, variation)];
        if let Some((pixels, weight)) = &self.detail {
            let pixels = tape.given(pixels);
            terms.push((*weight, detail::whole(tape, picture, pixels, graph.wrap())?));
        }
        let total = ops::weighted_sum(tape, &terms)?;
        Ok(Losses { total, content, style, variation })
    }

    /// Records the network over the picture: the content layers' terms with their weights, and the style layers' moments, or
    /// their maps.
    fn record_maps(
        &self,
        tape: &mut Tape,
        graph: &Graph,
        settings: &LossSettings,
        picture: Var,
    ) -> Result<(Terms, Seen, Maps)> {
        let (mut terms, mut seen, mut maps) = (Vec::new(), Seen::new(), Maps::new());
        let content_taps = self.content.iter().map(|t| t.layer.layer.as_str());
        let style_layers = settings.style_taps();
        let taps: Vec<&str> = content_taps.chain(taps(&style_layers)).collect();
        let by_place = self.place_inputs.is_some();
        graph.record(tape, picture, &taps, &mut |tape, tap, features| {
            // What counts for nothing is measured, but not followed back through the network.
            let content =
                if settings.content_weight > 0.0 { features } else { tape.detached(features) };
            let style =
                if settings.style_weight > 0.0 { features } else { tape.detached(features) };
            for target in self.content.iter().filter(|t| t.layer.layer == tap) {
                tape.scope(format!("content {tap}"));
                let count = target.value.shape().elements() as f32;
                terms.push((target.layer.weight, target.record(tape, content, 1.0 / count)?));
            }
            for term in self.style.terms.iter().filter(|term| term.layer.layer == tap) {
                tape.scope(format!("style {tap}"));
                let moments = self.moments(tape, (tap, term.region), style, settings)?;
                seen.insert((tap.to_string(), term.region), moments);
            }
            if by_place && style_layers.iter().any(|layer| layer.layer == tap) {
                maps.insert(tap.to_string(), neighbours::sampled(graph, tap, style)?);
            }
            Ok(())
        })?;
        Ok((terms, seen, maps))
    }

    /// Records the moments of a layer in a region.
    fn moments(
        &self,
        tape: &mut Tape,
        (tap, region): (&str, usize),
        features: Var,
        settings: &LossSettings,
    ) -> Result<Statistics> {
        match self.guides.get(&(tap.to_string(), region)) {
            None => moments::measure(tape, features, settings.style_loss),
            Some((guide, factor)) => {
                let guide = tape.given(guide);
                let sums = moments::measure_guided(tape, features, guide, settings.style_loss)?;
                sums.scaled(tape, *factor)
            }
        }
    }
}

/// Memory for what an aim's places need, where they are compared.
fn place_inputs(gpu: &Gpu, aim: &Aim<'_>, style: &StyleTargets) -> Result<Option<PlaceInputs>> {
    let size = (aim.content.size.0 as usize, aim.content.size.1 as usize);
    style.places.as_ref().map(|places| places.inputs(gpu, size)).transpose()
}

/// Hands the guides of an aim to the GPU.
fn guides(gpu: &Gpu, graph: &Graph, aim: &Aim<'_>) -> Result<GuideValues> {
    if aim.loss.style_loss.is_by_place() {
        return Ok(GuideValues::new());
    }
    let layers = aim.loss.style_taps();
    let mut guides = BTreeMap::new();
    for (key, guide) in Guides::new(graph, &taps(&layers), &aim.regions.content)?.into_iter() {
        let roots = gpu.tensor(guide.shape, &guide.roots)?;
        guides.insert(key, ((&roots).into(), guide.factor()));
    }
    Ok(guides)
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

/// Σ weight · term / Σ weight, or a constant 0 where no layer counts.
pub(crate) fn weighted_mean(tape: &mut Tape, terms: Vec<(f32, Var)>) -> Result<Var> {
    let sum: f32 = terms.iter().map(|(weight, _)| weight).sum();
    if terms.is_empty() {
        return Ok(tape.frozen(&Frozen::scalar(0.0)));
    }
    let terms: Vec<_> = terms.into_iter().map(|(weight, term)| (weight / sum, term)).collect();
    ops::weighted_sum(tape, &terms)
}
