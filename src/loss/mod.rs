//! What is wanted of a picture, as recordings. From the ground up: [`style`] says by what styles are compared, [`settings`]
//! which layers count and how much, [`moments`] are what is measured of a style, `style_target` and `content` what a
//! layer should be, [`regions`] which styles paint where, `detail` keeps fine content; [`style_targets`] blends styles that were
//! measured once for an [`aim`], and [`targets`] records the loss. [`neighbours`] looks at styles place by place instead.

pub mod aim;
mod content;
pub(crate) mod detail;
pub mod moments;
pub mod neighbours;
pub mod octaves;
pub(crate) mod pixels;
pub mod regions;
pub mod settings;
pub mod style;
mod style_target;
pub mod style_targets;
pub mod targets;

pub use crate::ops::Variation;
pub use aim::Aim;
pub use moments::StyleTraits;
pub use octaves::Octaves;
pub use pixels::Pixels;
pub use regions::{Mask, Regions};
pub use settings::{LayerWeight, LossSettings};
pub use style::{Normalization, StyleLoss};
pub use style_targets::StyleTargets;
pub use targets::Targets;
