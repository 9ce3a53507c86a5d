//! Fine content: the gradient domain of the picture itself, without the network, which sees edges through its pools.
//!
//! The total variation ([`Variation::Squares`]) of the difference x − content is the squared error of all steps from a
//! pixel to the next; over the content's own it is dimensionless: 0 where every edge stands as it was, 1 where all are
//! gone. What changes slowly, such as the colour of a wall, is free.

use crate::error::Result;
use crate::loss::pixels::Pixels;
use crate::loss::settings::LossSettings;
use crate::ops::{self, Variation};
use crate::shape::Wrap;
use crate::tape::{Tape, Var};

/// A content without edges is taken to have these: as large as rounding to 8 bits makes.
const LEAST: f64 = 1e-5;

/// The factor of [`whole`] and [`part`] in the loss of this content: the weight over the content's own variation. `wrap`: its
/// edges that meet.
pub(crate) fn weight(settings: &LossSettings, content: Pixels<'_>, wrap: Wrap) -> f32 {
    match settings.detail_weight {
        0.0 => 0.0,
        weight => (f64::from(weight) / variation(content, wrap).max(LEAST)) as f32,
    }
}

/// mean(across²) + mean(down²) of a picture.
fn variation(pixels: Pixels<'_>, wrap: Wrap) -> f64 {
    let [_, height, width] = pixels.shape();
    let square = |(a, b): (&f32, &f32)| f64::from(b - a).powi(2);
    let (mut across, mut down) = (0.0, 0.0);
    for plane in pixels.rgb.chunks_exact((width * height).max(1)) {
        for row in plane.chunks_exact(width) {
            across += row.iter().zip(row.iter().skip(1)).map(square).sum::<f64>();
            if let Some(ends) = row.last().zip(row.first()).filter(|_| wrap.x()) {
                across += square(ends);
            }
        }
        down += plane.iter().zip(plane.iter().skip(width)).map(square).sum::<f64>();
        if wrap.y() {
            let last = plane.iter().skip((height - 1) * width);
            down += last.zip(plane).map(square).sum::<f64>();
        }
    }
    let [x, y] = [wrap.x(), wrap.y()].map(usize::from);
    let count = |steps: usize| (3 * steps).max(1) as f64;
    across / count((width + x - 1) * height) + down / count(width * (height + y - 1))
}

/// Records the variation of what differs from the content.
pub(crate) fn whole(tape: &mut Tape, picture: Var, content: Var, wrap: Wrap) -> Result<Var> {
    let apart = ops::weighted_sum(tape, &[(1.0, picture), (-1.0, content)])?;
    ops::total_variation(tape, apart, Variation::Squares, wrap)
}

/// Records a part's share of that; `frame` and `of` are those of [`ops::partial_variation`].
pub(crate) fn part(
    tape: &mut Tape,
    [picture, content]: [Var; 2],
    frame: Var,
    of: (usize, usize),
) -> Result<Var> {
    let apart = ops::weighted_sum(tape, &[(1.0, picture), (-1.0, content)])?;
    ops::partial_variation(tape, apart, Variation::Squares, frame, of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variation_is_a_mean_over_steps() {
        // Rows 0 1 3 and 1 1 1, three times.
        let rgb = [0.0, 1.0, 3.0, 1.0, 1.0, 1.0].repeat(3);
        let steps = Pixels { size: (3, 2), rgb: &rgb };
        let point = Pixels { size: (1, 1), rgb: &[0.5; 3] };
        assert_eq!(variation(steps, Wrap::None), 5.0 / 4.0 + 5.0 / 3.0);
        // From the last pixels of the rows to the first: 9 and 0; down, all twice.
        assert_eq!(variation(steps, Wrap::X), 14.0 / 6.0 + 5.0 / 3.0);
        assert_eq!(variation(steps, Wrap::Both), 14.0 / 6.0 + 5.0 / 3.0);
        assert_eq!(variation(point, Wrap::Both), 0.0);
        let settings = LossSettings { detail_weight: 2.0, ..LossSettings::plain() };
        assert_eq!(weight(&settings, point, Wrap::None), 2e5);
        assert_eq!(weight(&LossSettings::plain(), steps, Wrap::None), 0.0);
    }
}
