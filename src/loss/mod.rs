//! What is wanted of a picture, as recordings. From the ground up: [`style`] says by what styles are compared, [`settings`]
//! which layers count and how much, [`moments`] are what is measured of a style, `style_target` and `content` what a
//! layer should be, [`regions`] which styles paint where, `detail` keeps fine content; [`aim`] blends styles that were
//! measured once, and [`targets`] records the loss. [`neighbours`] looks at styles place by place instead.

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
pub mod targets;

pub use crate::ops::Variation;
pub use aim::{Aim, StyleTargets};
pub use moments::StyleMoments;
pub use octaves::Octaves;
pub use pixels::Pixels;
pub use regions::{Mask, Regions};
pub use settings::{LayerWeight, LossSettings};
pub use style::{Normalization, StyleLoss};
pub use targets::Targets;
