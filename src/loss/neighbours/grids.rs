//! Where pictures are looked at, by which layers, and how much of what is found counts.

use crate::nets::Reach;
use crate::ops::Grid;

/// A style is looked at in so many rotations: more to choose from keeps more of the content (section 3.1).
pub(crate) const TURNS: usize = 4;

/// Layers that are looked at when nobody names others: those of the first four blocks that the embedded network was
/// trained for, and that every VGG-19 has. (The authors take all of VGG-16's in these blocks.)
pub const LAYERS: &str = "relu1_1,relu2_1,relu2_2,relu3_1,relu3_3,relu4_1";

/// Levels of the pyramid whose coefficients are moved, as the authors have it.
pub const LEVELS: usize = 8;
/// Its finest ones: the first picture is without them, and a search takes them from the photograph.
pub const FINE: usize = 2;
/// The photograph's share in what is searched for, at a strength of 1.
const KEPT: f32 = 0.5;

/// Pixels along a side of the grid's cells.
const CELL: usize = 4;
/// Places along a picture's longer side at most where features are split.
const SPLIT_SIDE: usize = 64;
/// Vectors of a pool at most.
pub(super) const VECTORS: usize = 1 << 15;
/// Vectors of a style that are looked at, at most: a pool takes some of them.
const SEEN: usize = 1 << 16;
/// Those of a pool where features are split, and the pool is searched in every step.
pub(super) const SPLIT_VECTORS: usize = 1 << 12;

/// The places of a picture of that width and height.
pub(crate) fn grid(size: (u32, u32), splits: bool) -> Grid {
    let longest = size.0.max(size.1) as usize;
    let cell = cells().find(|cell| !splits || longest <= cell * SPLIT_SIDE);
    cells_of(size, cell.unwrap_or(CELL))
}

/// Sides of cells. Tiles begin at multiples of these, and of the network's strides, which divide all but the first.
fn cells() -> impl Iterator<Item = usize> {
    std::iter::once(CELL).chain((1..).map(|cell| 2 * CELL * cell))
}

/// Cells of that many pixels over a picture: at least one.
fn cells_of((width, height): (u32, u32), cell: usize) -> Grid {
    Grid { cell: [cell; 2], cells: [height, width].map(|side| (side as usize / cell).max(1)) }
}

/// The places at which a style of that width and height is looked at: not many more than a pool takes.
pub(crate) fn style_grid(size: (u32, u32)) -> Grid {
    let places = |cell: &usize| cells_of(size, *cell).places();
    let cell = cells().find(|cell| TURNS * places(cell) <= SEEN);
    cells_of(size, cell.unwrap_or(CELL))
}

/// The cells that a part of so many pixels has of a grid.
pub(crate) fn part_of(grid: Grid, (width, height): (usize, usize)) -> Grid {
    let [down, across] = grid.cell;
    Grid { cells: [(height / down).max(1), (width / across).max(1)], ..grid }
}

/// How far a network looks that looks so far at the pixels of its maps, where a place lies between four of them.
pub(crate) fn reach(reach: Reach, grid: Grid) -> Reach {
    let [height, width] = grid.cell;
    let [down, across] = [height, width].map(|stride| Reach { stride, halo: 0 });
    let both = Reach { halo: reach.halo + reach.stride, ..reach };
    both.and(down).and(across)
}

/// How much of what is searched for is the picture's own, and not the photograph's.
pub(super) fn own_share(strength: f32) -> f32 {
    strength * (1.0 - KEPT)
}
