//! What a session paints with: a device, a network, kernels that suit both, and a painter for every scale.

use std::sync::Arc;

use web_time::Instant;

use super::kernels;
use super::planner::Planner;
use super::scene::{Scene, Small};
use super::schedule::{Canvas, Studio};
use super::standing::{Kernels, Standing};
use super::styles::Measured;
use super::watch::{Event, Watcher};
use crate::error::{Error, Result};
use crate::gpu::{AdapterReport, Choice, Gpu};
use crate::nets::Graph;
use crate::paint::{self, Carried, Job, Layout, Painter, Start, Verdict};
use crate::picture::Picture;
use crate::shape::Precision;
use crate::tiles::measure::Styles;

/// A device and what is painted on it.
pub(super) struct OnGpu {
    pub gpu: Gpu,
    pub choice: Choice,
    pub graph: Arc<Graph>,
    pub scene: Scene,
    pub planner: Planner,
    /// Styles that were measured; those of as many scales as `keeps_styles` stay.
    pub measured: Measured,
    pub keeps_styles: usize,
    /// Measure which kernels are fastest where that is not known.
    pub tunes: bool,
}

impl OnGpu {
    /// A painter of a scene with that layout, and the seconds that its targets took. What it starts from comes back
    /// where there is none.
    async fn painter(
        &self,
        (small, scale): (&Small, usize),
        layout: Layout,
        start: &mut Start,
    ) -> Result<(Painter, f64)> {
        let (gpu, graph) = (&self.gpu, &self.graph);
        let loss = self.planner.loss_at(graph, scale);
        let Small { content, styles, regions } = small;
        let lap = Instant::now();
        let pictures = Styles { pictures: styles, regions, tile: layout.measuring_tile() };
        // Where features are split, the styles are those of the scale before.
        let keeps = self.keeps_styles.max(usize::from(loss.style_loss.is_by_place()));
        let styles = self.measured.of((gpu, graph), &loss, &pictures, keeps).await?;
        let seconds = lap.elapsed().as_secs_f64();
        let (styles, descent) = (styles.as_slice(), self.planner.descent);
        let from = std::mem::replace(start, Start::Content);
        let job = Job { content, styles, regions, start: from, loss, descent, layout };
        let painter = Painter::new(gpu, graph, &job).await;
        *start = job.start;
        let painter = painter?;
        let seconds = seconds + painter.target_seconds();
        Ok((painter, seconds))
    }

    /// The painting at the size that is wanted, as it is written.
    pub async fn result(&self, painter: &Painter) -> Result<Picture> {
        self.scene.finished(painter.picture().await?, self.graph.wrap())
    }
}

impl Studio for OnGpu {
    type Canvas = Painter;

    async fn prepare(&mut self, standing: &mut Standing, watcher: &mut dyn Watcher) -> Result<()> {
        let (planner, count) = (&self.planner, self.planner.sizes.len());
        // A painting that goes on uses memory as before.
        let planned = standing.layouts.last().copied().filter(|_| standing.layouts.len() == count);
        let seen = match planned {
            Some(last) => last.seen_size(planner.last()),
            None => planner.seen_size(&self.gpu, &self.graph)?,
        };
        let (on, how) = ((&self.gpu, &*self.graph), (seen, self.tunes));
        kernels::choose(on, how, &mut standing.kernels, watcher).await?;
        if planned.is_none() {
            // Once more, with the kernels that were chosen.
            let plans = planner.all(&self.gpu, &self.graph)?;
            standing.layouts = plans.iter().map(|plan| plan.layout).collect();
        }
        self.gpu.limit_bytes(planner.budget);
        Ok(())
    }

    /// Where the memory is not there after all, the next smaller plan is tried.
    async fn canvas(
        &mut self,
        scale: usize,
        start: Start,
        layouts: &mut [Layout],
        watcher: &mut dyn Watcher,
    ) -> Result<Painter> {
        let (gpu, graph, planner) = (&self.gpu, &self.graph, &self.planner);
        let size = planner.sizes[scale];
        let small = self.scene.at((size, graph.wrap()), planner.styles_at(scale));
        let (mut budget, mut start) = (planner.budget, start);
        let (painter, target_seconds) = loop {
            let layout = layouts[scale];
            let painter = self.painter((&small, scale), layout, &mut start).await;
            let error = match painter {
                Err(error @ Error::Memory(_)) => error,
                painter => break painter?,
            };
            // The layout that did not fit may be another run's, before a break.
            let mut plan = planner.at(gpu, graph, scale, budget)?;
            if plan.layout == layout {
                budget = plan.bytes / 4 * 3;
                plan = planner.at(gpu, graph, scale, budget)?;
            }
            if plan.layout == layout {
                return Err(error);
            }
            watcher.tell(Event::Smaller(&error, &plan))?;
            layouts[scale] = plan.layout;
        };
        watcher.tell(Event::Ready {
            scale,
            size,
            step: painter.plan(),
            allocated_bytes: gpu.allocated_bytes(),
            target_seconds,
        })?;
        Ok(painter)
    }

    async fn finished(&self, painter: &Painter) -> Result<Picture> {
        self.result(painter).await
    }

