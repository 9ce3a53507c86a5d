//! A painter whose picture lies on the host.

use crate::loss::targets::Styles;
use crate::paint::course::{Course, Frame, Watch};
use crate::paint::handover;
use crate::paint::painter::{Event, Job, Verdict};
use crate::paint::pieces::Pieces;
use crate::paint::ring::LossRow;
use crate::paint::start::Carried;
use crate::tiles::grid::Grid;
use crate::tiles::tiled::{Tiled, TiledTargets};
use web_time::Instant;

use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::nets::Graph;

pub(crate) struct Tiles {
    pub tiled: Tiled,
    pub pieces: Pieces,
    gradient: Vec<f32>,
}

impl Tiles {
    /// Measures the targets and records the step in tiles of at most `most` px; also gives the seconds that the
    /// targets took.
    pub async fn new(
        gpu: &Gpu,
        graph: &Graph,
        job: &Job<'_>,
        carried: Option<&Carried>,
        (most, keep): (usize, bool),
    ) -> Result<(Self, f64)> {
        let Some(descent) = job.descent().by_pieces() else {
            let what = "this optimiser needs the whole picture on the GPU: take adam, which works in tiles";
            return Err(Error::Usage(what.into()));
        };
        let (settings, size) = (&job.loss, job.content.size());
        let tile = Some(job.layout.style_tile.unwrap_or(most));
        let styles = Styles { pictures: job.styles, regions: job.regions, tile };
        let lap = Instant::now();
        let targets =
            TiledTargets::measure(gpu, graph, settings, job.content, &styles, most).await?;
        let target_seconds = lap.elapsed().as_secs_f64();
        let grid = Grid::new(size, most, graph.reach(&settings.counted_taps()))?;
        let piece = 3 * grid.tile.0 * grid.tile.1;
        let scene = (job.content, targets);
        let tiled = Tiled::new(gpu, graph, settings, scene, (grid, keep))?;
        let picture = job.start.rgb(job.content, settings.strength);
        let gradient = vec![0.0; picture.len()];
        let before = |carried| handover::state(carried, size, descent.method);
        let before = carried.map(before).transpose()?;
        let pieces = Pieces::new(gpu, &descent, picture, piece, before)?;
        Ok((Tiles { tiled, pieces, gradient }, target_seconds))
    }

    pub async fn paint(
        &mut self,
        steps: u64,
        save_every: Option<u64>,
        (course, frame): (&mut Course, &Frame),
        watch: Watch<'_>,
    ) -> Result<()> {
        let before = course.steps;
        for step in 1..=steps {
            if watch(Event::Steps(course.steps)) == Verdict::Stop {
                break;
            }
            self.gradient.fill(0.0);
            let of = 2 * self.tiled.grid().count();
            let mut tell = |done| watch(Event::Tiles(done, of)) == Verdict::Continue;
            let (picture, gradient) = (self.pieces.picture(), &mut self.gradient);
            let sums = self.tiled.gradient(picture, gradient, &mut tell).await?;
            // Stopped between two tiles: the picture stays as it was.
            let Some(sums) = sums else { break };
            self.pieces.step(&self.gradient).await?;
            let row = LossRow {
                step: course.steps,
                total: sums.total,
                content: sums.content,
                style: sums.style,
                tv: sums.variation,
                seconds: course.seconds(),
            };
            course.steps += 1;
            let saves = step < steps && save_every.is_some_and(|n| (before + step) % n == 0);
            let flat = |course: &Course| course.looks(before + step) && course.is_flat();
            if course.tell(&[row], watch)? == Verdict::Stop || flat(course) {
                break;
            }
            if saves {
                let picture = frame.picture(self.pieces.result().to_vec())?;
                if watch(Event::Picture(course.steps, picture)) == Verdict::Stop {
                    break;
                }
            }
        }
        watch(Event::Steps(course.steps));
        Ok(())
    }
}
