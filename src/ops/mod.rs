//! The differentiable operations: one file each, and the catalogue of them all.
//!
//! A file holds the operation's shape rule, its forward and backward pass as dispatches of the
//! shader of the same name, and a plain-loop f64 reference that the tests compare both with.
//! [`CATALOGUE`] drives the sweeps in `tests/`: gradients, shader translation and determinism.

pub mod add;
pub mod avg_pool;
mod case;
pub mod channel_mean;
pub mod conv2d;
pub mod cosine_distance;
pub mod covariance;
pub mod deviation;
pub mod downsample;
pub mod gather;
pub mod gram;
pub mod guide;
pub mod hypercolumn;
pub mod matmul;
pub mod max_pool;
pub mod nearest;
pub mod normalize;
mod pool;
mod product;
pub mod pyramid;
pub mod reference;
pub mod relu;
pub mod root_trace;
pub mod scale;
pub mod squared_error;
pub mod statistics;
pub mod total_variation;
pub mod weighted_sum;

pub(crate) use crate::gpu::shares;
pub use add::add;
pub use avg_pool::avg_pool;
use case::awkward_maps;
pub use case::{Bench, Case, Entry, Site};
pub use channel_mean::channel_mean;
pub use conv2d::{Conv2d, Padding, conv2d};
pub use cosine_distance::cosine_distance;
pub use covariance::covariance;
pub use deviation::deviation;
pub use downsample::downsample;
pub use gather::gather;
pub use gram::gram;
pub use guide::{guided_error, guided_gram, guided_mean};
pub use hypercolumn::{Grid, Sampled, hypercolumn};
pub use matmul::matmul;
pub use max_pool::max_pool;
pub use nearest::{Vectors, nearest};
pub use normalize::normalize;
pub use relu::relu;
pub use root_trace::root_trace;
pub use scale::{cast, scale};
pub use squared_error::{absolute_error, relative_error};
pub use total_variation::{Variation, partial_variation, total_variation};
pub use weighted_sum::weighted_sum;

/// All operations.
pub const CATALOGUE: &[Entry] = &[
    add::ENTRY,
    avg_pool::ENTRY,
    channel_mean::ENTRY,
    conv2d::ENTRY,
    cosine_distance::ENTRY,
    covariance::ENTRY,
    deviation::ENTRY,
    downsample::ENTRY,
    gather::ENTRY,
    gram::ENTRY,
    guide::ENTRY,
    hypercolumn::ENTRY,
    matmul::ENTRY,
    max_pool::ENTRY,
    nearest::ENTRY,
    normalize::ENTRY,
    relu::ENTRY,
    root_trace::ENTRY,
    scale::ENTRY,
    squared_error::ENTRY,
    total_variation::ENTRY,
    weighted_sum::ENTRY,
];
