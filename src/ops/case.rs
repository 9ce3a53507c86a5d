//! What the catalogue says of an operation: its kernels, uses of it for tests, and how benches measure it.

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
    /// How benches measure it.
    pub bench: Bench,
}

/// How benches measure an operation.
pub struct Bench {
    /// Its variants by name, each with the kernels that show that it ran, as `shader.` or `shader.entry`; none where there
    /// is one way to compute it.
    pub variants: &'static [(&'static str, &'static [&'static str])],
    /// Its use at a convolution of a network, with the variant of that name or the one that the device decides for; `None`
    /// where networks and losses do not use it.
    pub at: fn(&Site<'_>, Option<&str>) -> Option<Case>,
    /// The input that holds weights: its gradient is measured, too.
    pub weight: Option<usize>,
}

impl Bench {
    /// Of an operation without variants and without weights.
    pub(super) const fn plain(at: fn(&Site<'_>, Option<&str>) -> Option<Case>) -> Self {
        Bench { variants: &[], at, weight: None }
    }
}

/// A convolution of a network: where benches measure operations.
pub struct Site<'a> {
    /// Shape of its weights, O×I×K×K.
    pub shape: [usize; 4],
    /// Its weights.
    pub weight: &'a [f32],
    /// Height and width of its maps.
    pub size: [usize; 2],
    /// It is the first of its block: what losses see and pools give.
    pub first: bool,
}

impl Site<'_> {
    /// The map that comes out.
    pub(super) fn map(&self) -> Shape {
        [self.shape[0], self.size[0], self.size[1]].into()
    }

    /// A use on so many maps, at the first layer of each block.
    pub(super) fn on_maps(&self, op: impl Reference + 'static, count: usize) -> Option<Case> {
        self.first.then(|| Case::new(op, vec![self.map(); count], ""))
    }

    /// A use on inputs of these shapes, all of them made of the number of channels, at the first layer of each block.
    pub(super) fn on_moments<const N: usize>(
        &self,
        op: impl Reference + 'static,
        shapes: impl Fn(usize) -> [Shape; N],
    ) -> Option<Case> {
        self.first.then(|| Case::new(op, shapes(self.shape[0]).into(), ""))
    }

    /// The picture's shape, at the layer that reads it.
    pub(super) fn picture(&self) -> Option<Shape> {
        (self.shape[1] == 3).then(|| [3, self.size[0], self.size[1]].into())
    }
}

/// One use of an operation, for tests and measurements.
pub struct Case {
    /// The operation with its settings.
    pub op: Box<dyn Reference>,
    /// Shapes of its inputs.
    pub inputs: Vec<Shape>,
    /// Inputs that get no gradient.
    pub frozen: Vec<usize>,
    /// Inputs whose numbers matter: all others may be anything.
    pub given: Vec<(usize, Vec<f32>)>,
    /// What is special about it.
    pub note: String,
}

impl Case {
    pub(crate) fn new(
        op: impl Reference + 'static,
        inputs: Vec<Shape>,
        note: impl Into<String>,
    ) -> Self {
        let (frozen, given) = (Vec::new(), Vec::new());
        Case { op: Box::new(op), inputs, frozen, given, note: note.into() }
    }

    /// An input with these numbers, which gets no gradient.
    pub(crate) fn with(mut self, input: usize, numbers: Vec<f32>) -> Self {
        self.frozen.push(input);
        self.given.push((input, numbers));
        self
    }

    pub(crate) fn frozen(mut self, inputs: &[usize]) -> Self {
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
