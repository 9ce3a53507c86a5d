//! Edges that are to meet, and do not: near them a picture is blended with its mirror image.

use std::f64::consts::PI;

use super::Picture;
use crate::shape::Wrap;

/// The part of a side that is blended, from either edge.
const SHARE: f64 = 0.125;
/// Edges meet already that differ so many times as much as neighbours inside do, or less.
const ALIKE: f64 = 2.0;

/// The lines of a plane along an axis.
#[derive(Clone, Copy)]
struct Lines {
    length: usize,
    /// From a pixel to the next.
    pitch: usize,
    count: usize,
    /// From a line to the next.
    apart: usize,
}

impl Lines {
    /// Where the pixel `at` of a line lies.
    fn place(&self, line: usize, at: usize) -> usize {
        line * self.apart + at * self.pitch
    }

    /// The mean difference of pixels that are neighbours, and that of the first and the last of a line.
    fn differences(&self, planes: &[f32], plane: usize) -> [f64; 2] {
        let (mut inside, mut ends) = (0.0, 0.0);
        for plane in planes.chunks_exact(plane) {
            let step = |line, a, b| {
                let (a, b) = (plane[self.place(line, a)], plane[self.place(line, b)]);
                f64::from((a - b).abs())
            };
            for line in 0..self.count {
                inside += (1..self.length).map(|at| step(line, at - 1, at)).sum::<f64>();
                ends += step(line, 0, self.length - 1);
            }
        }
        let lines = (planes.len() / plane * self.count) as f64;
        [inside / (lines * (self.length - 1).max(1) as f64), ends / lines]
    }

    /// Blends both ends of every line with one another: half and half at the edges, and less and less inside.
    fn blend(&self, plane: &mut [f32]) {
        let width = SHARE * self.length as f64;
        for at in (0..self.length / 2).take_while(|at| *at as f64 + 0.5 < width) {
            let share = (0.25 * (1.0 + (PI * (at as f64 + 0.5) / width).cos())) as f32;
            for line in 0..self.count {
                let [a, b] = [at, self.length - 1 - at].map(|at| self.place(line, at));
                let (first, last) = (plane[a], plane[b]);
                plane[a] = first + share * (last - first);
                plane[b] = last + share * (first - last);
            }
        }
    }
}

impl Picture {
    /// The picture with edges that meet where `wrap` says so: towards them it is blended with its mirror image, over an eighth of
    /// the side. What meets already stays as it is, such as a texture that tiles.
    #[must_use]
    pub fn joined(mut self, wrap: Wrap) -> Picture {
        let (width, height) = (self.width as usize, self.height as usize);
        let rows = Lines { length: width, pitch: 1, count: height, apart: width };
        let columns = Lines { length: height, pitch: width, count: width, apart: 1 };
        for lines in [(wrap.x(), rows), (wrap.y(), columns)]
            .into_iter()
            .filter_map(|(wraps, lines)| wraps.then_some(lines))
        {
            let [inside, ends] = lines.differences(&self.rgb, width * height);
            if ends > ALIKE * inside {
                let planes = self.rgb.chunks_exact_mut(width * height);
                planes.chain(self.alpha.as_deref_mut()).for_each(|plane| lines.blend(plane));
            }
        }
        self
    }
}
