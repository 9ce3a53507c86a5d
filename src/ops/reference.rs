//! The f64 twin of every operation: plain loops, written for comparison and not for speed.

use crate::shape::Shape;
use crate::tape::Op;

/// Numbers with a shape, row-major.
#[derive(Clone, Debug)]
pub struct Array {
    /// The shape.
    pub shape: Shape,
    /// The numbers.
    pub data: Vec<f64>,
}

impl Array {
    /// An array that computes each element from its row-major index.
    pub fn from_fn(shape: impl Into<Shape>, element: impl FnMut(usize) -> f64) -> Self {
        let shape = shape.into();
        let data = (0..shape.elements()).map(element).collect();
        Array { shape, data }
    }

    /// Zeros.
    pub fn zeros(shape: impl Into<Shape>) -> Self {
        Self::from_fn(shape, |_| 0.0)
    }

    /// A single number.
    pub fn scalar(value: f64) -> Self {
        Self::from_fn(Shape::scalar(), |_| value)
    }

    /// The same shape, each number mapped.
    pub fn map(&self, f: impl FnMut(f64) -> f64) -> Self {
        Array { shape: self.shape.clone(), data: self.data.iter().copied().map(f).collect() }
    }

    /// The same shape, each pair of numbers combined.
    pub fn zip(&self, other: &Array, f: impl Fn(f64, f64) -> f64) -> Self {
        let data = self.data.iter().zip(&other.data).map(|(a, b)| f(*a, *b)).collect();
        Array { shape: self.shape.clone(), data }
    }

    /// Extents of a feature map.
    pub fn chw(&self) -> [usize; 3] {
        let dims = self.shape.dims();
        [dims[0], dims[1], dims[2]]
    }
}

/// An operation that can also be computed in f64 on the host.
pub trait Reference: Op {
    /// The output for these inputs, whose shapes [`Op::shape`] has accepted.
    fn reference(&self, x: &[Array]) -> Array;

    /// The gradient of every input, frozen or not, for the upstream gradient `dy`.
    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array>;

    /// Some elements of the output, by row-major index. Operations whose loops take long on a network's maps compute
    /// only these.
    fn reference_at(&self, x: &[Array], at: &[usize]) -> Vec<f64> {
        let y = self.reference(x);
        at.iter().map(|at| y.data[*at]).collect()
    }

    /// Some elements of one input's gradient, in the same way.
    fn reference_backward_at(
        &self,
        x: &[Array],
        dy: &Array,
        input: usize,
        at: &[usize],
    ) -> Vec<f64> {
        let dx = &self.reference_backward(x, dy)[input];
        at.iter().map(|at| dx.data[*at]).collect()
    }

    /// Multiplications and additions of the direct computation, forward or of one gradient: one for every number of the
    /// first input, unless the operation says otherwise.
    fn flops(&self, inputs: &[Shape]) -> u64 {
        inputs[0].elements() as u64
    }

    /// A copy, to be recorded.
    fn boxed(&self) -> Box<dyn Op>;
}
