//! Pictures that are looked at in parts: [`grid`] cuts, `part` records the loss of a tile, [`tiled`] adds up their gradients.

pub mod grid;
pub(crate) mod part;
pub mod tiled;
