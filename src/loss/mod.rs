//! What is wanted of a picture, as recordings: [`targets`] measures the targets once and records the loss, [`style`] has
//! what styles are compared by, `detail` keeps fine content, [`regions`] says which styles paint where.

pub(crate) mod detail;
pub mod regions;
pub mod style;
pub mod targets;

pub use crate::ops::Variation;
pub use regions::{Mask, Regions};
pub use style::{Normalization, StyleLoss};
pub use targets::{LayerWeight, LossSettings, Styles, Targets};
