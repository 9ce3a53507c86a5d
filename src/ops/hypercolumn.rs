//! `hypercolumn`: maps of several layers sampled on one grid, one above the other: what every place looks like to all of
//! them (Hariharan et al., "Hypercolumns for Object Segmentation and Fine-grained Localization", CVPR 2015; for style
//! transfer Kolkin et al., "Neural Neighbor Style Transfer", arXiv 2203.13215, section 3).
//!
//! Samples are bilinear, and the middles of pixels lie at halves: so are the maps of convolutions with padding and of
//! pools laid over the picture.

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

/// A grid's side in pixels stays below this: places are quotients of whole numbers of 32 bits.
const LARGEST: usize = 1 << 30;

/// The catalogue's row.
pub const ENTRY: Entry =
    Entry { name: "hypercolumn", shaders: &[&SHADER], cases, bench: Bench::plain(bench) };

/// Places at equal distances over a picture: the middles of cells that begin at its first pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Height and width of a cell, in pixels of the picture.
    pub cell: [usize; 2],
    /// Rows and columns of cells.
    pub cells: [usize; 2],
}

impl Grid {
    /// Number of cells.
    pub fn places(&self) -> usize {
        self.cells[0] * self.cells[1]
    }

    /// The pixel in the middle of a cell, row and column, of a picture of that height and width.
    pub fn middle(&self, at: [usize; 2], size: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| {
            let middle = at[axis] * self.cell[axis] + self.cell[axis] / 2;
            middle.min(size[axis].saturating_sub(1))
        })
    }
}

/// A map, and the pixels of the picture along a side of one of its own.
#[derive(Clone, Copy, Debug)]
pub struct Sampled {
    /// C×H×W.
    pub map: Var,
    /// At least 1.
    pub stride: usize,
}

/// Maps sampled on a grid, their channels one after the other, in f32. C×H×W, D×H'×W', … → (C+D+…)×R×G, for R rows of G
/// cells.
///
/// # Errors
/// [`Error::Shape`] when there is no map, no cell, or when sides are too large to be placed (2³⁰ px); otherwise as
/// [`Tape::record`].
pub fn hypercolumn(tape: &mut Tape, maps: &[Sampled], grid: Grid) -> Result<Var> {
    let strides = maps.iter().map(|map| map.stride).collect();
    let maps: Vec<Var> = maps.iter().map(|map| map.map).collect();
    tape.record(Hypercolumn { strides, grid }, &maps)
}

#[derive(Clone)]
struct Hypercolumn {
    strides: Vec<usize>,
    grid: Grid,
}

impl Hypercolumn {
    /// What both passes need of a map: its channels from `offset` on.
    fn settings<'r>(
        &self,
        call: Call<'r>,
        map: usize,
        x: &Shape,
        offset: usize,
    ) -> Result<Call<'r>> {
        let ([_, h, w], Grid { cell, cells }) = (x.chw("hypercolumn")?, self.grid);
        let call = call.set("height", h).set("width", w).set("rows", cells[0]);
        let call = call.set("columns", cells[1]).set("cell_height", cell[0]);
        let call = call.set("cell_width", cell[1]).set("stride", self.strides[map]);
        Ok(call.set("offset", offset))
    }
}

