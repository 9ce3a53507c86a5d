//! `weighted_sum`: Σ wᵢ·xᵢ over tensors of one shape, with constant weights.

use super::reference::{Array, Reference};
use super::{Case, Entry};
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Value};
use crate::shape::Shape;
use crate::tape::inplace::{SCALE, scaled};
use crate::tape::{Backward, Op, Saved, Tape, Var};

/// The catalogue's row. Its kernel is that of `scale`, which can add.
pub const ENTRY: Entry = Entry { name: "weighted_sum", shaders: &[&SCALE], cases };

/// y = Σ weight · x over `terms`, at least one.
///
/// # Errors
/// [`Error::Shape`] when there is no term or the shapes differ; otherwise as [`Tape::record`].
pub fn weighted_sum(tape: &mut Tape, terms: &[(f32, Var)]) -> Result<Var> {
    let (weights, inputs): (Vec<_>, Vec<_>) = terms.iter().copied().unzip();
    tape.record(WeightedSum(weights), &inputs)
}

#[derive(Clone)]
struct WeightedSum(Vec<f32>);

impl Op for WeightedSum {
    fn name(&self) -> &'static str {
        "weighted_sum"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let wrong = |what| Error::Shape { op: "weighted_sum", what };
        let first = *inputs.first().ok_or_else(|| wrong("there is nothing to add".into()))?;
        match inputs.iter().find(|shape| **shape != first) {
            Some(other) => Err(wrong(format!("{first} and {other} are of different shapes"))),
            None => Ok(first.clone()),
        }
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        let mut terms = self.0.iter().zip(x).enumerate();
        terms.try_for_each(|(i, (weight, x))| scaled(recorder, x, *weight, y, i > 0))?;
        Ok(Saved::new())
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        for (weight, dx) in self.0.iter().zip(pass.dx) {
            if let Some(dx) = dx {
                scaled(recorder, pass.dy, *weight, &dx.value, dx.accumulate)?;
            }
        }
        Ok(())
    }
}

impl Reference for WeightedSum {
    fn reference(&self, x: &[Array]) -> Array {
        let zero = Array::zeros(x[0].shape.clone());
        let add = |sum: Array, (w, x): (&f32, &Array)| sum.zip(x, |s, x| s + f64::from(*w) * x);
        self.0.iter().zip(x).fold(zero, add)
    }

    fn reference_backward(&self, _: &[Array], dy: &Array) -> Vec<Array> {
        self.0.iter().map(|w| dy.map(|v| f64::from(*w) * v)).collect()
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn cases() -> Vec<Case> {
    let sum = || WeightedSum(vec![0.5, -2.0, 3.0]);
    vec![
        Case::new(sum(), vec![Shape::scalar(); 3], "scalars"),
        Case::new(sum(), vec![[3, 5, 7].into(); 3], "maps"),
        Case::new(sum(), vec![[5, 5].into(); 3], "the second frozen").frozen(&[1]),
        Case::new(WeightedSum(vec![1.5]), vec![[13].into()], "one term"),
    ]
}
