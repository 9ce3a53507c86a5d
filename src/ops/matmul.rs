//! `matmul`: the product of two matrices, by the kernels that multiply a matrix with a feature map.

use super::product::{self, Product};
use super::reference::{Array, Reference};
use super::{Case, Entry};
use crate::error::{Error, Result};
use crate::gpu::shader;
use crate::gpu::{KernelId, Recorder, Shader, Value};
use crate::shape::Shape;
use crate::tape::{Backward, Op, Saved, Tape, Var};

static SHADER: Shader = shader!("matmul");
static PACK: KernelId = KernelId::new(&SHADER, "pack");
static TRANSPOSE: KernelId = KernelId::new(&SHADER, "transpose");

/// The catalogue's row.
pub const ENTRY: Entry = Entry {
    name: "matmul",
    shaders: &[
        &SHADER,
        &product::TILED,
        &product::UNIFORM,
        &product::UNIFORM_ANY,
        &product::BROADCAST,
    ],
    cases,
};

/// A·B. I×K, K×J → I×J.
///
/// # Errors
/// [`Error::Shape`] when these are no matrices that fit; otherwise as [`Tape::record`].
pub fn matmul(tape: &mut Tape, a: Var, b: Var) -> Result<Var> {
    tape.record(Matmul, &[a, b])
}

/// A left factor as the kernels take it: factor · M + diagonal · I, of I×K.
pub(super) struct Left<'a> {
    pub matrix: &'a Value,
    pub transposed: bool,
    pub factor: f32,
    pub diagonal: f32,
}

impl<'a> Left<'a> {
    /// The matrix itself.
    pub fn plain(matrix: &'a Value) -> Self {
        Left { matrix, transposed: false, factor: 1.0, diagonal: 0.0 }
    }

    /// Records the packing, which may then be multiplied more than once.
    pub fn pack(&self, recorder: &mut Recorder) -> Result<Packed> {
        let [rows, columns] = match (extents(self.matrix.shape())?, self.transposed) {
            ([rows, columns], false) => [rows, columns],
            ([columns, rows], true) => [rows, columns],
        };
        let matrix = recorder.temporary([product::length(1, rows, columns)]);
        let call = recorder.kernel(&PACK).bind("m", self.matrix).bind("packed", &matrix);
        let call = call.set("rows", rows).set("columns", columns);
        let call = call.set("transposed", self.transposed).set("factor", self.factor);
        call.set("diagonal", self.diagonal).over(product::blocks_length(rows, columns))?;
        Ok(Packed { matrix, rows, columns })
    }
}

/// A packed left factor.
pub(super) struct Packed {
    matrix: Value,
    rows: usize,
    columns: usize,
}

impl Packed {
    /// Records y = or += this · `right`. `right`: K×J, `y`: I×J.
    pub fn times(
        &self,
        recorder: &mut Recorder,
        right: &Value,
        y: &Value,
        accumulate: bool,
    ) -> Result<()> {
        let width = right.shape().elements() / self.columns;
        // A matrix is a map of one row.
        let map =
            |value: &Value, rows: usize| Value { shape: [rows, 1, width].into(), ..value.clone() };
        let (x, y) = (&map(right, self.columns), &map(y, self.rows));
        let matrix = &self.matrix;
        let product = Product { x, y, matrix, bias: None, relu: false, accumulate, mask: None };
        let software = recorder.gpu().is_cpu();
        product.record(recorder, software)
    }
}

/// Rows and columns.
pub(super) fn extents(shape: &Shape) -> Result<[usize; 2]> {
    shape.dims().try_into().map_err(|_| Error::Shape {
        op: "matmul",
        what: format!("takes a matrix of shape I×J, not {shape}"),
    })
}

#[derive(Clone)]
struct Matmul;

impl Op for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let ([rows, inner], [depth, columns]) = (extents(inputs[0])?, extents(inputs[1])?);
        if inner != depth {
            let what = format!("{} can't be multiplied with {}", inputs[0], inputs[1]);
            return Err(Error::Shape { op: "matmul", what });
        }
        Ok([rows, columns].into())
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        Left::plain(&x[0]).pack(recorder)?.times(recorder, &x[1], y, false)?;
        Ok(Saved::new())
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        if let Some(da) = &pass.dx[0] {
            let [rows, columns] = extents(pass.x[1].shape())?;
            let turned = recorder.temporary([columns, rows]);
            let call = recorder.kernel(&TRANSPOSE).bind("m", &pass.x[1]).bind("packed", &turned);
            let call = call.set("rows", columns).set("columns", rows).set("transposed", false);
            call.set("factor", 1.0).set("diagonal", 0.0).over(rows * columns)?;
            let dy = Left::plain(pass.dy).pack(recorder)?;
            dy.times(recorder, &turned, &da.value, da.accumulate)?;
        }
        if let Some(db) = &pass.dx[1] {
            let a = Left { transposed: true, ..Left::plain(&pass.x[0]) }.pack(recorder)?;
            a.times(recorder, pass.dy, &db.value, db.accumulate)?;
        }
        Ok(())
    }
}

impl Array {
    /// The product of two matrices.
    pub(super) fn times(&self, other: &Array) -> Array {
        let (rows, inner) = (self.shape.dims()[0], self.shape.dims()[1]);
        let columns = other.shape.dims()[1];
        let mut product = Array::zeros([rows, columns]);
        for (i, row) in product.data.chunks_exact_mut(columns).enumerate() {
            for k in 0..inner {
                let factor = self.data[i * inner + k];
                let line = &other.data[k * columns..][..columns];
                row.iter_mut().zip(line).for_each(|(sum, v)| *sum += factor * v);
            }
        }
        product
    }

    /// The transpose of a matrix.
    pub(super) fn turned(&self) -> Array {
        let (rows, columns) = (self.shape.dims()[0], self.shape.dims()[1]);
        Array::from_fn([columns, rows], |at| self.data[at % rows * columns + at / rows])
    }
}

impl Reference for Matmul {
    fn reference(&self, x: &[Array]) -> Array {
        x[0].times(&x[1])
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        vec![dy.times(&x[1].turned()), x[0].turned().times(dy)]
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn cases() -> Vec<Case> {
    let case = |[i, k, j]: [usize; 3]| Case::new(Matmul, vec![[i, k].into(), [k, j].into()], "");
    let shapes = [[1, 1, 1], [3, 5, 2], [4, 4, 4], [13, 127, 7], [33, 16, 65], [70, 130, 64]];
    let frozen = |i: usize| case([12, 36, 20]).frozen(&[i]);
    shapes.map(case).into_iter().chain([frozen(0), frozen(1)]).collect()
}
