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
use crate::paint::levels::Levels;
use crate::paint::pieces::Pieces;
use crate::paint::places;
use crate::paint::ring::LossRow;
use crate::tiles::gradient::TiledGradient;
use crate::tiles::grid::Grid;

pub(crate) struct OnHost {
    pub gradient: TiledGradient,
    levels: Levels,
    /// One for each level.
    pieces: Vec<Pieces>,
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
        let (aim, style) = of;
        let levels = Levels::new(aim.loss, aim.content.size);
        let (on, from) = ((gpu, graph), (&levels, start.as_slice(), before.as_deref()));
        let found = places::found(on, (aim, style), from, Some(&cut.0)).await?;
        let mut gradient = TiledGradient::new(gpu, graph, of, cut).await?;
        gradient.set_found(found);
        let seconds = lap.elapsed().as_secs_f64();
        let (sum, settings) = (vec![0.0; start.len()], levels.optimizer(&descent));
        let mut pieces = Vec::new();
        let before = before.map(|before| places::handed(before, gradient.found()));
        let starts = levels.starts(&start, before.as_deref()).into_iter().zip(levels.shapes());
        for (level, (start, shape)) in starts.enumerate() {
            let piece = piece.min(shape.iter().product());
            let before = before.as_deref().map(|before| Cow::Owned(levels.state_of(level, before)));
            pieces.push(Pieces::new(gpu, &settings, start, piece, before)?);
        }
        Ok((OnHost { gradient, levels, pieces, sum }, seconds))
    }

    /// The picture of what the pieces have.
    fn joined<'a>(&'a self, of: impl Fn(&'a Pieces) -> &'a [f32]) -> Cow<'a, [f32]> {
        match self.pieces.as_slice() {
            [one] if !self.levels.are_many() => Cow::Borrowed(of(one)),
            all => Cow::Owned(self.levels.join(&all.iter().map(of).collect::<Vec<_>>())),
        }
    }

    /// The result as it stands.
    pub fn result(&self) -> Cow<'_, [f32]> {
        match self.joined(Pieces::result) {
            Cow::Owned(rgb) => Cow::Owned(places::result(rgb, self.gradient.places())),
            own => own,
        }
    }

    /// What the next painter goes on from.
    pub fn state(&self, steps: u64) -> State {
        let mut state =
            self.levels.state(steps, self.pieces.iter().map(|piece| piece.state(steps)));
        let levels = self.levels.kept_names().zip(&self.pieces);
        let levels = levels.map(|(name, piece)| (name, piece.picture().to_vec()));
        places::keep(&mut state, self.gradient.found(), levels.filter(|_| self.levels.are_many()));
        state
    }

    /// Bytes of system memory for what the optimiser knows.
    pub fn host_bytes(&self) -> u64 {
        let counts = self.levels.shapes().map(|shape| shape.iter().product::<usize>() as u64);
        self.pieces.iter().zip(counts).map(|(piece, count)| piece.host_bytes(count)).sum()
    }

    /// Records the step anew for another aim.
    pub async fn retarget(
        &mut self,
        graph: &Graph,
        (aim, style): (&Aim<'_>, &StyleTargets),
        (descent, steps): (&Descent, u64),
    ) -> Result<()> {
        if style.places.is_some() {
            let (picture, on) = (self.result().into_owned(), (self.gradient.gpu(), graph));
            let (from, grid) = ((&self.levels, picture.as_slice(), None), self.gradient.grid());
            let found = places::found(on, (aim, style), from, Some(grid)).await?;
            self.gradient.set_found(found);
            for (pieces, level) in self.pieces.iter_mut().zip(self.levels.split(&picture)) {
                pieces.set_picture(level);
            }
        }
        self.gradient.retarget(graph, aim, style)?;
        let lr = descent.by_pieces().map_or(descent.lr, |descent| descent.lr);
        for pieces in &self.pieces {
            pieces.retarget(lr, steps).await?;
        }
        Ok(())
    }

    /// Takes the memory that reading a tile and a piece takes for a while.
    pub fn plan_reading(&self) {
        self.gradient.plan_reading();
        self.pieces.iter().for_each(Pieces::plan_reading);
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
            let of = self.gradient.passes() * self.gradient.grid().count();
            let mut tell = |done| watch(Event::Tiles(done, of)) == Verdict::Continue;
            // All of it is borrowed but what follows the gradient.
            let joined = match self.levels.are_many() {
                true => Some(self.joined(Pieces::picture).into_owned()),
                false => None,
            };
            let picture = joined.as_deref().unwrap_or_else(|| self.pieces[0].picture());
            let sums = self.gradient.gradient(picture, &mut self.sum, &mut tell).await?;
            // Stopped between two tiles: the picture stays as it was.
            let Some(sums) = sums else { break };
            match self.pieces.as_mut_slice() {
                [one] => one.step(&self.sum).await?,
                all => {
                    for (pieces, gradient) in all.iter_mut().zip(self.levels.gradients(&self.sum)) {
                        pieces.step(&gradient).await?;
                    }
                }
            }
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
                let picture = frame.picture(self.result().into_owned())?;
                if watch(Event::Picture(course.steps, picture)) == Verdict::Stop {
                    break;
                }
            }
        }
        watch(Event::Steps(course.steps));
        Ok(())
    }
}
