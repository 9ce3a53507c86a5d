//! Neural neighbours: every place of a picture is to look like the place of a style that is nearest to it (Kolkin, Kucera,
//! Paris, Sýkora, Shechtman, Shakhnarovich, "Neural Neighbor Style Transfer", arXiv 2203.13215).
//!
//! What a place looks like is its hypercolumn: the features of several layers, sampled on a grid a quarter of the picture's
//! size. A [`Pool`] holds those of the styles, in four rotations each. [`Pool::neighbours`] finds for every place of a picture the
//! nearest one by centred cosine, and [`Neighbours::record`] is how far another picture is from these: the mean cosine
//! distance, not centred. No style loss of [`style`](crate::loss::style) is like it: what it compares with depends on the place.

use crate::error::{Error, Knob, Result};
use crate::gpu::{Frozen, Gpu, Tensor};
use crate::loss::pixels::Pixels;
use crate::nets::Graph;
use crate::ops::{self, Grid, Vectors};
use crate::tape::{Tape, Var};

/// Layers that are looked at when nobody names others: those of the first four blocks that the embedded network was
/// trained for, and that every VGG-19 has. (The authors take all of VGG-16's in these blocks.)
pub const LAYERS: [&str; 6] = ["relu1_1", "relu2_1", "relu2_2", "relu3_1", "relu3_3", "relu4_1"];

/// Pixels of a picture along a side of the grid's cell.
const CELL: usize = 4;

/// The grid over a picture of that width and height.
pub fn grid((width, height): (u32, u32)) -> Grid {
    let cells = |side: u32| (side as usize / CELL).max(1);
    Grid::whole(cells(height), cells(width))
}

/// Records what a picture looks like at every place of a grid: 3×H×W → C×R×G.
///
/// # Errors
/// [`Error::Network`] when a layer is missing; otherwise what recording can give.
pub fn hypercolumns(
    tape: &mut Tape,
    graph: &Graph,
    layers: &[&str],
    (picture, grid): (Var, Grid),
) -> Result<Var> {
    let mut maps = Vec::new();
    graph.record(tape, picture, layers, &mut |_, _, seen| {
        maps.push(seen);
        Ok(())
    })?;
    tape.scope("neighbours");
    ops::hypercolumn(tape, &maps, grid)
}

/// What the styles look like, at all of their places and in four rotations: what a picture may choose from.
pub struct Pool {
    layers: Vec<String>,
    /// C×H×W, a rotation of a style each.
    pieces: Vec<Tensor>,
    /// C, over all of them.
    mean: Tensor,
}

/// Where the nearest vectors of a pool are, and what they are.
pub struct Neighbours {
    layers: Vec<String>,
    /// 2×H×W: the vector's number, and its centred cosine.
    pub choice: Tensor,
    /// C×H×W: the vectors.
    pub target: Tensor,
}

