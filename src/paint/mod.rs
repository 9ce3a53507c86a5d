//! The step loop at one size: a picture is moved, step by step, until its deep features resemble the content
//! picture's and the statistics of its features the style pictures' (Gatys, Ecker, Bethge, "Image
//! Style Transfer Using Convolutional Neural Networks", CVPR 2016).
//!
//! A `job` says what is painted and `layout` where; [`painter`] takes the steps, of a picture that is `on_gpu` or `on_host`;
//! [`ring`] brings the losses back without stalling them, [`start`] makes the first picture, `handover` brings an
//! optimiser's state to its size, [`flat`] says when more
//! steps are of no use.

mod course;
mod descent;
mod event;
pub mod flat;
mod handover;
mod job;
mod layout;
mod levels;
pub(crate) mod on_gpu;
pub(crate) mod on_host;
pub mod painter;
mod pieces;
mod places;
pub mod ring;
pub mod start;

pub use descent::Descent;
pub use event::{Event, Verdict};
pub use flat::Flat;
pub use job::Job;
pub use layout::{Layout, TileLayout};
pub use levels::Levels;
pub use painter::Painter;
pub use ring::LossRow;
pub use start::{Carried, Start};
