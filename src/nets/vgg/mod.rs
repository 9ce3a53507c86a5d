//! Feature networks of the VGG family, as data: a table of layers with f32 weights on the CPU.
//!
//! ```text
//! picture (RGB, 0..1) → preprocess → [colour 1×1] → conv1_1 → relu1_1 → conv1_2 → relu1_2 → pool1 → conv2_1 → …
//!                                                               ↓
//!                                                     [side 1×1 → ReLU] → the tap `relu1_1`
//! ```
//!
//! Blocks of 3×3 convolutions, each followed by a ReLU, with a 2×2 pool of stride 2 (floor)
//! between blocks (Simonyan & Zisserman, "Very Deep Convolutional Networks", 2014). What follows a
//! ReLU may be tapped by the losses under the name `relu{block}_{index}`. A narrow network may carry
//! *side maps* that bring a tap back to VGG's width (Wang et al., "Collaborative Distillation for
//! Ultra-Resolution Universal Style Transfer", 2020).
//!
//! A [`Network`](network::Network) comes from a file ([`mod@file`] describes the format) or from a seed (`random`), and a
//! [`NetworkSpec`](spec::NetworkSpec) is how a user names one. A [`Graph`](graph::Graph) records it on a tape.

mod check;
pub(super) mod default;
pub mod file;
pub mod graph;
mod names;
pub mod network;
pub(super) mod preprocess;
mod random;
pub mod spec;
mod taps;
