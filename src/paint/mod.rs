//! The step loop at one size: a picture is moved, step by step, until its deep features resemble the content
//! picture's and the statistics of its features the style pictures' (Gatys, Ecker, Bethge, "Image
//! Style Transfer Using Convolutional Neural Networks", CVPR 2016).
//!
//! [`painter`] takes the steps, of a picture on the GPU or on the host; [`ring`] brings the losses back without stalling
//! them, [`start`] makes the first picture, `handover` brings an optimiser's state to its size, [`flat`] says when more steps are of no use.

mod course;
mod descent;
pub mod flat;
mod handover;
mod layout;
pub mod painter;
mod pieces;
pub mod ring;
pub mod start;
mod tiles;
mod whole;

pub use descent::Descent;
pub use flat::Flat;
pub use layout::{Layout, TileLayout};
pub use painter::{Event, Job, Painter, Verdict};
pub use ring::LossRow;
pub use start::{Carried, Start};
