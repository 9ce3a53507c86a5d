//! What is painted: the pictures, and what becomes of a painting before it is written.

use impasto::gpu::Gpu;
use impasto::loss::Regions;
use impasto::nets::Graph;
use impasto::paint::{Job, Layout, Painter, Start};
use impasto::picture::Picture;
use impasto::tiles::measure::{self, Styles};
use impasto::{Error, Result};
use std::time::Instant;

use super::colour::Finish;
use super::plans::Planner;
use super::progress::{Progress, Work};

/// What to paint, at sizes that are chosen as the work goes on.
pub struct Scene<'a> {
    /// The content, at the last scale's size.
    pub content: &'a Picture,
    /// The styles, at their sizes at the last scale, and their weights.
    pub styles: &'a [(Picture, f32)],
    /// Masks of the content and of the styles, at those sizes.
    pub regions: Regions,
    pub finish: Finish,
    pub planner: Planner,
}

/// Steps at each coarse scale, for so many at the last one (measured in `docs/OPTIMISERS.md`).
fn coarse_steps(steps: u64) -> u64 {
    steps.div_ceil(2)
}

impl Scene<'_> {
    /// The picture as it stands, at the size that is wanted, with the content's own alpha.
    pub async fn result(&self, painter: &Painter) -> Result<Picture> {
        let picture = painter.picture().await?;
        if picture.size() == self.planner.last() {
            return Ok(self.finished(picture));
        }
        let colours =
            at_size(&painter.carried().await?.picture, self.planner.last()).into_planes().0;
        let alpha = self.content.alpha().map(<[f32]>::to_vec);
        let result = Picture::from_planes(self.planner.last(), colours, alpha, picture.depth())?;
        Ok(self.finished(result.with_metadata(picture.metadata().clone())))
    }

    /// A painting as it is written.
    pub fn finished(&self, painting: Picture) -> Picture {
        if self.finish == Finish::Painting && self.regions.content.is_empty() {
            return painting;
        }
        let content = at_size(self.content, painting.size());
        let painting = self.finish.of(painting, &content);
        match self.regions.union(painting.size()) {
            Some(mask) => painting.over(&content, mask.plane()),
            None => painting,
        }
    }

    /// Steps at a scale, for so many at the last one.
    pub fn steps(&self, scale: usize, last: u64) -> u64 {
        if scale + 1 == self.planner.sizes.len() { last } else { coarse_steps(last) }
    }

    pub fn work(&self, steps: u64) -> Work {
        let of = |(scale, (w, h)): (usize, &(u32, u32))| {
            (self.steps(scale, steps), f64::from(*w) * f64::from(*h))
        };
        Work(self.planner.sizes.iter().enumerate().map(of).collect())
    }

    /// The painter of a scale, and the seconds that its targets took. Where the memory is not there after all, the next smaller plan is tried.
    pub fn painter(
        &self,
        gpu: &Gpu,
        graph: &Graph,
        (scale, layouts, progress): (usize, &mut [Layout], &Progress),
        start: Start,
    ) -> Result<(Painter, f64)> {
        let size = self.planner.sizes[scale];
        let content = at_size(self.content, size);
        let style =
            |((picture, weight), size): (&(Picture, f32), _)| (at_size(picture, size), *weight);
        let styles: Vec<_> =
            self.styles.iter().zip(self.planner.styles_at(scale)).map(style).collect();
        let regions = self.regions.resized(size, styles.iter().map(|(style, _)| style.size()));
        let (mut start, mut budget) = (start, None);
        loop {
            let lap = Instant::now();
            let (loss, descent, layout) =
                (self.planner.loss.clone(), self.planner.descent, layouts[scale]);
            let pictures =
                Styles { pictures: &styles, regions: &regions, tile: layout.measuring_tile() };
            let measured = pollster::block_on(measure::styles(gpu, graph, &loss, &pictures));
            let seconds = lap.elapsed().as_secs_f64();
            let painter = measured.and_then(|styles| {
                let (content, styles, regions) = (&content, &styles, &regions);
                let from = std::mem::replace(&mut start, Start::Content);
                let job = Job { content, styles, regions, start: from, loss, descent, layout };
                let painter = pollster::block_on(Painter::new(gpu, graph, &job));
                start = job.start;
                painter
            });
            let error = match painter {
                Err(error @ Error::Memory(_)) => error,
                painter => {
                    let painter = painter?;
                    let seconds = seconds + painter.target_seconds();
                    return Ok((painter, seconds));
                }
            };
            // The layout that did not fit may be another run's, before a break.
            let mut plan = self.planner.at(gpu, graph, scale, budget)?;
            if plan.layout == layout {
                budget = Some(plan.bytes / 4 * 3);
                plan = self.planner.at(gpu, graph, scale, budget)?;
            }
            if plan.layout == layout {
                return Err(error);
            }
            progress.note(|| format!("{error}; trying {plan}"));
            layouts[scale] = plan.layout;
        }
    }
}

fn at_size(picture: &Picture, (width, height): (u32, u32)) -> Picture {
    picture.resized(width, height)
}

#[cfg(test)]
mod tests {
    use super::*;
    use impasto::loss::LossSettings;
    use impasto::nets::Network;
    use impasto::optim::{Descent, Method};
    use impasto::picture::Depth;

    use crate::cli::memory::MemoryArgs;

    /// Memory that is not there although the plan counted on it: the painter comes in tiles then.
    #[test]
    fn what_does_not_fit_after_all_is_painted_in_tiles() {
        let gpu = pollster::block_on(Gpu::open(&impasto::gpu::Choice::default())).expect("a GPU");
        let loss = LossSettings::default();
        let network = Network::random(16, 1, Some("relu4_1")).expect("a network");
        let graph = Graph::new(network).expect("a graph");
        let size = (400, 300);
        let grey = vec![0.5; 3 * 400 * 300];
        let picture = Picture::from_planes(size, grey, None, Depth::Eight).expect("planes fit");
        let styles = [(picture.clone(), 1.0)];
        let planner = Planner {
            sizes: vec![size],
            styles: vec![size],
            masks: 0,
            loss,
            descent: Descent { method: Method::Lbfgs { history: 1 }, ..Descent::default() },
            memory: MemoryArgs::default(),
        };
        let plan = planner.at(&gpu, &graph, 0, None).expect("a plan");
        assert_eq!(plan.layout.tiles, None);
        let mut layouts = [plan.layout];
        let scene = Scene {
            content: &picture,
            styles: &styles,
            regions: Regions::default(),
            finish: Finish::Painting,
            planner,
        };
        gpu.limit_bytes(plan.bytes / 2);
        let with = (0, layouts.as_mut_slice(), &Progress::Quiet);
        let painter = scene.painter(&gpu, &graph, with, Start::Content);
        assert!(painter.is_ok(), "{:?}", painter.err());
        assert!(layouts[0].tiles.is_some(), "{layouts:?}");
        gpu.limit_bytes(gpu.allocated_bytes() + 1000);
        let with = (0, layouts.as_mut_slice(), &Progress::Quiet);
        let error = scene.painter(&gpu, &graph, with, Start::Content).err().expect("no room");
        assert!(matches!(error, Error::Memory(_)), "{error}");
    }
}
