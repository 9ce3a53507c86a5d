//! From what was measured of style pictures to what is wanted of this one: how they are blended, where each of them
//! counts, and how far to go from the content's own style. Nothing is measured here, so a blend or a strength can be
//! tried without looking at any picture again.

use crate::error::{Error, Knob, Result};
use crate::gpu::{Frozen, Gpu};
use crate::loss::aim::Aim;
use crate::loss::moments::{Seen, StyleTraits};
use crate::loss::neighbours::Places;
use crate::loss::settings::LayerWeight;
use crate::loss::style_target::StyleTarget;
use crate::ops;
use crate::tape::{Tape, Var};

/// What a layer's moments should be in a region.
#[derive(Clone)]
pub(crate) struct StyleTerm {
    pub layer: LayerWeight,
    pub region: usize,
    /// How much the region counts: its share of the picture.
    pub share: f32,
    pub target: StyleTarget,
}

/// What the moments of every layer and region should be, or what the places of the picture. Cloning shares it.
#[derive(Clone)]
pub struct StyleTargets {
    /// None where styles are compared place by place.
    pub(crate) terms: Vec<StyleTerm>,
    pub(crate) places: Option<Places>,
}

impl StyleTargets {
    /// Blends the styles of an aim; `own` are the moments of the content in every region, where its own style is to be
    /// kept in part.
    ///
    /// # Errors
    /// [`Error::Usage`] when no style has a weight, masks do not go with styles, or a style was measured for other
    /// layers or another loss; otherwise what recording and running can give.
    pub async fn new(gpu: &Gpu, aim: &Aim<'_>, own: Option<&[StyleTraits]>) -> Result<Self> {
        let Aim { styles, regions, loss: settings, .. } = aim;
        let weights: Vec<f32> = styles.iter().map(|(_, weight)| *weight).collect();
        let sum: f32 = weights.iter().sum();
        if !(sum.is_finite() && sum > 0.0) {
            return Err(Error::Usage(format!(
                "{}: at least one style needs a weight above 0",
                Knob::Style
            )));
        }
        if settings.style_loss.is_by_place() {
            let places = Some(Places::new(gpu, aim)?);
            return Ok(StyleTargets { terms: Vec::new(), places });
        }
        let mut terms = Vec::new();
        for (region, painters) in regions.styles(weights.len())?.iter().enumerate() {
            // Styles of one region are blended; those of several count in theirs, beside the others.
            let alone = painters.len() < weights.len();
            let relative =
                if alone { weights[painters[0]] * weights.len() as f32 / sum } else { 1.0 };
            let share = regions.share(region) * relative;
            for layer in settings.style_taps() {
                let of = |style: &usize| {
                    let weight = if alone { 1.0 } else { weights[*style] };
                    Ok((styles[*style].0.at(&layer.layer, settings.style_loss)?.clone(), weight))
                };
                let blend = painters.iter().map(of).collect::<Result<Vec<_>>>()?;
                let (loss, normalization) = (settings.style_loss, settings.normalization);
                let own = own.map(|own| own[region].at(&layer.layer, loss)).transpose()?;
                let own = own.map(|own| (own, settings.strength));
                let target = StyleTarget::new(gpu, loss, normalization, &blend, own).await?;
                terms.push(StyleTerm { layer, region, share, target });
            }
        }
        Ok(StyleTargets { terms, places: None })
    }

    /// What the picture's places are to look like, where styles are compared place by place.
    pub fn places(&self) -> Option<&Places> {
        self.places.as_ref()
    }

    /// Number of regions.
    pub(crate) fn regions(&self) -> usize {
        self.terms.iter().map(|term| term.region + 1).max().unwrap_or(1)
    }

    /// Records the style loss of a picture with these moments, a scalar: the weighted mean over the layers of the
    /// regions' terms, each by its share of the picture. 0 where places are compared.
    pub(crate) fn record(&self, tape: &mut Tape, seen: &Seen) -> Result<Var> {
        // Every region has the same layers.
        let first = self.terms.first().map(|term| term.region);
        let layers = self.terms.iter().filter(|term| Some(term.region) == first);
        let sum: f32 = layers.map(|term| term.layer.weight).sum();
        let mut terms = Vec::new();
        for StyleTerm { layer, region, share, target } in &self.terms {
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