impl Pool {
    /// Looks at the styles.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is no style, [`Error::Network`] when a layer is missing; otherwise what recording and
    /// running can give.
    pub async fn measure(
        gpu: &Gpu,
        graph: &Graph,
        layers: &[&str],
        styles: &[Pixels<'_>],
    ) -> Result<Self> {
        let (mut pieces, mut sums, mut vectors) = (Vec::new(), Vec::new(), 0.0);
        for style in styles {
            let mut turned = (style.rgb.to_vec(), style.size);
            for _ in 0..4 {
                let (piece, mean) = looked_at(gpu, graph, layers, &turned).await?;
                let [_, h, w] = piece.shape().chw("neighbours")?;
                let count = (h * w) as f64;
                sums.resize(mean.len(), 0.0);
                sums.iter_mut().zip(mean).for_each(|(sum, v)| *sum += f64::from(v) * count);
                vectors += count;
                pieces.push(piece);
                turned = quarter_turn(&turned.0, turned.1);
            }
        }
        if pieces.is_empty() {
            return Err(Error::Usage(format!("{}: there is no style to choose from", Knob::Style)));
        }
        let mean: Vec<f32> = sums.iter().map(|sum| (sum / vectors) as f32).collect();
        let layers = layers.iter().map(ToString::to_string).collect();
        Ok(Pool { layers, pieces, mean: gpu.tensor([mean.len()], &mean)? })
    }

    /// Finds the nearest vectors of what a picture looks like, its [`hypercolumns`] C×H×W.
    ///
    /// # Errors
    /// What recording and running can give.
    pub async fn neighbours(&self, gpu: &Gpu, looks: &Tensor) -> Result<Neighbours> {
        let mut tape = Tape::new(gpu);
        tape.scope("neighbours");
        let map = tape.constant(looks);
        let mean = ops::channel_mean(&mut tape, map)?;
        let x = Vectors { map, mean, labels: alike(&mut tape, looks)? };
        let mean = tape.constant(&self.mean);
        let (mut choice, mut target, mut first) = (None, None, 0);
        let mut pieces = Vec::new();
        for piece in &self.pieces {
            let labels = alike(&mut tape, piece)?;
            let pool = Vectors { map: tape.constant(piece), mean, labels };
            choice = Some(ops::nearest(&mut tape, x, pool, first, choice)?);
            pieces.push((pool.map, first));
            let [_, h, w] = piece.shape().chw("neighbours")?;
            first += h * w;
        }
        // A pool is never empty.
        let none = || Error::Gpu("the pool is empty".into());
        let choice = choice.ok_or_else(none)?;
        for (piece, first) in pieces {
            target = Some(ops::gather(&mut tape, piece, choice, first, target)?);
        }
        let target = tape.keep(target.ok_or_else(none)?)?;
        let choice = tape.keep(choice)?;
        tape.finish()?.run().await?;
        Ok(Neighbours { layers: self.layers.clone(), choice, target })
    }
}

impl Neighbours {
    /// Records the mean cosine distance of what a picture looks like from its neighbours, a scalar. 3×H×W, a picture of the
    /// size whose places have these neighbours.
    ///
    /// # Errors
    /// [`Error::Shape`] when it is of another size; otherwise what recording can give.
    pub fn record(&self, tape: &mut Tape, graph: &Graph, picture: Var) -> Result<Var> {
        let [_, height, width] = tape.shape(picture).chw("neighbours")?;
        let [_, h, w] = self.target.shape().chw("neighbours")?;
        let here = grid((width as u32, height as u32));
        if here != Grid::whole(h, w) {
            let what = format!("{height}×{width} pixels do not have {h}×{w} places");
            return Err(Error::Shape { op: "neighbours", what });
        }
        let layers: Vec<&str> = self.layers.iter().map(String::as_str).collect();
        let looks = hypercolumns(tape, graph, &layers, (picture, here))?;
        let target = tape.constant(&self.target);
        ops::cosine_distance(tape, looks, target, 1.0 / (h * w) as f32)
    }
}

/// Labels by which everything may be matched with everything.
fn alike(tape: &mut Tape, map: &Tensor) -> Result<Var> {
    let [_, h, w] = map.shape().chw("neighbours")?;
    Ok(tape.frozen(&Frozen::new([h, w], vec![0.0; h * w])?))
}

/// What a picture looks like, and the mean over its places.
async fn looked_at(
    gpu: &Gpu,
    graph: &Graph,
    layers: &[&str],
    (rgb, size): &(Vec<f32>, (u32, u32)),
) -> Result<(Tensor, Vec<f32>)> {
    let pixels = Pixels { size: *size, rgb }.upload(gpu)?;
    let mut tape = Tape::new(gpu);
    let picture = tape.constant(&pixels);
    let looks = hypercolumns(&mut tape, graph, layers, (picture, grid(*size)))?;
    let mean = ops::channel_mean(&mut tape, looks)?;
    let (looks, mean) = (tape.keep(looks)?, tape.keep(mean)?);
    tape.finish()?.run().await?;
    let mean = gpu.read(&mean).await?;
    Ok((looks, mean))
}

/// A picture turned by 90° to the left: columns from the right become rows from the top.
fn quarter_turn(rgb: &[f32], (width, height): (u32, u32)) -> (Vec<f32>, (u32, u32)) {
    let (w, h) = (width as usize, height as usize);
    let plane = |plane: &[f32]| -> Vec<f32> {
        (0..w * h).map(|i| plane[i % h * w + (w - 1 - i / h)]).collect()
    };
    (rgb.chunks(w * h).flat_map(plane).collect(), (height, width))
}

#[cfg(test)]
mod tests {
    use super::quarter_turn;

    #[test]
    fn four_quarter_turns_are_none() {
        let picture: Vec<f32> = (0..3 * 2 * 3_u8).map(f32::from).collect();
        let (turned, size) = quarter_turn(&picture, (3, 2));
        // 0 1 2 / 3 4 5 becomes 2 5 / 1 4 / 0 3.
        assert_eq!((&turned[..6], size), (&[2.0, 5.0, 1.0, 4.0, 0.0, 3.0][..], (2, 3)));
        let again = (0..3).fold((turned, size), |(rgb, size), _| quarter_turn(&rgb, size));
        assert_eq!(again, (picture, (3, 2)));
    }
}
