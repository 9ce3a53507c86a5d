//! The method: a picture is moved, step by step, until its deep features resemble the content
//! picture's and the statistics of its features the style pictures' (Gatys, Ecker, Bethge, "Image
//! Style Transfer Using Convolutional Neural Networks", CVPR 2016).
//!
//! [`loss`] measures the targets once and records the loss, [`style`] has what styles are compared by, [`painter`]
//! takes the steps, [`ring`] brings the losses back without stalling them, [`start`] makes the first picture,
//! [`preset`] has the settings of other programs, [`scales`] says at which sizes to paint before the one that is
//! wanted, [`flat`] when more steps are of no use, [`loss_scale`] keeps f16 gradients in range, [`checkpoint`] makes
//! bytes of a run's state. [`memory`] decides
//! whether the GPU sees the picture whole or in tiles ([`grid`], [`tiled`]), [`regions`] which styles paint where.

pub mod checkpoint;
mod course;
mod detail;
pub mod flat;
pub mod grid;
pub mod loss;
pub mod loss_scale;
pub mod memory;
pub mod painter;
mod part;
mod pieces;
pub mod preset;
pub mod regions;
pub mod ring;
pub mod scales;
pub mod start;
pub mod style;
pub mod tiled;
mod tiles;
mod whole;

pub use checkpoint::Checkpoint;
pub use flat::Flat;
pub use loss::{LayerWeight, LossSettings, Styles};
pub use memory::{Layout, MemoryPlan};
pub use painter::{Event, Job, Painter, Verdict};
pub use preset::{PRESETS, Preset};
pub use regions::{Mask, Regions};
pub use ring::LossRow;
pub use scales::Scales;
pub use start::{Carried, Start};
pub use style::{Normalization, StyleLoss};
