//! The f64 twin, and the cases for the sweeps.

use super::settings::{Conv2d, Extents, Padding, Variant};
use super::{Case, Site};
use crate::ops::reference::{Array, Reference};
use crate::shape::{Shape, Wrap};
use crate::tape::Op;

impl Conv2d {
    /// The row or column that the padded picture shows at `at`; along that axis edges meet or not.
    fn shown(&self, at: isize, extent: usize, wraps: bool) -> Option<usize> {
        let last = extent as isize - 1;
        if (0..=last).contains(&at) {
            return Some(at as usize);
        }
        if wraps {
            return Some(at.rem_euclid(extent as isize) as usize);
        }
        match self.mode {
            Padding::Zero => None,
            Padding::Reflect => Some(if at < 0 { -at } else { 2 * last - at } as usize),
            Padding::Replicate => Some(at.clamp(0, last) as usize),
        }
    }

    /// The row (or column) of the padded picture that a window's row shows.
    fn place(&self, window: usize, row: usize) -> isize {
        (window * self.stride + row) as isize - self.padding as isize
    }

    /// Visits every product: index into y, w and x.
    fn products(&self, x: &Array, w: &Array, mut visit: impl FnMut(usize, usize, usize)) {
        let Ok(e) = self.extents(&x.shape, &w.shape) else { return };
        let ([c, h, width], [o, oh, ow], k) = (e.input, e.output, e.kernel);
        for at in 0..o * oh * ow {
            let (out, i, j) = (at / ow / oh, at / ow % oh, at % ow);
            for tap in 0..c * k * k {
                let (channel, r, s) = (tap / k / k, tap / k % k, tap % k);
                let row = self.shown(self.place(i, r), h, self.wrap.y());
                let column = self.shown(self.place(j, s), width, self.wrap.x());
                if let (Some(row), Some(column)) = (row, column) {
                    visit(at, out * c * k * k + tap, (channel * h + row) * width + column);
                }
            }
        }
    }
}

/// A convolution's numbers, of which some results are wanted.
struct Samples<'a> {
    conv: &'a Conv2d,
    extents: Extents,
    x: &'a [Array],
}

impl Samples<'_> {
    /// Which windows show a row (or column) of the map, and in which of theirs: pairs of both.
    fn shown_in(
        &self,
        at: usize,
        (extent, wraps): (usize, bool),
        windows: usize,
    ) -> Vec<(usize, usize)> {
        let all = (0..windows).flat_map(|i| (0..self.extents.kernel).map(move |r| (i, r)));
        let shown = |i, r| self.conv.shown(self.conv.place(i, r), extent, wraps);
        all.filter(|(i, r)| shown(*i, *r) == Some(at)).collect()
    }

    /// What a window's row and column show of a channel.
    fn pixel(&self, channel: usize, [i, j]: [usize; 2], [r, s]: [usize; 2]) -> f64 {
        let [_, h, w] = self.extents.input;
        let wrap = self.conv.wrap;
        let row = self.conv.shown(self.conv.place(i, r), h, wrap.y());
        let column = self.conv.shown(self.conv.place(j, s), w, wrap.x());
        row.zip(column)
            .map_or(0.0, |(row, column)| self.x[0].data[(channel * h + row) * w + column])
    }

    fn weight(&self, out: usize, channel: usize, [r, s]: [usize; 2]) -> f64 {
        let (c, k) = (self.extents.input[0], self.extents.kernel);
        self.x[1].data[((out * c + channel) * k + r) * k + s]
    }

    /// An element of the output, before the ReLU.
    fn output(&self, at: usize) -> f64 {
        let ([c, ..], [_, oh, ow], k) =
            (self.extents.input, self.extents.output, self.extents.kernel);
        let (out, window) = (at / ow / oh, [at / ow % oh, at % ow]);
        let product = |tap: usize| {
            let (channel, place) = (tap / k / k, [tap / k % k, tap % k]);
            self.weight(out, channel, place) * self.pixel(channel, window, place)
        };
        self.x[2].data[out] + (0..c * k * k).map(product).sum::<f64>()
    }

    /// An element of the input's gradient.
    fn input_gradient(&self, dy: &Array, at: usize) -> f64 {
        let ([_, h, w], [o, oh, ow]) = (self.extents.input, self.extents.output);
        let wrap = self.conv.wrap;
        let rows = self.shown_in(at / w % h, (h, wrap.y()), oh);
        let columns = self.shown_in(at % w, (w, wrap.x()), ow);
        let mut sum = 0.0;
        for out in 0..o {
            for (i, r) in &rows {
                for (j, s) in &columns {
                    let dy = dy.data[(out * oh + i) * ow + j];
                    sum += self.weight(out, at / w / h, [*r, *s]) * dy;
                }
            }
        }
        sum
    }

    /// An element of the weights' gradient.
    fn weight_gradient(&self, dy: &Array, at: usize) -> f64 {
        let ([c, ..], [_, oh, ow], k) =
            (self.extents.input, self.extents.output, self.extents.kernel);
        let (out, channel, place) = (at / k / k / c, at / k / k % c, [at / k % k, at % k]);
        let product = |window: usize| {
            let dy = dy.data[out * oh * ow + window];
            dy * self.pixel(channel, [window / ow, window % ow], place)
        };
        (0..oh * ow).map(product).sum()
    }
}

