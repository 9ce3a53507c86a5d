//! A picture as its Laplacian pyramid (Burt and Adelson, "The Laplacian Pyramid as a Compact Image Code", 1983): what every
//! size has over the next smaller one, and the smallest.
//!
//! A picture that is optimised by these coefficients moves large areas as fast as single pixels (Kolkin et al., "Neural
//! Neighbor Style Transfer", arXiv 2203.13215, section 3.3). All of it is linear and made of other operations: sizes are
//! halved by [`downsample()`], and doubled by sampling bilinearly, which for even sides is four times its adjoint.

use super::{Grid, add, downsample, hypercolumn, weighted_sum};
use crate::error::{Error, Result};
use crate::shape::Wrap;
use crate::tape::{Tape, Var};

/// Height and width of the levels of a picture, finest first: as many as are asked for, fewer where a side would be less
/// than 1.
pub fn levels(size: [usize; 2], count: usize) -> Vec<[usize; 2]> {
    let half = |[h, w]: &[usize; 2]| Some([h / 2, w / 2]).filter(|[h, w]| *h.min(w) > 0);
    std::iter::successors(Some(size), half).take(count.max(1)).collect()
}

/// A map at a larger size, bilinear.
fn enlarged(tape: &mut Tape, x: Var, [h, w]: [usize; 2]) -> Result<Var> {
    hypercolumn(tape, &[x], Grid::whole(h, w))
}

/// The levels of a picture, finest first, of the sizes that [`levels`] names. C×H×W → C×H×W, C×⌊H/2⌋×⌊W/2⌋, …
///
/// # Errors
/// As [`Tape::record`].
pub fn analysis(tape: &mut Tape, picture: Var, count: usize) -> Result<Vec<Var>> {
    let [_, h, w] = tape.shape(picture).chw("pyramid")?;
    let (mut left, mut all) = (picture, Vec::new());
    for size in levels([h, w], count).into_iter().rev().skip(1).rev() {
        let coarse = downsample(tape, left, Wrap::None)?;
        let smooth = enlarged(tape, coarse, size)?;
        all.push(weighted_sum(tape, &[(1.0, left), (-1.0, smooth)])?);
        left = coarse;
    }
    all.push(left);
    Ok(all)
}

/// The picture that has these levels, finest first, of the first one's size.
///
/// # Errors
/// [`Error::Shape`] when there is no level; otherwise as [`Tape::record`].
pub fn synthesis(tape: &mut Tape, levels: &[Var]) -> Result<Var> {
    let mut left = levels.iter().rev().copied();
    let none = || Error::Shape { op: "pyramid", what: "there is no level".into() };
    let mut picture = left.next().ok_or_else(none)?;
    for level in left {
        let [_, h, w] = tape.shape(level).chw("pyramid")?;
        let smooth = enlarged(tape, picture, [h, w])?;
        picture = add(tape, smooth, level)?;
    }
    Ok(picture)
}
