//! The sizes that are painted at, and the memory that each of them takes.

use impasto::Result;
use impasto::gpu::Gpu;
use impasto::loss::LossSettings;
use impasto::nets::Graph;
use impasto::optim::Descent;
use impasto::plan;
use impasto::plan::MemoryPlan;
use impasto::session::scales;

use super::memory::MemoryArgs;
use super::{Common, run};

/// What decides about memory: no picture is needed for that.
pub struct Planner {
    /// The result's size at each scale, at least one; the last is the one that is wanted.
    pub sizes: Vec<(u32, u32)>,
    /// The styles' sizes at the last scale.
    pub styles: Vec<(u32, u32)>,
    /// Number of masks of the content.
    pub masks: usize,
    pub loss: LossSettings,
    pub descent: Descent,
    pub memory: MemoryArgs,
}

impl Planner {
    /// The size that is wanted.
    pub fn last(&self) -> (u32, u32) {
        self.sizes[self.sizes.len() - 1]
    }

    /// The styles' sizes at a scale.
    pub fn styles_at(&self, scale: usize) -> impl Iterator<Item = (u32, u32)> {
        let (now, last) = (self.sizes[scale], self.last());
        self.styles.iter().map(move |style| scales::style_size(*style, now, last))
    }

    /// How memory is used at every scale. The tuner measures in between: kernels need memory, too.
    pub fn all(
        &self,
        common: &Common,
        gpu: &Gpu,
        graph: &Graph,
        kernels: &mut Option<(String, String)>,
    ) -> Result<Vec<MemoryPlan>> {
        let last = self.sizes.len() - 1;
        let first = self.at(gpu, graph, last, None)?;
        run::prepare(common, gpu, graph, first.layout.seen_size(self.last()), kernels)?;
        // One after the other, as they are painted: weights that one of them packs are there for the next.
        let dry = gpu.dry();
        (0..=last).map(|scale| self.at(&dry, graph, scale, None)).collect()
    }

    /// How memory is used at a scale, within `budget` bytes where that is given.
    pub fn at(
        &self,
        gpu: &Gpu,
        graph: &Graph,
        scale: usize,
        budget: Option<u64>,
    ) -> Result<MemoryPlan> {
        let (size, styles) = (self.sizes[scale], self.styles_at(scale).collect::<Vec<_>>());
        let (settings, masks, descent) = (&self.loss, self.masks, self.descent);
        let request = plan::Request { graph, settings, size, styles: &styles, masks, descent };
        self.memory.plan(gpu, &request, budget)
    }
}
