//! What the two pooling operations share: windows, shapes and parameters.

use super::Case;
use super::reference::{Array, Reference};
use crate::error::{Error, Result};
use crate::gpu::{KernelId, Recorder, Value};
use crate::shape::Shape;
use crate::tape::Backward;

/// Square windows of `window` pixels, `stride` apart; windows that pass the edge are left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    pub window: usize,
    pub stride: usize,
}

impl Windows {
    /// The pooled map's shape.
    pub fn shape(self, op: &'static str, input: &Shape) -> Result<Shape> {
        let [c, h, w] = input.chw(op)?;
        let Windows { window, stride } = self;
        if window == 0 || stride == 0 || h < window || w < window {
            let what =
                format!("no window of {window}×{window} pixels, {stride} apart, fits in {input}");
            return Err(Error::Shape { op, what });
        }
        Ok([c, (h - window) / stride + 1, (w - window) / stride + 1].into())
    }

    /// Visits every window: the output pixel, and its input pixels.
    pub fn each(self, input: &Shape, mut visit: impl FnMut(usize, &[usize])) {
        let [c, h, w] = [input.dims()[0], input.dims()[1], input.dims()[2]];
        let (oh, ow) = ((h - self.window) / self.stride + 1, (w - self.window) / self.stride + 1);
        for at in 0..c * oh * ow {
            let (channel, i, j) = (at / ow / oh, at / ow % oh, at % ow);
            let pixel = |n: usize| {
                let (r, s) = (n / self.window, n % self.window);
                (channel * h + i * self.stride + r) * w + j * self.stride + s
            };
            let pixels: Vec<usize> = (0..self.window * self.window).map(pixel).collect();
            visit(at, &pixels);
        }
    }

    /// `settings` are parameters that only one of the kernels has.
    pub fn forward(
        self,
        kernel: &KernelId,
        settings: &[(&str, bool)],
        recorder: &mut Recorder,
        x: &Value,
        y: &Value,
    ) -> Result<()> {
        let count = y.shape().elements();
        let call = recorder.kernel(kernel).bind("x", x).bind("y", y);
        let call = settings.iter().fold(call, |call, (name, value)| call.set(name, *value));
        self.sizes(call, x.shape(), y.shape())?
            .set("count", count)
            .set("accumulate", false)
            .over(count)
    }

    /// Binds what both need, and `values` by name, and sets `settings`; one invocation for each of `count`.
    pub fn backward(
        self,
        kernel: &KernelId,
        count: usize,
        values: &[(&str, &Value)],
        settings: &[(&str, bool)],
        recorder: &mut Recorder,
        pass: &Backward<'_>,
    ) -> Result<()> {
        let Some(dx) = &pass.dx[0] else { return Ok(()) };
        let call = recorder.kernel(kernel).bind("dy", pass.dy).bind("dx", &dx.value);
        let call = values.iter().fold(call, |call, (name, value)| call.bind(name, value));
        let call = settings.iter().fold(call, |call, (name, value)| call.set(name, *value));
        let call = self.sizes(call, pass.x[0].shape(), pass.y.shape())?;
        call.set("count", count).set("accumulate", dx.accumulate).over(count)
    }

    /// Sets the maps' sizes and the windows'.
    pub fn sizes<'r>(
        self,
        call: crate::gpu::Call<'r>,
        x: &Shape,
        y: &Shape,
    ) -> Result<crate::gpu::Call<'r>> {
        let ([_, h, w], [_, oh, ow]) = (x.chw("pool")?, y.chw("pool")?);
        let call = call.set("height", h).set("width", w).set("out_height", oh).set("out_width", ow);
        Ok(call.set("window", self.window).set("stride", self.stride))
    }
}

/// Cases of a pooling operation made by `op`.
pub(super) fn cases<R: Reference + 'static>(op: impl Fn(Windows) -> R) -> Vec<Case> {
    let shapes =
        [[1, 2, 2], [3, 5, 7], [2, 13, 4], [5, 16, 16], [1, 3, 127], [3, 6, 40], [2, 7, 24]];
    let shapes = shapes.map(Shape::from);
    let mut cases: Vec<Case> = shapes
        .into_iter()
        .map(|s| Case::new(op(Windows { window: 2, stride: 2 }), vec![s], "2×2"))
        .collect();
    for (window, stride) in [(3, 2), (3, 1), (2, 3), (1, 1)] {
        let note = format!("{window}×{window}, stride {stride}");
        cases.push(Case::new(op(Windows { window, stride }), vec![[3, 8, 11].into()], note));
    }
    cases
}

/// An output of pooled `input`, each element from its window's elements.
pub(super) fn pooled(
    windows: Windows,
    input: &Array,
    mut pool: impl FnMut(&[f64]) -> f64,
) -> Array {
    let [c, h, w] = input.chw();
    let out = |extent: usize| (extent - windows.window) / windows.stride + 1;
    let mut y = Array::zeros([c, out(h), out(w)]);
    windows.each(&input.shape, |at, pixels| {
        let values: Vec<f64> = pixels.iter().map(|p| input.data[*p]).collect();
        y.data[at] = pool(&values);
    });
    y
}
