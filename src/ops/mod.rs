//! The differentiable operations: one file each, and the catalogue of them all.
//!
//! A file holds the operation's shape rule, its forward and backward pass as dispatches of the
//! shader of the same name, and a plain-loop f64 reference that the tests compare both with.
//! [`CATALOGUE`] drives the sweeps in `tests/`: gradients, shader translation and determinism.

pub mod add;
pub mod avg_pool;
pub mod channel_mean;
pub mod conv2d;
pub mod covariance;
pub mod deviation;
pub mod gram;
pub mod guide;
pub mod matmul;
pub mod max_pool;
pub mod normalize;
mod pool;
mod product;
pub mod reference;
pub mod relu;
pub mod root_trace;
pub mod scale;
pub mod squared_error;
pub mod statistics;
pub mod total_variation;
pub mod weighted_sum;

pub use add::add;
pub use avg_pool::avg_pool;
pub use channel_mean::channel_mean;
pub use conv2d::{Conv2d, Padding, conv2d};
pub use covariance::covariance;
pub use deviation::deviation;
pub use gram::gram;
pub use guide::{guided_error, guided_gram, guided_mean};
pub use matmul::matmul;
pub use max_pool::max_pool;
pub use normalize::normalize;
pub use relu::relu;
pub use root_trace::root_trace;
pub use scale::{cast, scale};
pub use squared_error::{absolute_error, relative_error};
pub use total_variation::{Variation, partial_variation, total_variation};
pub use weighted_sum::weighted_sum;

use crate::gpu::Shader;
pub(crate) use crate::gpu::shares;
use crate::ops::reference::Reference;
use crate::shape::Shape;

/// An operation as the catalogue lists it.
pub struct Entry {
    /// The name of its file, its shader and its test.
    pub name: &'static str,
    /// Its shaders: the baseline first, then variants.
    pub shaders: &'static [&'static Shader],
    /// Uses that exercise it: awkward shapes, every setting and variant.
    pub cases: fn() -> Vec<Case>,
}

/// One use of an operation for the tests.
pub struct Case {
    /// The operation with its settings.
    pub op: Box<dyn Reference>,
    /// Shapes of its inputs.
    pub inputs: Vec<Shape>,
    /// Inputs that get no gradient.
    pub frozen: Vec<usize>,
    /// Inputs whose numbers matter: all others are random.
    pub given: Vec<(usize, Vec<f32>)>,
    /// What is special about it.
    pub note: String,
}

impl Case {
    fn new(op: impl Reference + 'static, inputs: Vec<Shape>, note: impl Into<String>) -> Self {
        let (frozen, given) = (Vec::new(), Vec::new());
        Case { op: Box::new(op), inputs, frozen, given, note: note.into() }
    }

    /// An input with these numbers, which gets no gradient.
    fn with(mut self, input: usize, numbers: Vec<f32>) -> Self {
        self.frozen.push(input);
        self.given.push((input, numbers));
        self
    }

    fn frozen(mut self, inputs: &[usize]) -> Self {
        self.frozen = inputs.to_vec();
        self
    }
}

/// All operations.
pub const CATALOGUE: &[Entry] = &[
    add::ENTRY,
    avg_pool::ENTRY,
    channel_mean::ENTRY,
    conv2d::ENTRY,
    covariance::ENTRY,
    deviation::ENTRY,
    gram::ENTRY,
    guide::ENTRY,
    matmul::ENTRY,
    max_pool::ENTRY,
    normalize::ENTRY,
    relu::ENTRY,
    root_trace::ENTRY,
    scale::ENTRY,
    squared_error::ENTRY,
    total_variation::ENTRY,
    weighted_sum::ENTRY,
];

/// Awkward feature maps: single pixels and rows, odd sizes, channels that no vector width divides.
fn awkward_maps() -> Vec<Shape> {
    [[1, 1, 1], [3, 1, 7], [5, 9, 1], [2, 2, 3], [4, 13, 5], [3, 16, 16], [1, 3, 127]]
        .map(Shape::from)
        .to_vec()
}