impl Reference for Conv2d {
    fn reference(&self, x: &[Array]) -> Array {
        let Ok(e) = self.extents(&x[0].shape, &x[1].shape) else { return Array::zeros([0]) };
        let pixels = e.output[1] * e.output[2];
        let mut y = Array::from_fn(e.output, |at| x[2].data[at / pixels]);
        self.products(&x[0], &x[1], |at, w, p| y.data[at] += x[1].data[w] * x[0].data[p]);
        if self.relu { y.map(|v| v.max(0.0)) } else { y }
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        let mut dy = dy.clone();
        if self.relu {
            dy = self.reference(x).zip(&dy, |y, dy| if y > 0.0 { dy } else { 0.0 });
        }
        let mut dx: Vec<Array> = x.iter().map(|x| Array::zeros(x.shape.clone())).collect();
        self.products(&x[0], &x[1], |at, w, p| {
            dx[0].data[p] += x[1].data[w] * dy.data[at];
            dx[1].data[w] += x[0].data[p] * dy.data[at];
        });
        let pixels = dy.data.len() / dx[2].data.len();
        for (at, dy) in dy.data.iter().enumerate() {
            dx[2].data[at / pixels] += dy;
        }
        dx
    }

    fn reference_at(&self, x: &[Array], at: &[usize]) -> Vec<f64> {
        let Ok(extents) = self.extents(&x[0].shape, &x[1].shape) else { return Vec::new() };
        let samples = Samples { conv: self, extents, x };
        let end = |v: f64| if self.relu { v.max(0.0) } else { v };
        at.iter().map(|at| end(samples.output(*at))).collect()
    }

    fn reference_backward_at(
        &self,
        x: &[Array],
        dy: &Array,
        input: usize,
        at: &[usize],
    ) -> Vec<f64> {
        let Ok(extents) = self.extents(&x[0].shape, &x[1].shape) else { return Vec::new() };
        let samples = Samples { conv: self, extents, x };
        // Behind a ReLU every number of the output matters.
        if self.relu || input > 1 {
            let dx = &self.reference_backward(x, dy)[input];
            return at.iter().map(|at| dx.data[*at]).collect();
        }
        let one = |at: &usize| match input {
            0 => samples.input_gradient(dy, *at),
            _ => samples.weight_gradient(dy, *at),
        };
        at.iter().map(one).collect()
    }

    fn flops(&self, inputs: &[Shape]) -> u64 {
        self.extents(&inputs[0], &inputs[1]).map_or(0, |extents| extents.flops())
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(*self)
    }
}

/// A network's own layer, without its bias and its ReLU.
pub(super) fn bench(site: &Site<'_>, variant: Option<&str>) -> Option<Case> {
    let [o, c, k, _] = site.shape;
    let variant = variant.and_then(|name| name.parse().ok());
    let conv = Conv2d { padding: k / 2, variant, ..Conv2d::default() };
    let case = case(conv, [c, site.size[0], site.size[1]], o, k, "");
    Some(case.with(1, site.weight.to_vec()).with(2, vec![0.0; o]))
}

fn case(conv: Conv2d, input: [usize; 3], out: usize, kernel: usize, note: &str) -> Case {
    let shapes = vec![input.into(), Shape::from([out, input[0], kernel, kernel]), [out].into()];
    let Conv2d { stride, padding, mode, wrap, relu, .. } = conv;
    let k = format!("{kernel}×{kernel}/{stride} pad {padding} {mode:?} wrap {wrap:?}");
    Case::new(conv, shapes, format!("{k}{} {note}", if relu { " relu" } else { "" }))
}

