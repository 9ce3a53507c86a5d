//! The loss of a picture whose places have neighbours, of all of it or of a part.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::grids::{grid, own_share, part_of};
use super::pool::{Group, Part, Pool, seal};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Tensor};
use crate::loss::aim::Aim;
use crate::loss::regions::Mask;
use crate::nets::Graph;
use crate::ops::{self, Grid, Sampled, Vectors};
use crate::picture::Colours;
use crate::tape::{Tape, Var};

/// What the places of a picture are to look like. Cloning shares the pool.
#[derive(Clone)]
pub struct Places {
    pub(crate) pool: Arc<Pool>,
    /// Tells apart what is searched in, and how, in numbers that f32 has.
    pub(crate) seal: Vec<f32>,
    /// All places of the picture.
    pub(crate) grid: Grid,
    /// Every layer looks for itself, in every step.
    pub(crate) splits: bool,
    /// How much of what is searched for is the picture's own.
    pub(crate) own_share: f32,
    /// The masks of the regions, none where there is one, all of the picture; and the colours of each.
    masks: Arc<Vec<Mask>>,
    colours: Vec<Option<Colours>>,
    /// How far the picture is to have these.
    strength: f32,
    /// The region of every place, and how much it counts.
    labels: Arc<Vec<f32>>,
    weights: Arc<Vec<f32>>,
}

/// What has been found for a picture: kept in its state, so that a run that goes on has the same neighbours.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// For every place the number of its neighbour; nothing where features are split.
    pub choice: Vec<f32>,
    /// What is subtracted from features before they are compared, where they are split.
    pub centre: Vec<f32>,
    /// The seal of the places that they were found for.
    pub seal: Vec<f32>,
}

/// Which of a picture's places a part has, and which of these are its own: rows, then columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cells {
    pub origin: [usize; 2],
    /// Counted from the origin.
    pub own: [Range<usize>; 2],
}

impl Cells {
    /// All places, of a picture that is looked at whole.
    pub fn all(grid: Grid) -> Self {
        Cells { origin: [0; 2], own: grid.cells.map(|cells| 0..cells) }
    }
}

impl Places {
    /// From the styles of an aim.
    ///
    /// # Errors
    /// [`Error::Usage`] when no style has a weight, masks do not go with styles, or a style was measured otherwise;
    /// otherwise [`Error::Memory`].
    pub(crate) fn new(gpu: &Gpu, aim: &Aim<'_>) -> Result<Self> {
        let (styles, regions, settings) = (aim.styles, aim.regions, aim.loss);
        let taps = settings.style_taps();
        let taps = crate::loss::settings::taps(&taps);
        let (mut parts, mut colours) = (Vec::new(), Vec::new());
        for (region, painters) in regions.styles(styles.len())?.iter().enumerate() {
            let mut own = Vec::new();
            for style in painters {
                let (style, weight) = &styles[*style];
                let vectors = style.vectors(&taps)?;
                parts.push(Part { vectors, weight: *weight, region });
                own.push((vectors.colours, *weight));
            }
            own.retain(|(_, weight)| *weight > 0.0);
            colours.push((!own.is_empty()).then(|| Colours::of_all(&own)));
        }
        let grid = grid(aim.content.size, settings.splits);
        let (labels, mut weights) = regions_of(&regions.content, grid);
        for (weight, label) in weights.iter_mut().zip(&labels) {
            // Nobody paints there.
            if colours.get(label.max(0.0) as usize).is_some_and(Option::is_none) {
                *weight = 0.0;
            }
        }
        let own_share = own_share(settings.strength);
        Ok(Places {
            seal: seal(&parts, labels.iter().chain([&own_share])),
            pool: Arc::new(Pool::new(gpu, &parts, settings.splits)?),
            grid,
            splits: settings.splits,
            own_share,
            masks: Arc::new(regions.content.clone()),
            colours,
            strength: settings.strength,
            labels: Arc::new(labels),
            weights: Arc::new(weights),
        })
    }

    /// Memory for what a part of so many pixels needs beside its maps.
    pub(crate) fn inputs(&self, gpu: &Gpu, tile: (usize, usize)) -> Result<PlaceInputs> {
        let grid = part_of(self.grid, tile);
        let [rows, columns] = grid.cells;
        let centres = self.pool.groups.iter().map(|group| gpu.zeros([group.channels()]));
        Ok(PlaceInputs {
            grid,
            choice: gpu.zeros([2, rows, columns])?,
            labels: gpu.zeros([rows, columns])?,
            weights: gpu.zeros([1, rows, columns])?,
            centres: centres.collect::<Result<_>>()?,
        })
    }

    /// Whether that was found for these places and this pool.
    pub(crate) fn fits(&self, found: &Found) -> bool {
        let channels: usize = self.pool.groups.iter().map(Group::channels).sum();
        let fits = match self.splits {
            true => found.centre.len() == channels,
            false => found.choice.len() == self.labels.len(),
        };
        fits && found.seal == self.seal
    }

    /// Gives a picture, 3×H×W, the colours of its styles, as far as the strength goes: a distance of directions says nothing of
    /// their spread.
    pub(crate) fn colour(&self, rgb: &mut [f32]) {
        let colours = self.colours.iter().enumerate();
        for (region, wanted) in colours.filter_map(|(at, wanted)| Some((at, wanted.as_ref()?))) {
            let mask = self.masks.get(region).map(Mask::plane);
            Colours::of(rgb, mask).moved_to(wanted, rgb, (mask, self.strength));
        }
    }

