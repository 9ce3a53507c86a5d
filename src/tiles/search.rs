//! What the places of pictures look like, from their tiles, and the neighbours of a picture's places: what
//! [`neighbours`] needs before the first step at a size.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::gpu::{Gpu, Phase, Program, Tensor};
use crate::loss::neighbours::{
    self, Cells, Found, PlaceInputs, Places, StyleVectors, TURNS, sampled,
};
use crate::loss::pixels::Pixels;
use crate::loss::regions::Mask;
use crate::loss::settings::{LossSettings, taps};
use crate::nets::Graph;
use crate::ops::{self, Sampled, Vectors};
use crate::picture::Colours;
use crate::tape::{Tape, Var};
use crate::tiles::grid::{Grid, Span};
use crate::tiles::part::{TileInputs, add_to, cells_of, cut};

/// A place of a style counts where its mask has this share of the largest white that it has anywhere.
const COUNTS: f32 = 0.5;

/// Looks at a style in all rotations, in tiles of at most `most` pixels; a mask shows which places count.
///
/// # Errors
/// [`Error::Picture`] when the mask leaves none, [`Error::Network`] when a layer is missing; otherwise what recording and
/// running can give.
pub(crate) async fn vectors(
    gpu: &Gpu,
    graph: &Graph,
    settings: &LossSettings,
    (pixels, masks): (Pixels<'_>, &[Mask]),
    most: Option<usize>,
) -> Result<StyleVectors> {
    let layers = settings.style_taps();
    let channels = layers.iter().map(|l| Ok((l.layer.clone(), graph.at(&l.layer)?.channels)));
    let mut vectors = StyleVectors {
        layers: channels.collect::<Result<_>>()?,
        colours: Colours::of(pixels.rgb, masks.first().map(Mask::plane)),
        ..StyleVectors::default()
    };
    let (mut rgb, mut size) = (pixels.rgb.to_vec(), pixels.size);
    let mut mask = masks.first().map(|mask| mask.plane().to_vec());
    for _ in 0..TURNS {
        let turned = Pixels { size, rgb: &rgb };
        look(gpu, graph, &taps(&layers), (turned, mask.as_deref()), most, &mut vectors).await?;
        rgb = neighbours::quarter_turn(&rgb, size);
        mask = mask.map(|mask| neighbours::quarter_turn(&mask, size));
        size = (size.1, size.0);
    }
    if vectors.count == 0 && !gpu.is_dry() {
        let (name, what) = ("style mask".into(), "nothing of it is white: no place counts".into());
        return Err(Error::Picture { name, what });
    }
    Ok(vectors)
}

/// Takes up what one rotation looks like.
async fn look(
    gpu: &Gpu,
    graph: &Graph,
    taps: &[&str],
    (pixels, mask): (Pixels<'_>, Option<&[f32]>),
    most: Option<usize>,
    vectors: &mut StyleVectors,
) -> Result<()> {
    let size = (pixels.size.0 as usize, pixels.size.1 as usize);
    let all = neighbours::style_grid(pixels.size);
    let reach = neighbours::reach(graph.reach(taps), all);
    let grid = Grid::new(pixels.size, most.unwrap_or(usize::MAX), reach)?;
    let picture = tile(gpu, &grid)?;
    let places = neighbours::part_of(all, grid.tile);
    let mut tape = Tape::new(gpu);
    let x = tape.constant(&picture);
    let maps = record_maps(&mut tape, graph, taps, x)?;
    tape.scope("neighbours");
    let maps: Vec<_> = taps.iter().map(|tap| maps[*tap]).collect();
    let looks = ops::hypercolumn(&mut tape, &maps, places)?;
    let looks = tape.keep(looks)?;
    let program = tape.finish()?;
    gpu.plan_reading(&looks);
    let first = vectors.count;
    vectors.extend(all.places(), gpu.is_dry());
    for at in TileInputs::tiles(gpu, &grid) {
        gpu.write(&picture, &cut(&grid, at, pixels.rgb))?;
        program.run().await?;
        let Cells { origin, own } = cells_of(&grid, at, all);
        let map = gpu.read(&looks).await?;
        for row in own[0].clone() {
            for column in own[1].clone() {
                let vector = (row + origin[0]) * all.cells[1] + column + origin[1];
                vectors.put(first + vector, &map, row * places.cells[1] + column);
            }
        }
    }
    if let Some(mask) = mask.filter(|_| !gpu.is_dry()) {
        let whites = whites(mask, size, all);
        let least = COUNTS * whites.iter().fold(0.0, |most: f32, white| most.max(*white));
        vectors.retain(first, |place| whites[place] > 0.0 && whites[place] >= least);
    }
    Ok(())
}

/// The largest white of a mask in every cell.
fn whites(mask: &[f32], (width, height): (usize, usize), grid: ops::Grid) -> Vec<f32> {
    let ([down, across], [rows, columns]) = (grid.cell, grid.cells);
    let mut whites = vec![0.0_f32; rows * columns];
    for (y, line) in mask.chunks_exact(width).enumerate().take(height.min(rows * down)) {
        for (x, white) in line.iter().enumerate().take(columns * across) {
            let cell = &mut whites[y / down * columns + x / across];
            *cell = cell.max(*white);
        }
    }
    whites
}

/// What a search needs of a tile, and what it finds there.
struct Search {
    picture: Tensor,
    content: Tensor,
    inputs: PlaceInputs,
    /// 1×R×G: 1 where a place is the tile's own.
    own: Tensor,
    /// C of every group: the mean over all places.
    means: Vec<Tensor>,
}

/// Looks for the neighbours of a picture's places, in the tiles of a grid. `picture` has the content's finest detail; what is
/// searched for is a mixture of what both look like. Where features are split, only the centre is measured.
///
/// # Errors
/// What recording and running can give.
pub async fn found(
    gpu: &Gpu,
    graph: &Graph,
    settings: &LossSettings,
    places: &Places,
    (picture, content, grid): (&[f32], Pixels<'_>, &Grid),
) -> Result<Found> {
    let search = Search::new(gpu, places, grid)?;
    let layers = settings.style_taps();
    let (program, choice) = search.record(gpu, graph, &taps(&layers), places)?;
    choice.iter().for_each(|choice| gpu.plan_reading(choice));
    let pixels = [picture, content.rgb];
    for tile in TileInputs::tiles(gpu, grid) {
        search.load(gpu, places, (grid, tile), pixels)?;
        gpu.finished(program.submit_phase(Phase::First)).await?;
    }
    let mut found = Found { seal: places.seal.clone(), ..Found::default() };
    let Some(choice) = choice else {
        for mean in search.means.iter().filter(|_| !gpu.is_dry()) {
            found.centre.extend(gpu.read(mean).await?);
        }
        return Ok(found);
    };
    let ([rows, width], [_, columns]) = (places.grid.cells, search.inputs.grid.cells);
    found.choice = vec![-1.0; rows * width];
    for tile in TileInputs::tiles(gpu, grid) {
        let Cells { origin, own } = search.load(gpu, places, (grid, tile), pixels)?;
        gpu.finished(program.submit_phase(Phase::Last)).await?;
        let choice = gpu.read(&choice).await?;
        for row in own[0].clone() {
            let from = &choice[row * columns..][own[1].clone()];
            let to = (row + origin[0]) * width + origin[1] + own[1].start;
            found.choice[to..][..from.len()].copy_from_slice(from);
        }
    }
    Ok(found)
}

impl Search {
    fn new(gpu: &Gpu, places: &Places, grid: &Grid) -> Result<Self> {
        let inputs = places.inputs(gpu, grid.tile)?;
        let [rows, columns] = inputs.grid.cells;
        let means = places.pool.groups.iter().map(|group| gpu.zeros([group.channels()]));
        Ok(Search {
            picture: tile(gpu, grid)?,
            content: tile(gpu, grid)?,
            own: gpu.zeros([1, rows, columns])?,
            means: means.collect::<Result<_>>()?,
            inputs,
        })
    }

    /// Records both passes: the first adds a tile's share to the means, the second looks for neighbours. Gives these, 2×R×G,
    /// unless features are split.
    fn record(
        &self,
        gpu: &Gpu,
        graph: &Graph,
        layers: &[&str],
        places: &Places,
    ) -> Result<(Program, Option<Tensor>)> {
        let mut tape = Tape::new(gpu);
        let vars = self.inputs.vars(&mut tape);
        let own = tape.constant(&self.own);
        let (x, content) = (tape.constant(&self.picture), tape.constant(&self.content));
        let content = match places.splits {
            true => None,
            false => Some(record_maps(&mut tape, graph, layers, content)?),
        };
        let maps = record_maps(&mut tape, graph, layers, x)?;
        tape.scope("neighbours");
        let grid = self.inputs.grid;
        let share = grid.places() as f32 / places.grid.places() as f32;
        let mut found = None;
        for (group, mean) in places.pool.groups.iter().zip(&self.means) {
            let looks = |tape: &mut Tape, maps: &BTreeMap<String, Sampled>| {
                let maps: Vec<_> = group.layers.iter().map(|layer| maps[layer]).collect();
                ops::hypercolumn(tape, &maps, grid)
            };
            let mut seen = looks(&mut tape, &maps)?;
            if let Some(maps) = &content {
                let (content, own) = (looks(&mut tape, maps)?, places.own_share);
                seen = ops::weighted_sum(&mut tape, &[(1.0 - own, content), (own, seen)])?;
            }
            tape.recorder().phase = Phase::First;
            let part = ops::guided_mean(&mut tape, seen, own)?;
            add_to(&mut tape, Phase::First, (part, share), &mean.into())?;
            if !places.splits {
                tape.recorder().phase = Phase::Last;
                let mean = tape.constant(mean);
                let x = Vectors { map: seen, mean, labels: vars.labels };
                let pool = group.vectors(&mut tape);
                let choice = ops::nearest(&mut tape, x, pool)?;
                found = Some(tape.keep(choice)?);
            }
            tape.recorder().phase = Phase::Every;
        }
        Ok((tape.finish()?, found))
    }

    /// Hands a tile of the picture and of the content to the GPU; says which of its places are its own.
    fn load(
        &self,
        gpu: &Gpu,
        places: &Places,
        (grid, tile): (&Grid, (&Span, &Span)),
        [picture, content]: [&[f32]; 2],
    ) -> Result<Cells> {
        let cells = cells_of(grid, tile, places.grid);
        gpu.write(&self.picture, &cut(grid, tile, picture))?;
        gpu.write(&self.content, &cut(grid, tile, content))?;
        let columns = self.inputs.grid.cells[1];
        let mut own = vec![0.0; self.inputs.grid.places()];
        for row in cells.own[0].clone() {
            own[row * columns..][cells.own[1].clone()].fill(1.0);
        }
        gpu.write(&self.own, &own)?;
        self.inputs.load(gpu, places, (&cells, None))?;
        Ok(cells)
    }
}

/// Memory for a tile's pixels.
fn tile(gpu: &Gpu, grid: &Grid) -> Result<Tensor> {
    gpu.zeros([3, grid.tile.1, grid.tile.0])
}

/// Records what the layers see of a tile.
fn record_maps(
    tape: &mut Tape,
    graph: &Graph,
    taps: &[&str],
    picture: Var,
) -> Result<BTreeMap<String, Sampled>> {
    let mut maps = BTreeMap::new();
    graph.record(tape, picture, taps, &mut |_, tap, map| {
        maps.insert(tap.to_string(), sampled(graph, tap, map)?);
        Ok(())
    })?;
    Ok(maps)
}
