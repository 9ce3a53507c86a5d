//! Where a picture lies while it is painted, and how it is looked at.

use serde::{Deserialize, Serialize};

/// Where the picture lies while it is painted, and how it is looked at. By default everything is looked at whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The picture is on the host and the GPU sees tiles; otherwise it is on the GPU.
    pub tiles: Option<TileLayout>,
    /// Style pictures are measured in tiles of at most so many pixels.
    pub style_tile: Option<usize>,
    /// Pairs that L-BFGS remembers at most.
    pub history: Option<usize>,
}

/// How tiles are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TileLayout {
    /// The longest side of a tile in pixels.
    pub most: usize,
    /// Every tile has memory of its own, so that the second pass goes on where the first ended.
    pub keep: bool,
}

impl Layout {
    /// The longest side of the tiles that style pictures are measured in.
    pub fn measuring_tile(&self) -> Option<usize> {
        self.style_tile.or(self.tiles.map(|tiles| tiles.most))
    }

    /// The size of the maps that there will be for a picture of `size`, about: what a tuner should measure at.
    pub fn seen_size(&self, (width, height): (u32, u32)) -> (u32, u32) {
        let most = self.tiles.map_or(u32::MAX, |tiles| tiles.most as u32);
        (width.min(most), height.min(most))
    }
}
