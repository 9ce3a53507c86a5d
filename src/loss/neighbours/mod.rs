//! Neural neighbours: every place of a picture is to look like the place of a style that is nearest to it (Kolkin, Kucera,
//! Paris, Sýkora, Shechtman, Shakhnarovich, "Neural Neighbor Style Transfer", arXiv 2203.13215).
//!
//! What a place looks like is its hypercolumn: the features of several layers, sampled on a grid a quarter of the picture's
//! size. `StyleVectors` are those of a style, in four rotations; a `Pool` has what a blend of styles takes of each.
//! Before the first step of a size every place gets the nearest vector of the pool by centred cosine (`tiles::search`), and the loss
//! is the mean cosine distance from these, not centred. When the picture has its size, features are split: every layer looks
//! for itself, at fewer places, and anew in every step.
//!
//! No loss of [`style`](crate::loss::style) that compares moments is like it: what it compares with depends on the place. `places`
//! records it.

mod grids;
mod places;
mod pool;
mod vectors;

pub use grids::{FINE, LAYERS, LEVELS};
pub(crate) use grids::{TURNS, grid, part_of, reach, style_grid};
pub(crate) use places::{Cells, PlaceInputs, PlaceVars, sampled};
pub use places::{Found, Places};
pub(crate) use vectors::{StyleVectors, quarter_turn};
