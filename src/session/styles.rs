//! Styles that were measured, kept for the next painting that has the same ones at the same size.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::gpu::Gpu;
use crate::loss::moments::StyleTraits;
use crate::loss::settings::LayerWeight;
use crate::loss::{LossSettings, Mask, StyleLoss};
use crate::nets::Graph;
use crate::picture::Picture;
use crate::tiles::measure::{self, Styles};

/// What is left of styles, each with its weight in the blend.
type Traits = Arc<Vec<(StyleTraits, f32)>>;

/// Styles measured on one device with one network. Cloning shares them.
#[derive(Clone, Default)]
pub(super) struct Measured(Arc<Mutex<Vec<Entry>>>);

/// All that decides what is measured, and what was.
struct Entry {
    pictures: Vec<(Picture, f32)>,
    masks: Vec<Mask>,
    tile: Option<usize>,
    taps: Vec<LayerWeight>,
    loss: StyleLoss,
    traits: Traits,
}

impl Measured {
    /// What is kept of styles: measured now, if they are not here; kept, where there is room for `most` of them.
    ///
    /// # Errors
    /// As [`measure::styles`].
    pub async fn of(
        &self,
        (gpu, graph): (&Gpu, &Graph),
        settings: &LossSettings,
        styles: &Styles<'_>,
        most: usize,
    ) -> Result<Traits> {
        let (taps, loss) = (settings.style_taps(), settings.style_loss);
        if let Some(traits) = self.find(styles, &taps, loss) {
            return Ok(traits);
        }
        let traits = Arc::new(measure::styles(gpu, graph, settings, styles).await?);
        if most > 0 {
            let (pictures, masks) = (styles.pictures.to_vec(), styles.regions.style.clone());
            let (tile, traits) = (styles.tile, traits.clone());
            let entry = Entry { pictures, masks, tile, taps, loss, traits };
            let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let old = (entries.len() + 1).saturating_sub(most);
            entries.drain(..old);
            entries.push(entry);
        }
        Ok(traits)
    }

    fn find(&self, styles: &Styles<'_>, taps: &[LayerWeight], loss: StyleLoss) -> Option<Traits> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |entry: &&Entry| {
            (entry.loss, entry.taps.as_slice()) == (loss, taps)
                && (entry.tile, &entry.masks) == (styles.tile, &styles.regions.style)
                && entry.pictures.iter().map(seen).eq(styles.pictures.iter().map(seen))
        };
        entries.iter().find(same).map(|entry| entry.traits.clone())
    }
}

/// What is measured of a style.
fn seen((picture, weight): &(Picture, f32)) -> ((u32, u32), &[f32], f32) {
    (picture.size(), picture.rgb(), *weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Choice;
    use crate::loss::Regions;
    use crate::nets::Network;
    use crate::picture::Depth;

    #[test]
    fn the_same_styles_are_measured_once() {
        let gpu = pollster::block_on(Gpu::open(&Choice::default())).expect("a GPU");
        let network = Network::random(16, 1, Some("relu2_1")).expect("a network");
        let graph = Graph::new(network).expect("a graph");
        let style_layers = LayerWeight::list("relu1_1,relu2_1").expect("layers");
        let settings = LossSettings { style_layers, ..LossSettings::plain() };
        let picture = |shade: f32| {
            let planes = vec![shade; 3 * 24 * 24];
            vec![(Picture::from_planes((24, 24), planes, None, Depth::Eight).expect("planes"), 1.0)]
        };
        let (light, dark) = (picture(0.7), picture(0.2));
        let masked = Regions { content: Vec::new(), style: vec![Mask::of(&light[0].0)] };
        let measured = Measured::default();
        let of = |settings: &LossSettings, pictures: &[(Picture, f32)], regions: &Regions, tile| {
            let styles = Styles { pictures, regions, tile };
            pollster::block_on(measured.of((&gpu, &graph), settings, &styles, 2)).expect("traits")
        };
        let first = of(&settings, &light, Regions::ALL, None);
        assert!(Arc::ptr_eq(&first, &of(&settings, &light, Regions::ALL, None)));
        let wasserstein = LossSettings { style_loss: StyleLoss::Wasserstein, ..settings.clone() };
        for (settings, pictures, regions, tile) in [
            (&settings, &dark, Regions::ALL, None),
            (&wasserstein, &light, Regions::ALL, None),
            (&settings, &light, &masked, None),
            (&settings, &light, Regions::ALL, Some(64)),
        ] {
            let other = of(settings, pictures, regions, tile);
            assert!(!Arc::ptr_eq(&first, &other), "{tile:?}");
            assert!(Arc::ptr_eq(&other, &of(settings, pictures, regions, tile)), "{tile:?}");
        }
        // There is room for two.
        assert!(!Arc::ptr_eq(&first, &of(&settings, &light, Regions::ALL, None)));
    }
}
