//! A picture on the host: the GPU sees tiles of it, and the optimiser moves it piece by piece.

use std::borrow::Cow;

use web_time::Instant;

use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::loss::{Aim, StyleTargets};
use crate::nets::Graph;
use crate::optim::State;
use crate::paint::course::{Course, Frame};
use crate::paint::descent::Descent;
use crate::paint::event::{Event, Verdict, Watch};
use crate::paint::pieces::Pieces;
use crate::paint::ring::LossRow;
use crate::tiles::gradient::TiledGradient;
use crate::tiles::grid::Grid;

pub(crate) struct OnHost {
    pub gradient: TiledGradient,
    pub pieces: Pieces,
    /// The gradient of the whole picture, 3×H×W.
    sum: Vec<f32>,
}

impl OnHost {
    /// Measures the content and records the step in the tiles of a grid, which are at most so many px long; `kept` is that
    /// of [`TiledGradient::new`]. The picture starts from `start`, or goes on from `before`. Also gives the seconds that
    /// measuring and recording took.
    pub async fn new(
        gpu: &Gpu,
        graph: &Graph,
        of: (&Aim<'_>, &StyleTargets),
        descent: &Descent,
        cut: (Grid, usize, Option<usize>),
        (start, before): (Vec<f32>, Option<Cow<'_, State>>),
    ) -> Result<(Self, f64)> {
        let Some(descent) = descent.by_pieces() else {
            let what = "this optimiser needs the whole picture on the GPU: take adam, which works in tiles";
            return Err(Error::Usage(what.into()));
        };
        let piece = 3 * cut.0.tile.0 * cut.0.tile.1;
        let lap = Instant::now();
        let gradient = TiledGradient::new(gpu, graph, of, cut).await?;
        let seconds = lap.elapsed().as_secs_f64();
        let sum = vec![0.0; start.len()];
        let pieces = Pieces::new(gpu, &descent, start, piece, before)?;
        Ok((OnHost { gradient, pieces, sum }, seconds))
    }

    /// Records the step anew for another aim.
    pub async fn retarget(
        &mut self,
        graph: &Graph,
        (aim, style): (&Aim<'_>, &StyleTargets),
        (descent, steps): (&Descent, u64),
    ) -> Result<()> {
        self.gradient.retarget(graph, aim, style)?;
        let lr = descent.by_pieces().map_or(descent.lr, |descent| descent.lr);
        self.pieces.retarget(lr, steps).await
    }

    /// Takes the memory that reading a tile and a piece takes for a while.
    pub fn plan_reading(&self) {
        self.gradient.plan_reading();
        self.pieces.plan_reading();
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
            self.sum.fill(0.0);
            let of = 2 * self.gradient.grid().count();
            let mut tell = |done| watch(Event::Tiles(done, of)) == Verdict::Continue;
            let (picture, sum) = (self.pieces.picture(), &mut self.sum);
            let sums = self.gradient.gradient(picture, sum, &mut tell).await?;
            // Stopped between two tiles: the picture stays as it was.
            let Some(sums) = sums else { break };
            self.pieces.step(&self.sum).await?;
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
