//! The sizes that are painted at, the steps at each, and the memory that each of them takes: all that can be said
//! without a picture.

use super::scales::{Scales, style_size};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::loss::LossSettings;
use crate::nets::{Graph, Network};
use crate::paint::Descent;
use crate::paint::Layout;
use crate::plan::{self, MemoryPlan};
use crate::shape::Wrap;

/// As many as it took either to about the same loss (`docs/OPTIMISERS.md`, Adam with four scales).
const LBFGS_STEPS: u64 = 60;
/// With octaves ten more change nothing (`docs/OPTIMISERS.md`).
const OCTAVES_STEPS: u64 = 50;
const ADAM_STEPS: u64 = 100;
/// With 100 the picture is hardly another (`docs/NEIGHBOURS.md`).
const NEIGHBOURS_STEPS: u64 = 60;

/// What decides about sizes, steps and memory.
#[derive(Clone)]
pub struct Planner {
    /// The result's size at each scale, at least one; the last is the one that is wanted.
    pub sizes: Vec<(u32, u32)>,
    /// The styles' sizes at the last scale.
    pub styles: Vec<(u32, u32)>,
    /// Number of masks of the content.
    pub masks: usize,
    /// The smallest part of a picture that masks leave, from 0 to 1.
    pub least_share: f32,
    /// What is wanted.
    pub loss: LossSettings,
    /// How the picture is moved.
    pub descent: Descent,
    /// Bytes of GPU buffers that may be taken.
    pub budget: u64,
    /// Tiles of at most so many pixels a side, whatever fits.
    pub tile: Option<usize>,
}

/// The sizes to paint at, from coarse to fine: those whose pictures, and the style pictures beside them, the network can
/// see. The last is `size`.
fn sizes(
    network: &Network,
    scales: Scales,
    size: (u32, u32),
    styles: &[(u32, u32)],
) -> Vec<(u32, u32)> {
    let seen = |(w, h): (u32, u32)| network.check_size(w, h, network.layers.len()).is_ok();
    scales.sizes(size, |now| {
        seen(now) && styles.iter().all(|style| seen(style_size(*style, now, size)))
    })
}

impl Planner {
    /// For a picture of `size` and styles of such sizes: no masks, the default descent, all the memory there is.
    pub fn new(
        network: &Network,
        scales: Scales,
        size: (u32, u32),
        styles: Vec<(u32, u32)>,
        loss: LossSettings,
    ) -> Self {
        Self {
            sizes: sizes(network, scales, size, &styles),
            styles,
            masks: 0,
            least_share: 1.0,
            loss,
            descent: Descent::default(),
            budget: u64::MAX,
            tile: None,
        }
    }

    /// With the last size once more where styles are compared place by place: features are split then
    /// ([`neighbours`](crate::loss::neighbours)).
    #[must_use]
    pub fn splitting(mut self) -> Self {
        if self.loss.style_loss.is_by_place() {
            self.sizes.push(self.last());
        }
        self
    }

    /// Whether features are split at a scale.
    fn splits(&self, scale: usize) -> bool {
        scale > 0 && self.sizes[scale] == self.sizes[scale - 1]
    }

    /// For a picture some of whose edges meet: at every scale, its sides along which they do become multiples of `step`, which the
    /// loss' stride divides ([`LossSettings::reach`]). The content must then have the size that this makes the last.
    #[must_use]
    pub fn wrapped(mut self, wrap: Wrap, step: u32) -> Self {
        self.sizes.iter_mut().for_each(|size| *size = wrap.rounded(*size, step));
        self.sizes.dedup();
        self
    }

    /// The size that is wanted.
    pub fn last(&self) -> (u32, u32) {
        self.sizes[self.sizes.len() - 1]
    }

    /// The styles' sizes at a scale.
    pub fn styles_at(&self, scale: usize) -> impl Iterator<Item = (u32, u32)> {
        let (now, last) = (self.sizes[scale], self.last());
        self.styles.iter().map(move |style| style_size(*style, now, last))
    }

