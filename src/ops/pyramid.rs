//! A picture as its Laplacian pyramid (Burt and Adelson, "The Laplacian Pyramid as a Compact Image Code", 1983): what every
//! size has over the next smaller one, and the smallest.
//!
//! A picture that is optimised by these coefficients moves large areas as fast as single pixels (Kolkin et al., "Neural
//! Neighbor Style Transfer", arXiv 2203.13215, section 3.3). All of it is linear and made of other operations: sizes are
//! halved by [`downsample`](super::downsample()), and doubled by sampling bilinearly, which for even sides is four times its adjoint.

use super::{Grid, Sampled, add, hypercolumn};
use crate::error::{Error, Result};
use crate::tape::{Tape, Var};

/// Height and width of the levels of a picture, finest first: as many as are asked for, fewer where a side would be less
/// than 1.
pub fn levels(size: [usize; 2], count: usize) -> Vec<[usize; 2]> {
    let half = |[h, w]: &[usize; 2]| Some([h / 2, w / 2]).filter(|[h, w]| *h.min(w) > 0);
    std::iter::successors(Some(size), half).take(count.max(1)).collect()
}

/// A map at twice its size, bilinear; the last pixel of an odd side is that before it.
fn enlarged(tape: &mut Tape, map: Var, cells: [usize; 2]) -> Result<Var> {
    hypercolumn(tape, &[Sampled { map, stride: 2 }], Grid { cell: [1, 1], cells })
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
