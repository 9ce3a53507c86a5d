//! What the catalogue says of an operation, and uses of it for the tests.

use super::reference::Reference;
use crate::gpu::Shader;
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
    pub(super) fn new(
        op: impl Reference + 'static,
        inputs: Vec<Shape>,
        note: impl Into<String>,
    ) -> Self {
        let (frozen, given) = (Vec::new(), Vec::new());
        Case { op: Box::new(op), inputs, frozen, given, note: note.into() }
    }

    /// An input with these numbers, which gets no gradient.
    pub(super) fn with(mut self, input: usize, numbers: Vec<f32>) -> Self {
        self.frozen.push(input);
        self.given.push((input, numbers));
        self
    }

    pub(super) fn frozen(mut self, inputs: &[usize]) -> Self {
        self.frozen = inputs.to_vec();
        self
    }
}

/// Awkward feature maps: single pixels and rows, odd sizes, channels that no vector width divides.
pub(super) fn awkward_maps() -> Vec<Shape> {
    [[1, 1, 1], [3, 1, 7], [5, 9, 1], [2, 2, 3], [4, 13, 5], [3, 16, 16], [1, 3, 127]]
        .map(Shape::from)
        .to_vec()
}