    /// Σ over all places of how much they count.
    fn sum(&self) -> f64 {
        self.weights.iter().map(|weight| f64::from(*weight)).sum()
    }

    /// Records the mean distance of the part's places, of which `maps` has the features, from their neighbours: its share of the
    /// whole's.
    pub(crate) fn record(
        &self,
        tape: &mut Tape,
        maps: &BTreeMap<String, Sampled>,
        given: &PlaceVars,
    ) -> Result<Var> {
        let groups = &self.pool.groups;
        let factor = 1.0 / (self.sum().max(1e-3) * groups.len().max(1) as f64);
        let mut terms = Vec::new();
        for (group, centre) in groups.iter().zip(&given.centres) {
            tape.scope("neighbours");
            let sampled: Vec<_> = group.layers.iter().map(|layer| maps[layer]).collect();
            let looks = ops::hypercolumn(tape, &sampled, given.grid)?;
            let pool = group.vectors(tape);
            let choice = match self.splits {
                false => given.choice,
                true => {
                    let map = tape.detached(looks);
                    let x = Vectors { map, mean: *centre, labels: given.labels };
                    ops::nearest(tape, x, pool)?
                }
            };
            let target = ops::gather(tape, pool.map, choice)?;
            let pair = [looks, target];
            terms.push((1.0, ops::cosine_distance(tape, pair, given.weights, factor as f32)?));
        }
        ops::weighted_sum(tape, &terms)
    }
}

/// For every place the region whose mask is largest there, −1 where none is, and how large it is.
fn regions_of(masks: &[Mask], grid: Grid) -> (Vec<f32>, Vec<f32>) {
    let [rows, columns] = grid.cells;
    let count = rows * columns;
    if masks.is_empty() {
        return (vec![0.0; count], vec![1.0; count]);
    }
    let (mut labels, mut weights) = (vec![-1.0; count], vec![0.0; count]);
    for (region, mask) in masks.iter().enumerate() {
        let (width, height) = mask.size();
        for place in 0..count {
            let [row, column] =
                grid.middle([place / columns, place % columns], [height as usize, width as usize]);
            let value = mask.plane().get(row * width as usize + column).copied().unwrap_or(1.0);
            if value > weights[place] {
                (weights[place], labels[place]) = (value, region as f32);
            }
        }
    }
    (labels, weights)
}

/// What a part needs beside its maps.
#[derive(Clone)]
pub(crate) struct PlaceInputs {
    /// The places of the part.
    pub grid: Grid,
    /// 2×R×G.
    choice: Tensor,
    /// R×G.
    labels: Tensor,
    /// 1×R×G.
    weights: Tensor,
    /// C, for every group.
    centres: Vec<Tensor>,
}

/// The same as a recording sees it.
pub(crate) struct PlaceVars {
    pub grid: Grid,
    choice: Var,
    pub labels: Var,
    weights: Var,
    centres: Vec<Var>,
}

impl PlaceInputs {
    /// Hands a part's regions and weights to the GPU, and its neighbours once they are found.
    pub fn load(
        &self,
        gpu: &Gpu,
        places: &Places,
        (cells, found): (&Cells, Option<&Found>),
    ) -> Result<()> {
        if found.is_some_and(|found| !places.fits(found)) {
            let what =
                "these neighbours were found for another picture or other styles: look again";
            return Err(Error::Usage(what.into()));
        }
        let part = |whole: &[f32], other: f32| self.cut(whole, places.grid, cells, other);
        gpu.write(&self.labels, &part(&places.labels, -1.0))?;
        gpu.write(&self.weights, &part(&places.weights, 0.0))?;
        let Some(found) = found else { return Ok(()) };
        if !places.splits {
            let mut choice = part(&found.choice, -1.0);
            // Cosines are not asked for.
            choice.resize(2 * choice.len(), 0.0);
            gpu.write(&self.choice, &choice)?;
        }
        let mut centre = found.centre.as_slice();
        for to in &self.centres {
            let (own, rest) = centre.split_at_checked(to.shape().elements()).unwrap_or_default();
            if !own.is_empty() {
                gpu.write(to, own)?;
            }
            centre = rest;
        }
        Ok(())
    }

    /// The part's places of a plane over all, `other` where they are not its own.
    fn cut(&self, whole: &[f32], all: Grid, cells: &Cells, other: f32) -> Vec<f32> {
        let ([rows, columns], [_, width]) = (self.grid.cells, all.cells);
        let mut part = vec![other; rows * columns];
        let across = cells.own[1].clone();
        for row in cells.own[0].clone() {
            let from = (row + cells.origin[0]) * width + cells.origin[1] + across.start;
            part[row * columns..][across.clone()].copy_from_slice(&whole[from..][..across.len()]);
        }
        part
    }

    /// What [`Places::record`] reads.
    pub fn vars(&self, tape: &mut Tape) -> PlaceVars {
        PlaceVars {
            grid: self.grid,
            choice: tape.constant(&self.choice),
            labels: tape.constant(&self.labels),
            weights: tape.constant(&self.weights),
            centres: self.centres.iter().map(|centre| tape.constant(centre)).collect(),
        }
    }
}

/// A layer's map as a hypercolumn samples it.
///
/// # Errors
/// [`Error::Network`] when the layer is missing.
pub(crate) fn sampled(graph: &Graph, tap: &str, map: Var) -> Result<Sampled> {
    match graph.at(tap)?.chain.ratio() {
        (1, stride) => Ok(Sampled { map, stride }),
        (map, picture) => {
            let what = format!("{tap} has {map} pixels for {picture} of the picture");
            Err(Error::Shape { op: "neighbours", what })
        }
    }
}
