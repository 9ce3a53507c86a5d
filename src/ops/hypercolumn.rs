//! `hypercolumn`: maps of several layers sampled on one grid, one above the other: what every place looks like to all of
//! them (Hariharan et al., "Hypercolumns for Object Segmentation and Fine-grained Localization", CVPR 2015; for style
//! transfer Kolkin et al., "Neural Neighbor Style Transfer", arXiv 2203.13215, section 3).
//!
//! Samples are bilinear, and the middles of pixels lie at halves: so are the maps of convolutions with padding and of
//! pools laid over the picture. Rows of the grid can be sampled a few at a time, where all of them would be too large.

use std::ops::Range;

use super::reference::{Array, Reference};
use super::{Bench, Case, Entry, Site, awkward_maps};
use crate::error::{Error, Result};
use crate::gpu::shader;
use crate::gpu::{Call, KernelId, Recorder, Shader, Value};
use crate::shape::Shape;
use crate::tape::{Backward, Op, Saved, Tape, Var};

static SHADER: Shader = shader!("hypercolumn");
static FORWARD: KernelId = KernelId::new(&SHADER, "forward");
static BACKWARD: KernelId = KernelId::new(&SHADER, "backward");

/// A grid's side times a map's stays below this: places are quotients of whole numbers of 32 bits.
const LARGEST: usize = 1 << 30;

/// The catalogue's row.
pub const ENTRY: Entry =
    Entry { name: "hypercolumn", shaders: &[&SHADER], cases, bench: Bench::plain(bench) };

/// Places at equal distances over a whole picture, and which rows of them are sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Rows in all.
    pub height: usize,
    /// Places in a row.
    pub width: usize,
    /// The rows that are sampled.
    pub rows: Range<usize>,
}

impl Grid {
    /// All rows.
    pub fn whole(height: usize, width: usize) -> Self {
        Grid { height, width, rows: 0..height }
    }
}

/// Maps sampled on a grid, their channels one after the other, in f32. C×H×W, D×H'×W', … → (C+D+…)×R×G, for R rows of G
/// places.
///
/// # Errors
/// [`Error::Shape`] when there is no map, when the rows are not the grid's, or when sides are too large to be placed
/// (2³⁰ for a map's times a grid's); otherwise as [`Tape::record`].
pub fn hypercolumn(tape: &mut Tape, maps: &[Var], grid: Grid) -> Result<Var> {
    tape.record(Hypercolumn { maps: maps.len(), grid }, maps)
}

#[derive(Clone)]
struct Hypercolumn {
    maps: usize,
    grid: Grid,
}

impl Hypercolumn {
    /// What both passes need: a map's channels from `offset` on.
    fn settings<'r>(&self, call: Call<'r>, x: &Shape, offset: usize) -> Result<Call<'r>> {
        let ([_, h, w], Grid { height, width, rows }) = (x.chw("hypercolumn")?, &self.grid);
        let call = call.set("height", h).set("width", w).set("grid_height", *height);
        let call = call.set("grid_width", *width).set("first", rows.start).set("rows", rows.len());
        Ok(call.set("offset", offset))
    }

    /// The rows of a map of `height` rows that the grid's rows may see.
    fn touched(&self, height: usize) -> Range<usize> {
        let Grid { height: cells, rows, .. } = &self.grid;
        let low = |row: usize| ((2 * row + 1) * height).saturating_sub(*cells) / (2 * cells);
        low(rows.start).min(height - 1)..(low(rows.end - 1) + 2).min(height)
    }
}

