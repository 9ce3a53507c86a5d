//! One painting from coarse to fine.

pub mod checkpoint;
pub mod preset;
pub mod scales;

pub use checkpoint::Checkpoint;
pub use preset::{PRESETS, Preset};
pub use scales::Scales;
