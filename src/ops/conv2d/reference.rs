//! The f64 twin, and the cases for the sweeps.

use super::{Case, Conv2d, Padding, Variant};
use crate::ops::reference::{Array, Reference};
use crate::shape::Shape;
use crate::tape::Op;

impl Conv2d {
    /// The row or column that the padded picture shows at `at`.
    fn shown(&self, at: isize, extent: usize) -> Option<usize> {
        let last = extent as isize - 1;
        if (0..=last).contains(&at) {
            return Some(at as usize);
        }
        match self.mode {
            Padding::Zero => None,
            Padding::Reflect => Some(if at < 0 { -at } else { 2 * last - at } as usize),
            Padding::Replicate => Some(at.clamp(0, last) as usize),
        }
    }

    /// Visits every product: index into y, w and x.
    fn products(&self, x: &Array, w: &Array, mut visit: impl FnMut(usize, usize, usize)) {
        let Ok(e) = self.extents(&x.shape, &w.shape) else { return };
        let ([c, h, width], [o, oh, ow], k) = (e.input, e.output, e.kernel);
        for at in 0..o * oh * ow {
            let (out, i, j) = (at / ow / oh, at / ow % oh, at % ow);
            for tap in 0..c * k * k {
                let (channel, r, s) = (tap / k / k, tap / k % k, tap % k);
                let place =
                    |i: usize, r: usize| (i * self.stride + r) as isize - self.padding as isize;
                let row = self.shown(place(i, r), h);
                let column = self.shown(place(j, s), width);
                if let (Some(row), Some(column)) = (row, column) {
                    visit(at, out * c * k * k + tap, (channel * h + row) * width + column);
                }
            }
        }
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

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(*self)
    }
}

fn case(conv: Conv2d, input: [usize; 3], out: usize, kernel: usize, note: &str) -> Case {
    let shapes = vec![input.into(), Shape::from([out, input[0], kernel, kernel]), [out].into()];
    let Conv2d { stride, padding, mode, relu, .. } = conv;
    let k = format!("{kernel}×{kernel}/{stride} pad {padding} {mode:?}");
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
                let conv = Conv2d { stride, padding, mode, relu, variant };
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
    cases
}

/// A fast variant over awkward sizes: widths that vec4 divide and not, windows and tiles that are
/// full, cut and several.
fn fast_cases(variant: Variant) -> Vec<Case> {
    use Padding::{Reflect, Replicate, Zero};
    let sizes = [[1, 1], [1, 2], [2, 3], [13, 13], [127, 5], [5, 127], [1, 8], [13, 12], [33, 40]];
    let channels = [(1, 1), (3, 5), (13, 64), (64, 3), (180, 9), (13, 130), (36, 140)];
    let mut cases = Vec::new();
    for (i, [h, w]) in sizes.into_iter().enumerate() {
        for (j, (c, o)) in channels.into_iter().enumerate() {
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
            if i % channels.len() == j {
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