impl Op for Hypercolumn {
    fn name(&self) -> &'static str {
        "hypercolumn"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let wrong = |what: String| Err(Error::Shape { op: "hypercolumn", what });
        let Grid { cell, cells } = self.grid;
        if inputs.is_empty() {
            return wrong("there is no map to sample".into());
        }
        if cells.iter().chain(&cell).chain(&self.strides).any(|count| *count == 0) {
            return wrong(format!("a grid of {cells:?} cells of {cell:?} px has no places"));
        }
        let mut channels = 0;
        for (map, stride) in inputs.iter().zip(&self.strides) {
            let [c, h, w] = map.chw("hypercolumn")?;
            let side = |cells: usize, cell: usize| (cells + 1).saturating_mul(cell);
            let sides = [h.max(w).saturating_mul(*stride), side(cells[0], cell[0])];
            if sides.into_iter().chain([side(cells[1], cell[1])]).any(|side| side >= LARGEST) {
                return wrong(format!("{map} is too large for a grid of {cells:?} cells"));
            }
            channels += c;
        }
        Ok([channels, cells[0], cells[1]].into())
    }

    fn maps(&self) -> usize {
        self.strides.len()
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        let mut offset = 0;
        for (map, x) in x.iter().enumerate() {
            let [c, ..] = x.shape().chw("hypercolumn")?;
            let count = c * self.grid.places();
            let call = recorder.kernel(&FORWARD).bind("x", x).bind("y", y);
            let call = self.settings(call, map, x.shape(), offset)?.set("accumulate", false);
            call.set("count", count).over(count)?;
            offset += c;
        }
        Ok(Saved::new())
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let mut offset = 0;
        for (map, (x, dx)) in pass.x.iter().zip(pass.dx).enumerate() {
            let [c, h, w] = x.shape().chw("hypercolumn")?;
            if let Some(dx) = dx {
                let call = recorder.kernel(&BACKWARD).bind("dy", pass.dy).bind("dx", &dx.value);
                let call = self.settings(call, map, x.shape(), offset)?;
                call.set("accumulate", dx.accumulate).set("count", c * h * w).over(c * h * w)?;
            }
            offset += c;
        }
        Ok(())
    }
}

/// The two pixels, of so many, that a cell's middle lies between, and how much each counts.
fn place(at: usize, cell: usize, stride: usize, pixels: usize) -> [(usize, f64); 2] {
    let middle = (at as f64 + 0.5) * cell as f64 / stride as f64 - 0.5;
    let middle = middle.clamp(0.0, (pixels - 1) as f64);
    let (low, share) = (middle.floor() as usize, middle.fract());
    [(low, 1.0 - share), ((low + 1).min(pixels - 1), share)]
}

impl Hypercolumn {
    /// Visits every pixel that every element of the output sees: map, its index there, the output's index, and the weight.
    fn each(&self, x: &[Array], mut visit: impl FnMut(usize, usize, usize, f64)) {
        let Grid { cell, cells } = self.grid;
        let mut at = 0;
        for (map, (x, stride)) in x.iter().zip(&self.strides).enumerate() {
            let [c, h, w] = x.chw();
            for channel in 0..c {
                for row in 0..cells[0] {
                    for column in 0..cells[1] {
                        for (r, down) in place(row, cell[0], *stride, h) {
                            for (s, across) in place(column, cell[1], *stride, w) {
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
        let mut y = Array::zeros([channels, self.grid.cells[0], self.grid.cells[1]]);
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
        8 * (channels * self.grid.places()) as u64
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn bench(site: &Site<'_>, _: Option<&str>) -> Option<Case> {
    let cells = site.size.map(|side| side.div_ceil(4));
    site.on_maps(Hypercolumn { strides: vec![1], grid: Grid { cell: [4, 4], cells } }, 1)
}

fn cases() -> Vec<Case> {
    let case = |maps: Vec<Shape>, strides: &[usize], cell: [usize; 2], cells: [usize; 2]| {
        let op = Hypercolumn { strides: strides.to_vec(), grid: Grid { cell, cells } };
        Case::new(op, maps, format!("{strides:?} by {cell:?}"))
    };
    let mut cases = Vec::new();
    for map in awkward_maps() {
        // Doubled, thinned, and further than the map goes.
        let grids =
            [(2, [1, 1], [13, 7]), (1, [4, 3], [4, 3]), (3, [5, 8], [9, 2]), (8, [4, 4], [1, 1])];
        cases.extend(
            grids.map(|(stride, cell, cells)| case(vec![map.clone()], &[stride], cell, cells)),
        );
    }
    // As a network has them: whole, half, quarter and eighth, of odd sides.
    let taps = || [[2, 37, 43], [3, 18, 21], [5, 9, 10], [1, 4, 5]].map(Shape::from).to_vec();
    let strides = [1, 2, 4, 8];
    cases.push(case(taps(), &strides, [4, 4], [9, 10]));
    cases.push(case(taps(), &strides, [5, 7], [7, 6]));
    cases.push(case(taps(), &strides, [4, 4], [9, 10]).frozen(&[1]));
    cases
}