pub(super) fn cases() -> Vec<Case> {
    use Padding::{Reflect, Replicate, Zero};
    let mut cases = Vec::new();
    for mode in [Zero, Reflect, Replicate] {
        for (kernel, stride, padding) in
            [(1, 1, 0), (3, 1, 1), (3, 2, 1), (5, 1, 2), (4, 3, 1), (9, 1, 4)]
        {
            for variant in [Variant::Baseline, Variant::Tiled] {
                let (relu, variant) = (kernel == 3, Some(variant));
                let wrap = Wrap::None;
                let conv = Conv2d { stride, padding, mode, wrap, relu, variant };
                cases.push(case(conv, [3, 7, 10], 4, kernel, ""));
            }
        }
    }
    // What the device and the shape decide, and more than a tile of everything.
    for (kernel, stride, padding) in [(1, 1, 0), (3, 1, 1), (3, 2, 1), (5, 1, 2)] {
        let conv = Conv2d { stride, padding, relu: stride == 2, ..Conv2d::default() };
        cases.push(case(conv, [13, 11, 18], 70, kernel, "default"));
    }
    // Several shares of the pixels, for weights and bias.
    for variant in [Variant::Baseline, Variant::Tiled, Variant::Broadcast] {
        for [h, w] in [[50, 92], [261, 18]] {
            let conv = Conv2d { variant: Some(variant), ..Conv2d::default() };
            cases.push(case(conv, [2, h, w], 3, 3, &format!("{variant:?}, shares")));
        }
    }
    use Variant::{Broadcast, Cooperative, Tiled, Uniform, Winograd};
    for variant in [Uniform, Broadcast, Tiled, Cooperative, Winograd] {
        cases.extend(fast_cases(variant));
    }
    cases.extend(wrapped_cases());
    cases
}

const SIZES: [[usize; 2]; 9] =
    [[1, 1], [1, 2], [2, 3], [13, 13], [127, 5], [5, 127], [1, 8], [13, 12], [33, 40]];
const CHANNELS: [(usize, usize); 7] =
    [(1, 1), (3, 5), (13, 64), (64, 3), (180, 9), (13, 130), (36, 140)];

/// A fast variant over awkward sizes: widths that vec4 divide and not, windows and tiles that are
/// full, cut and several.
fn fast_cases(variant: Variant) -> Vec<Case> {
    use Padding::{Reflect, Replicate, Zero};
    let mut cases = Vec::new();
    for (i, [h, w]) in SIZES.into_iter().enumerate() {
        for (j, (c, o)) in CHANNELS.into_iter().enumerate() {
            // A single number's relative error would say how its own products cancel.
            if variant == Variant::Winograd && h * w * o.min(c) == 1 {
                continue;
            }
            let mode = [Zero, Reflect, Replicate][(i + j) % 3];
            let mode = if mode == Reflect && h.min(w) < 2 { Zero } else { mode };
            let relu = (i + j) % 2 == 0;
            let conv = Conv2d { mode, relu, variant: Some(variant), ..Conv2d::default() };
            let note = format!("{variant:?}");
            cases.push(case(conv, [c, h, w], o, 3, &note).frozen(&[1, 2]));
            // Every size and every pair of channels once.
            if i % CHANNELS.len() == j {
                cases.push(case(conv, [c, h, w], o, 3, &format!("{note}, variable weights")));
            }
            if matches!(variant, Variant::Uniform | Variant::Tiled) {
                let pointwise = Conv2d { padding: 0, ..conv };
                cases.push(case(pointwise, [c, h, w], o, 1, &note).frozen(&[1, 2]));
            }
        }
    }
    cases
}

/// Edges that meet, along each axis and both, beside those that don't.
fn wrapped_cases() -> Vec<Case> {
    use Padding::{Reflect, Replicate, Zero};
    use Variant::{Baseline, Broadcast, Cooperative, Tiled, Uniform, Winograd};
    let mut cases = Vec::new();
    let edges = [(Zero, Wrap::Both), (Zero, Wrap::X), (Reflect, Wrap::Y), (Replicate, Wrap::X)];
    for (mode, wrap) in edges {
        for (kernel, stride, padding) in
            [(1, 1, 0), (3, 1, 1), (3, 2, 1), (5, 1, 2), (4, 3, 1), (9, 1, 4)]
        {
            for variant in [Baseline, Tiled] {
                let (relu, variant) = (kernel == 3, Some(variant));
                let conv = Conv2d { stride, padding, mode, wrap, relu, variant };
                cases.push(case(conv, [3, 7, 10], 4, kernel, ""));
            }
        }
    }
    for variant in [Uniform, Broadcast, Tiled, Cooperative, Winograd] {
        for (i, [h, w]) in SIZES.into_iter().enumerate() {
            for (j, wrap) in [Wrap::X, Wrap::Y, Wrap::Both].into_iter().enumerate() {
                let (c, o) = CHANNELS[i % CHANNELS.len()];
                let mode = [Zero, Reflect, Replicate][(i + j) % 3];
                let mode = if mode == Reflect && h.min(w) < 2 { Zero } else { mode };
                let conv = Conv2d { mode, wrap, variant: Some(variant), ..Conv2d::default() };
                let case = case(conv, [c, h, w], o, 3, &format!("{variant:?}"));
                // The nine products of a single number cancel.
                match h * w * o.min(c) {
                    1 => {}
                    _ if i < CHANNELS.len() => cases.push(case.frozen(&[1, 2])),
                    _ => cases.push(case),
                }
            }
        }
    }
    cases
}