    /// The loss at a scale: without the octaves that are too coarse there.
    pub fn loss_at(&self, graph: &Graph, scale: usize) -> LossSettings {
        let pictures: Vec<_> =
            [self.sizes[scale]].into_iter().chain(self.styles_at(scale)).collect();
        let splits = self.splits(scale);
        LossSettings { splits, ..self.loss.seen(graph, &pictures, self.least_share) }
    }

    /// Steps at the last scale where nothing is said. One octave has as many as it had before there were more, so that
    /// the settings of old pictures still mean the same.
    pub fn default_steps(&self, layout: &Layout) -> u64 {
        if self.loss.style_loss.is_by_place() {
            return NEIGHBOURS_STEPS;
        }
        match self.descent.is_by_pieces() || layout.tiles.is_some() {
            true => ADAM_STEPS,
            false if self.loss.octaves() > 1 => OCTAVES_STEPS,
            false => LBFGS_STEPS,
        }
    }

    /// Every scale's size and steps, for so many steps at the size that is wanted: the others get half as many (measured in
    /// `docs/OPTIMISERS.md`), and so does that size where features are split.
    pub fn steps(&self, last: u64) -> Vec<((u32, u32), u64)> {
        let of = |(scale, size): (usize, &(u32, u32))| {
            let full = *size == self.last() && !self.splits(scale);
            (*size, if full { last } else { last.div_ceil(2) })
        };
        self.sizes.iter().enumerate().map(of).collect()
    }

    /// How memory is used at every scale, with the kernels that the device uses.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) when nothing fits, with what would.
    pub fn all(&self, gpu: &Gpu, graph: &Graph) -> Result<Vec<MemoryPlan>> {
        // One after the other, as they are painted: weights that one of them packs are there for the next.
        let dry = gpu.dry();
        (0..self.sizes.len()).map(|scale| self.at(&dry, graph, scale, self.budget)).collect()
    }

    /// How memory is used at a scale, within `budget` bytes.
    ///
    /// # Errors
    /// As [`Planner::all`].
    pub fn at(&self, gpu: &Gpu, graph: &Graph, scale: usize, budget: u64) -> Result<MemoryPlan> {
        let (size, styles) = (self.sizes[scale], self.styles_at(scale).collect::<Vec<_>>());
        let (settings, masks, descent) = (self.loss_at(graph, scale), self.masks, self.descent);
        let settings = &settings;
        let request = plan::Request { graph, settings, size, styles: &styles, masks, descent };
        MemoryPlan::choose(gpu, &request, budget, self.tile)
    }

    /// The size of the largest maps that there will be, about: what kernels should be measured at.
    ///
    /// # Errors
    /// As [`Planner::all`].
    pub fn seen_size(&self, gpu: &Gpu, graph: &Graph) -> Result<(u32, u32)> {
        let last = self.at(gpu, graph, self.sizes.len() - 1, self.budget)?;
        Ok(last.layout.seen_size(self.last()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::Method;

    #[test]
    fn steps_where_nothing_is_said() {
        let network = Network::random(16, 1, Some("relu4_1")).expect("a network");
        let octaves = LossSettings { style_octaves: vec![2.0, 1.0], ..LossSettings::plain() };
        let size = (64, 64);
        let mut planner = Planner::new(&network, Scales::Auto, size, vec![size], octaves);
        let steps = |planner: &Planner| planner.default_steps(&Layout::default());
        assert_eq!(steps(&planner), 50);
        planner.loss = LossSettings::plain();
        assert_eq!(steps(&planner), 60);
        planner.descent.method = Method::ADAM;
        assert_eq!(steps(&planner), 100);
        planner.loss = LossSettings::neighbours();
        assert_eq!(steps(&planner), 60);
    }
}
