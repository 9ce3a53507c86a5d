//! What is to be painted, and how.

use crate::loss::{Aim, LossSettings, Pixels, Regions, StyleTraits};
use crate::optim::Method;
use crate::paint::descent::Descent;
use crate::paint::layout::Layout;
use crate::paint::start::{Carried, Start};
use crate::picture::Picture;

/// All that a picture is made from. Pictures come in the sizes they are used at and in the content's colour space
/// ([`Picture::into_space_of`]), which is the result's.
pub struct Job<'a> {
    /// The content, at the size of the result.
    pub content: &'a Picture,
    /// What was measured of the styles ([`measure::styles`](crate::tiles::measure::styles)), each with its weight in the
    /// blend.
    pub styles: &'a [(StyleTraits, f32)],
    /// Which parts of the picture the styles paint; by default each paints all of it. Masks have the sizes of their
    /// pictures.
    pub regions: &'a Regions,
    /// The initial picture.
    pub start: Start,
    /// The loss.
    pub loss: LossSettings,
    /// How the picture is moved.
    pub descent: Descent,
    /// Where the picture lies; by default on the GPU.
    pub layout: Layout,
}

impl<'a> Job<'a> {
    /// What the picture is to become.
    pub(crate) fn aim(&'a self) -> Aim<'a> {
        Aim {
            content: Pixels::of(self.content),
            styles: self.styles,
            regions: self.regions,
            loss: &self.loss,
            tile: self.layout.measuring_tile(),
        }
    }

    /// Where another painter left off.
    pub(crate) fn carried(&self) -> Option<&Carried> {
        match &self.start {
            Start::Carried(carried) => Some(carried),
            _ => None,
        }
    }

    /// How the picture is moved: at this strength, with as long a history as there is room for.
    pub(crate) fn descent(&self) -> Descent {
        let descent = weaker(&self.descent, self.loss.strength);
        match (descent.method, self.layout.history) {
            (Method::Lbfgs { history }, Some(most)) => {
                Descent { method: Method::Lbfgs { history: history.min(most) }, ..descent }
            }
            _ => descent,
        }
    }
}

/// How a picture is moved at a strength. Adam's steps are as long as the learning rate however small the gradient is:
/// where little is asked for, long ones would only shake the picture.
pub(crate) fn weaker(descent: &Descent, strength: f32) -> Descent {
    let weaker = |lr| strength * lr;
    let (lr, in_tiles) = (weaker(descent.lr), descent.in_tiles.map(weaker));
    Descent { lr, in_tiles, ..*descent }
}
