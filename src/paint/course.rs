//! How far a painter has come: what does not depend on where its picture lies.

use crate::paint::event::{Event, Verdict, Watch};
use crate::paint::flat::Flat;
use crate::paint::ring::LossRow;
use crate::paint::start::Carried;
use web_time::Instant;

use crate::error::{Error, Knob, Result};
use crate::picture::{Depth, Metadata, Picture};

/// After so many steps it is looked whether the loss is flat. Always after the same ones, whenever losses arrive: two
/// runs stop at the same step.
const FLAT_EVERY: u64 = 10;

/// Steps, seconds and whether the loss still falls.
pub(crate) struct Course {
    /// Steps taken, those of the painters before included, and the seconds of those.
    pub steps: u64,
    seconds_before: f64,
    /// When the first step began.
    began: Option<Instant>,
    pub flat: Option<Flat>,
}

impl Course {
    pub fn new(carried: Option<&Carried>, flat: Option<f32>) -> Self {
        let (steps, seconds_before) = carried.map_or((0, 0.0), |c| (c.state.steps, c.seconds));
        Course { steps, seconds_before, began: None, flat: flat.map(Flat::new) }
    }

    /// The first step begins.
    pub fn begin(&mut self) {
        self.began.get_or_insert_with(Instant::now);
    }

    /// Seconds since the first step began, with those before what was carried over.
    pub fn seconds(&self) -> f64 {
        self.seconds_before + self.began.map_or(0.0, |began| began.elapsed().as_secs_f64())
    }

    pub fn is_flat(&self) -> bool {
        self.flat.as_ref().is_some_and(Flat::reached)
    }

    /// What has been seen of the loss was another's.
    pub fn retarget(&mut self) {
        if let Some(flat) = &mut self.flat {
            flat.forget();
        }
    }

    /// Whether it is looked after so many steps in all.
    pub fn looks(&self, steps: u64) -> bool {
        self.flat.is_some() && steps.is_multiple_of(FLAT_EVERY)
    }

    /// Hands out losses, and stops where there is nothing left to descend.
    pub fn tell(&mut self, rows: &[LossRow], watch: Watch<'_>) -> Result<Verdict> {
        if let Some(flat) = &mut self.flat {
            rows.iter().for_each(|row| flat.push(row.total));
        }
        let verdict = if rows.is_empty() { Verdict::Continue } else { watch(Event::Losses(rows)) };
        match rows.iter().find(|row| !row.total.is_finite()) {
            None => Ok(verdict),
            Some(row) => Err(Error::Diverged(format!(
                "the loss is no finite number any more at step {}: take smaller weights or a smaller \
                 step size ({}); with {} f16, f32 holds larger numbers",
                row.step,
                Knob::Lr,
                Knob::Precision
            ))),
        }
    }
}

/// What the result has from the content.
pub(crate) struct Frame {
    pub size: (u32, u32),
    alpha: Option<Vec<f32>>,
    pub depth: Depth,
    metadata: Metadata,
}

impl Frame {
    pub fn of(content: &Picture) -> Self {
        // Another picture's settings are not those of this one.
        let metadata = Metadata { settings: None, ..content.metadata().clone() };
        let alpha = content.alpha().map(<[f32]>::to_vec);
        Frame { size: content.size(), alpha, depth: content.depth(), metadata }
    }

    /// The picture with these colours, 3×H×W.
    pub fn picture(&self, rgb: Vec<f32>) -> Result<Picture> {
        let picture = Picture::from_planes(self.size, rgb, self.alpha.clone(), self.depth)?;
        Ok(picture.with_metadata(self.metadata.clone()))
    }
}
