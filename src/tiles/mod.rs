//! Pictures that are looked at in parts: [`grid`] cuts, `part` records the loss of a tile, [`measure`] sums over tiles what
//! is measured once, [`gradient`] adds up the gradients of a step, [`search`] looks for neighbours.

pub mod gradient;
pub mod grid;
pub mod measure;
pub(crate) mod part;
pub mod search;