impl Op for Hypercolumn {
    fn name(&self) -> &'static str {
        "hypercolumn"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let wrong = |what| Err(Error::Shape { op: "hypercolumn", what });
        let Grid { height, width, rows } = &self.grid;
        if inputs.is_empty() {
            return wrong("there is no map to sample".into());
        }
        if rows.is_empty() || rows.end > *height {
            return wrong(format!("rows {rows:?} are none of a grid of {height}"));
        }
        let mut channels = 0;
        for map in inputs {
            let [c, h, w] = map.chw("hypercolumn")?;
            if h.saturating_mul(*height).max(w.saturating_mul(*width)) >= LARGEST {
                return wrong(format!("{map} is too large for a grid of {height}×{width}"));
            }
            channels += c;
        }
        Ok([channels, rows.len(), *width].into())
    }

    fn maps(&self) -> usize {
        self.maps
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        let mut offset = 0;
        for x in x {
            let [c, h, _] = x.shape().chw("hypercolumn")?;
            let count = c * self.grid.rows.len() * self.grid.width;
            let call = recorder.kernel(&FORWARD).bind("x", x).bind("y", y);
            let call = self.settings(call, x.shape(), offset)?.set("accumulate", false);
            call.set("top", 0).set("some", h).set("count", count).over(count)?;
            offset += c;
        }
        Ok(Saved::new())
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let mut offset = 0;
        for (x, dx) in pass.x.iter().zip(pass.dx) {
            let [c, h, w] = x.shape().chw("hypercolumn")?;
            if let Some(dx) = dx {
                // What is added to stays where it is in all other rows.
                let rows = if dx.accumulate { self.touched(h) } else { 0..h };
                let count = c * rows.len() * w;
                let call = recorder.kernel(&BACKWARD).bind("dy", pass.dy).bind("dx", &dx.value);
                let call = self.settings(call, x.shape(), offset)?.set("top", rows.start);
                let call = call.set("some", rows.len()).set("accumulate", dx.accumulate);
                call.set("count", count).over(count)?;
            }
            offset += c;
        }
        Ok(())
    }
}

/// The two pixels that a cell lies between, and how much each counts.
fn place(cell: usize, pixels: usize, cells: usize) -> [(usize, f64); 2] {
    let middle = (cell as f64 + 0.5) * pixels as f64 / cells as f64 - 0.5;
    let middle = middle.clamp(0.0, (pixels - 1) as f64);
    let (low, share) = (middle.floor() as usize, middle.fract());
    [(low, 1.0 - share), ((low + 1).min(pixels - 1), share)]
}

impl Hypercolumn {
    /// Visits every pixel that every element of the output sees: map, its index there, the output's index, and the weight.
    fn each(&self, x: &[Array], mut visit: impl FnMut(usize, usize, usize, f64)) {
        let Grid { height, width, rows } = &self.grid;
        let mut at = 0;
        for (map, x) in x.iter().enumerate() {
            let [c, h, w] = x.chw();
            for channel in 0..c {
                for row in rows.clone() {
                    for column in 0..*width {
                        for (r, down) in place(row, h, *height) {
                            for (s, across) in place(column, w, *width) {
                                visit(map, (channel * h + r) * w + s, at, down * across);
                            }
                        }
                        at += 1;
                    }
                }
            }
        }
    }
}

impl Reference for Hypercolumn {
    fn reference(&self, x: &[Array]) -> Array {
        let channels: usize = x.iter().map(|x| x.chw()[0]).sum();
        let mut y = Array::zeros([channels, self.grid.rows.len(), self.grid.width]);
        self.each(x, |map, pixel, at, weight| y.data[at] += weight * x[map].data[pixel]);
        y
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        let mut dx: Vec<Array> = x.iter().map(|x| Array::zeros(x.shape.clone())).collect();
        self.each(x, |map, pixel, at, weight| dx[map].data[pixel] += weight * dy.data[at]);
        dx
    }

    fn flops(&self, inputs: &[Shape]) -> u64 {
        // Four products and sums a sample.
        let channels: usize = inputs.iter().map(|shape| shape.dims()[0]).sum();
        8 * (channels * self.grid.rows.len() * self.grid.width) as u64
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn bench(site: &Site<'_>, _: Option<&str>) -> Option<Case> {
    let [h, w] = site.size.map(|side| side.div_ceil(4));
    site.on_maps(Hypercolumn { maps: 1, grid: Grid::whole(h, w) }, 1)
}

fn cases() -> Vec<Case> {
    let case = |maps: Vec<Shape>, grid: Grid, note: &str| {
        Case::new(Hypercolumn { maps: maps.len(), grid }, maps, note)
    };
    let mut cases: Vec<Case> = awkward_maps()
        .into_iter()
        .flat_map(|map| [[1, 1], [4, 3], [13, 33]].map(|[h, w]| (map.clone(), Grid::whole(h, w))))
        .map(|(map, grid)| case(vec![map], grid, "one map"))
        .collect();
    // As a network has them: whole, half, quarter and eighth, of odd sides.
    let taps = || [[2, 37, 43], [3, 18, 21], [5, 9, 10], [1, 4, 5]].map(Shape::from).to_vec();
    cases.push(case(taps(), Grid::whole(9, 11), "taps"));
    for rows in [0..1, 3..7, 8..9] {
        cases.push(case(taps(), Grid { height: 9, width: 11, rows }, "rows"));
    }
    cases.push(case(taps(), Grid::whole(9, 11), "the second frozen").frozen(&[1]));
    cases
}