    fn finish(&self, painting: Picture) -> Result<Picture> {
        self.scene.finished(painting, self.graph.wrap())
    }

    fn kernels(&self) -> Kernels {
        kernels::in_use(&self.gpu)
    }

    fn is_lost(&self, error: &Error) -> bool {
        let lost = |error: &Error| matches!(error, Error::DeviceLost(_));
        lost(error) || self.gpu.check().is_err_and(|error| lost(&error))
    }

    async fn reopen(&mut self) -> Result<()> {
        let gpu = Gpu::open(&self.choice).await?;
        check_same(self.gpu.report(), gpu.report(), self.graph.precision())?;
        (self.gpu, self.measured) = (gpu, Measured::default());
        Ok(())
    }
}

/// A painting goes on by itself on the device that it was on. On another its steps would be others: that is for its
/// painter to say.
fn check_same(before: &AdapterReport, now: &AdapterReport, precision: Precision) -> Result<()> {
    let known =
        |report: &AdapterReport| (report.name.clone(), report.driver.clone(), report.backend);
    if known(before) != known(now) {
        return Err(Error::DeviceLost(format!(
            "{} ({}) is not there any more, and {} ({}) would give another picture: go on with what was kept, or start anew",
            before.name, before.driver, now.name, now.driver
        )));
    }
    if precision == Precision::F16 && !now.f16 {
        return Err(Error::DeviceLost(format!("{} has come back without f16", now.name)));
    }
    Ok(())
}

impl Canvas for Painter {
    fn steps(&self) -> u64 {
        Painter::steps(self)
    }

    fn is_flat(&self) -> bool {
        Painter::is_flat(self)
    }

    fn recall(&mut self, losses: &mut dyn Iterator<Item = f32>) {
        Painter::recall(self, losses);
    }

    async fn paint(
        &mut self,
        steps: u64,
        save_every: Option<u64>,
        watch: &mut dyn FnMut(paint::Event<'_>) -> Verdict,
    ) -> Result<()> {
        Painter::paint(self, steps, save_every, watch).await
    }

    async fn carried(&self) -> Result<Carried> {
        Painter::carried(self).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::LossSettings;
    use crate::nets::Network;
    use crate::optim::Method;
    use crate::paint::Descent;
    use crate::picture::Depth;

    /// Memory that is not there although the plan counted on it: the painter comes in tiles then.
    #[test]
    fn what_does_not_fit_after_all_is_painted_in_tiles() {
        let choice = Choice::default();
        let gpu = pollster::block_on(Gpu::open(&choice)).expect("a GPU");
        let network = Network::random(16, 1, Some("relu4_1")).expect("a network");
        let size = (400, 300);
        let grey = vec![0.5; 3 * 400 * 300];
        let content = Picture::from_planes(size, grey, None, Depth::Eight).expect("planes fit");
        let planner = Planner {
            sizes: vec![size],
            styles: vec![size],
            masks: 0,
            least_share: 1.0,
            loss: LossSettings::plain(),
            descent: Descent { method: Method::Lbfgs { history: 1 }, ..Descent::default() },
            budget: 4_000_000_000,
            tile: None,
        };
        let graph = Arc::new(Graph::new(network).expect("a graph"));
        let plan = planner.at(&gpu, &graph, 0, planner.budget).expect("a plan");
        assert_eq!(plan.layout.tiles, None);
        let mut layouts = [plan.layout];
        let styles = vec![(content.clone(), 1.0)];
        let scene = Scene::new(content, styles);
        let mut studio = OnGpu {
            gpu: gpu.clone(),
            choice,
            graph,
            scene,
            planner,
            measured: Measured::default(),
            keeps_styles: 0,
            tunes: false,
        };
        let mut smaller = 0;
        let mut watch = |event: Event<'_>| {
            smaller += usize::from(matches!(event, Event::Smaller(..)));
            Verdict::Continue
        };
        gpu.limit_bytes(plan.bytes / 2);
        let mut canvas = |layouts: &mut [Layout]| {
            pollster::block_on(studio.canvas(0, Start::Content, layouts, &mut watch))
        };
        let painter = canvas(&mut layouts);
        assert!(painter.is_ok(), "{:?}", painter.err());
        drop(painter);
        gpu.limit_bytes(gpu.allocated_bytes() + 1000);
        let error = canvas(&mut layouts.clone()).err().expect("no room");
        assert!(matches!(error, Error::Memory(_)), "{error}");
        assert!(layouts[0].tiles.is_some(), "{layouts:?}");
        assert!(smaller > 0);
    }

    #[test]
    fn only_the_same_device_goes_on_by_itself() {
        let gpu = pollster::block_on(Gpu::open(&Choice::default())).expect("a GPU");
        let report = gpu.report();
        assert!(check_same(report, &report.clone(), Precision::F32).is_ok());
        let other = AdapterReport { driver: "another".into(), ..report.clone() };
        let error = check_same(report, &other, Precision::F32).expect_err("another driver");
        assert!(matches!(error, Error::DeviceLost(what) if what.contains("another")));
        let weaker = AdapterReport { f16: false, ..report.clone() };
        assert!(check_same(report, &weaker, Precision::F32).is_ok());
        assert!(check_same(report, &weaker, Precision::F16).is_err());
    }
}
