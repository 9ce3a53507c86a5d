//! `normalize`: a factor and an offset for each channel, and the channels' order.

use super::reference::{Array, Reference};
use super::{Case, Entry, awkward_maps};
use crate::error::{Error, Result};
use crate::gpu::shader;
use crate::gpu::{Frozen, KernelId, Recorder, Shader, Value};
use crate::shape::{Precision, Shape};
use crate::tape::{Backward, Op, Saved, Tape, Var};

static SHADER: Shader = shader!("normalize");
static FORWARD: KernelId = KernelId::new(&SHADER, "forward");
static BACKWARD: KernelId = KernelId::new(&SHADER, "backward");

/// The catalogue's row.
pub const ENTRY: Entry = Entry { name: "normalize", shaders: &[&SHADER], cases };

/// One channel of the result: which channel of the input it is, times what, plus what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Channel {
    /// Index of the input's channel.
    pub from: usize,
    /// Factor.
    pub scale: f32,
    /// Summand.
    pub offset: f32,
}

/// `y[c] = scale[c] · x[from[c]] + offset[c]`; `from` must be a permutation of the channels.
///
/// # Errors
/// [`Error::Shape`] when it is none; otherwise as [`Tape::record`].
pub fn normalize(
    tape: &mut Tape,
    x: Var,
    channels: &[Channel],
    precision: Precision,
) -> Result<Var> {
    tape.record(Normalize { channels: channels.to_vec(), precision }, &[x])
}

#[derive(Clone)]
struct Normalize {
    channels: Vec<Channel>,
    /// Of the output.
    precision: Precision,
}

impl Normalize {
    fn table(&self) -> Result<Value> {
        let row = |c: &Channel| [c.from as f32, c.scale, c.offset];
        let numbers: Vec<f32> = self.channels.iter().flat_map(row).collect();
        Ok((&Frozen::new([self.channels.len(), 3], numbers)?).into())
    }
}

impl Op for Normalize {
    fn name(&self) -> &'static str {
        "normalize"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [c, ..] = inputs[0].chw("normalize")?;
        let mut from: Vec<usize> = self.channels.iter().map(|c| c.from).collect();
        from.sort_unstable();
        if from != (0..c).collect::<Vec<_>>() {
            let what = format!("channels {from:?} are no permutation of those of {}", inputs[0]);
            return Err(Error::Shape { op: "normalize", what });
        }
        Ok(inputs[0].clone())
    }

    fn precision(&self, _: &[Precision]) -> Precision {
        self.precision
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        let count = y.shape().elements();
        let call = recorder.kernel(&FORWARD).bind("x", &x[0]).bind("table", &self.table()?);
        let call = call.bind("y", y).set("count", count).set("pixels", count / self.channels.len());
        call.set("accumulate", false).over(count)?;
        Ok(Saved::new())
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let Some(dx) = &pass.dx[0] else { return Ok(()) };
        let count = pass.y.shape().elements();
        let call = recorder.kernel(&BACKWARD).bind("dy", pass.dy).bind("table", &self.table()?);
        let call = call
            .bind("dx", &dx.value)
            .set("count", count)
            .set("pixels", count / self.channels.len());
        call.set("accumulate", dx.accumulate).over(count)
    }
}

impl Reference for Normalize {
    fn reference(&self, x: &[Array]) -> Array {
        let pixels = x[0].data.len() / self.channels.len();
        Array::from_fn(x[0].shape.clone(), |i| {
            let Channel { from, scale, offset } = self.channels[i / pixels];
            f64::from(scale) * x[0].data[from * pixels + i % pixels] + f64::from(offset)
        })
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        let pixels = x[0].data.len() / self.channels.len();
        let mut dx = Array::zeros(x[0].shape.clone());
        for (i, dy) in dy.data.iter().enumerate() {
            let Channel { from, scale, .. } = self.channels[i / pixels];
            dx.data[from * pixels + i % pixels] = f64::from(scale) * dy;
        }
        vec![dx]
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn cases() -> Vec<Case> {
    let reversed = |c: usize| {
        let channel =
            |i: usize| Channel { from: c - 1 - i, scale: 2.0 + i as f32, offset: -0.5 * i as f32 };
        let channels = (0..c).map(channel).collect();
        Normalize { channels, precision: Precision::F32 }
    };
    awkward_maps()
        .into_iter()
        .map(|s| Case::new(reversed(s.dims()[0]), vec![s], "reversed"))
        .collect()
}
