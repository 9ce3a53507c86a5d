//! What is measured of a picture once, from sums over its tiles: the moments of styles, and the variances of the content's
//! features. A picture of any size needs the memory of one tile.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::gpu::{Frozen, Gpu, Phase, Tensor, Value};
use crate::loss::aim::Aim;
use crate::loss::moments::StyleTraits;
use crate::loss::pixels::Pixels;
use crate::loss::regions::{Guides, Mask, Regions};
use crate::loss::settings::{LayerWeight, LossSettings, taps};
use crate::loss::style::Normalization;
use crate::loss::style_targets::StyleTargets;
use crate::loss::targets::Targets;
use crate::nets::Graph;
use crate::ops::{guide, statistics};
use crate::picture::Picture;
use crate::shape::{Precision, Shape, Wrap};
use crate::tape::Tape;
use crate::tiles::grid::Grid;
use crate::tiles::part::{Taps, TileInputs, add_to, moments_of_part, pixels_of, share_factor};
use crate::tiles::search;

/// Style pictures to be measured.
#[derive(Clone, Copy)]
pub struct Styles<'a> {
    /// In sizes of their own, each with its weight in the blend.
    pub pictures: &'a [(Picture, f32)],
    /// Which parts of the picture they paint, and which parts of them count. Masks have the sizes of their pictures.
    pub regions: &'a Regions,
    /// They are looked at in tiles of at most so many pixels.
    pub tile: Option<usize>,
}

impl<'a> Styles<'a> {
    /// Whole pictures that paint the whole picture.
    pub fn of(pictures: &'a [(Picture, f32)]) -> Self {
        Styles { pictures, regions: Regions::ALL, tile: None }
    }
}

/// Measures style pictures: what is left of them serves any number of paintings.
///
/// # Errors
/// [`Error::Usage`](crate::Error::Usage) when masks do not go with styles, [`Error::Network`](crate::Error::Network)
/// when a layer is missing; otherwise what recording and running can give.
pub async fn styles(
    gpu: &Gpu,
    graph: &Graph,
    settings: &LossSettings,
    styles: &Styles<'_>,
) -> Result<Vec<(StyleTraits, f32)>> {
    let graph = &graph.clone().with_wrap(Wrap::None);
    // Before any work.
    styles.regions.styles(styles.pictures.len())?;
    let masks = &styles.regions.style;
    let mut measured = Vec::new();
    for (at, (style, weight)) in styles.pictures.iter().enumerate() {
        let mask = masks.get(at..=at).unwrap_or_default();
        let seen = (Pixels::of(style), mask);
        let own = traits(gpu, graph, settings, seen, styles.tile).await?;
        measured.extend(own.into_iter().map(|moments| (moments, *weight)));
    }
    Ok(measured)
}

/// What is kept of a picture in each of its regions: [`moments`], or what its places look like.
pub(crate) async fn traits(
    gpu: &Gpu,
    graph: &Graph,
    settings: &LossSettings,
    seen: (Pixels<'_>, &[Mask]),
    most: Option<usize>,
) -> Result<Vec<StyleTraits>> {
    if settings.style_loss.is_by_place() {
        let vectors = search::vectors(gpu, graph, settings, seen, most).await?;
        return Ok(vec![StyleTraits::of_places(vectors)]);
    }
    moments(gpu, graph, settings, seen, most).await
}

/// The moments of an aim's content in every region, where its own style is to be kept in part.
///
/// # Errors
/// As [`styles`].
pub async fn own_moments(
    gpu: &Gpu,
    graph: &Graph,
    aim: &Aim<'_>,
) -> Result<Option<Vec<StyleTraits>>> {
    if !aim.loss.keeps_own_style() {
        return Ok(None);
    }
    let seen = (aim.content, aim.regions.content.as_slice());
    moments(gpu, graph, aim.loss, seen, aim.tile).await.map(Some)
}

/// Measures all that a picture which is looked at whole is compared with; `content` is 3×H×W.
///
/// # Errors
/// As [`styles`], [`StyleTargets::new`] and [`Targets::measure`].
pub async fn targets(
    gpu: &Gpu,
    graph: &Graph,
    settings: &LossSettings,
    content: &Tensor,
    pictures: &Styles<'_>,
) -> Result<Targets> {
    let [_, height, width] = content.shape().chw("targets")?;
    let rgb = gpu.read(content).await?;
    let measured = styles(gpu, graph, settings, pictures).await?;
    let aim = Aim {
        content: Pixels { size: (width as u32, height as u32), rgb: &rgb },
        styles: &measured,
        regions: pictures.regions,
        loss: settings,
        tile: pictures.tile,
    };
    let own = own_moments(gpu, graph, &aim).await?;
    let style = StyleTargets::new(gpu, &aim, own.as_deref()).await?;
    Targets::measure(gpu, graph, &aim, (content, style)).await
}

/// The moments of a picture in each of its regions, which `masks` show; without masks there is one region, all of it. It is
/// looked at in tiles of at most `most` pixels, or whole where edges meet.
pub(crate) async fn moments(
    gpu: &Gpu,
    graph: &Graph,
    settings: &LossSettings,
    (pixels, masks): (Pixels<'_>, &[Mask]),
    most: Option<usize>,
) -> Result<Vec<StyleTraits>> {
    let layers = settings.style_taps();
    let (taps, loss, regions) = (taps(&layers), settings.style_loss, masks.len().max(1));
    let guides = Guides::new(graph, &taps, masks)?;
    let most = most.filter(|_| graph.wrap() == Wrap::None).unwrap_or(usize::MAX);
    let grid = Grid::new(pixels.size, most, graph.reach(&taps))?;
    let inputs = TileInputs::new(gpu, graph, &grid, Taps { content: &[], style: &taps, regions })?;
    let mut tape = Tape::new(gpu);
    let vars = inputs.vars(&mut tape);
    let sums = (0..regions)
        .map(|_| StyleTraits::zeros(gpu, graph, settings))
        .collect::<Result<Vec<_>>>()?;
    graph.record(&mut tape, vars.picture, &taps, &mut |tape, tap, features| {
        for (region, moments) in moments_of_part(tape, loss, &vars, (tap, features))? {
            let factor = share_factor(graph, &grid, (tap, region), &guides)?;
            for ((_, part), to) in moments.parts().zip(sums[region].at(tap, loss)?.parts()) {
                add_to(tape, Phase::Every, (part, factor), &to.into())?;
            }
        }
        Ok(())
    })?;
    let program = tape.finish()?;
    for tile in TileInputs::tiles(gpu, &grid) {
        inputs.load(gpu, &grid, tile, pixels.rgb)?;
        inputs.guide(gpu, &grid, tile, &guides)?;
        program.run().await?;
    }
    Ok(sums)
}

/// What the content of a picture that is looked at in parts is measured by. The features themselves are computed again in
/// every step.
pub(crate) struct ContentScales {
    /// The variance of every content layer, or 1 where errors are absolute.
    pub variances: Vec<(LayerWeight, Value)>,
    /// How large the loss of a picture that has nothing of the content is, about.
    pub about: f32,
}

/// A content layer's sums over a tile.
struct Sums {
    tap: String,
    /// Numbers of the whole picture's map.
    numbers: usize,
    sum: Tensor,
    squares: Tensor,
}

impl ContentScales {
    /// Measures a content in tiles of at most `most` pixels.
    ///
    /// # Errors
    /// [`Error::Network`](crate::Error::Network) when a layer is missing; otherwise what recording and running can give.
    pub async fn measure(
        gpu: &Gpu,
        graph: &Graph,
        settings: &LossSettings,
        (content, most): (Pixels<'_>, usize),
    ) -> Result<Self> {
        let layers = settings.content_taps();
        let absolute = settings.normalization == Normalization::Absolute;
        let one = Value::from(&Frozen::scalar(1.0));
        if absolute && graph.precision() == Precision::F32 {
            let variances = layers.into_iter().map(|layer| (layer, one.clone())).collect();
            return Ok(ContentScales { variances, about: 1.0 });
        }
        let totals = totals(gpu, graph, &taps(&layers), (content, most)).await?;
        let (mut variances, mut loss, mut weights) = (Vec::new(), 0.0, 0.0);
        for layer in &layers {
            let (numbers, [sum, squares]) = totals[&layer.layer];
            let numbers = numbers as f64;
            let variance = (squares - sum * sum / numbers) / (numbers - 1.0).max(1.0);
            let variance = variance.max(0.0) as f32;
            (loss, weights) = (loss + layer.weight * variance, weights + layer.weight);
            let scale = match absolute {
                true => one.clone(),
                false => (&gpu.tensor(Shape::scalar(), &[variance])?).into(),
            };
            variances.push((layer.clone(), scale));
        }
        let about = if absolute && weights > 0.0 { loss / weights } else { 1.0 };
        Ok(ContentScales { variances, about })
    }
}

/// How many numbers every layer has, their sum and that of their squares.
async fn totals(
    gpu: &Gpu,
    graph: &Graph,
    taps: &[&str],
    (content, most): (Pixels<'_>, usize),
) -> Result<BTreeMap<String, (usize, [f64; 2])>> {
    let grid = Grid::new(content.size, most, graph.reach(taps))?;
    let (all, none) = (Guides::all(), &[]);
    let of = Taps { content: taps, style: none, regions: 0 };
    let inputs = TileInputs::new(gpu, graph, &grid, of)?;
    let mut tape = Tape::new(gpu);
    let vars = inputs.vars(&mut tape);
    let mut sums = Vec::new();
    graph.record(&mut tape, vars.picture, taps, &mut |tape, tap, features| {
        let (guide, features) = (vars.guide(tap), tape.value(features).clone());
        let guide = tape.value(guide).clone();
        let channels = features.shape().elements() / guide.shape().elements();
        let recorder = tape.recorder();
        let seen = guide::seen(recorder, &features, &guide, false)?;
        let sum = statistics::sum(recorder, &seen)?;
        let squares = statistics::square_norm(recorder, &seen)?;
        sums.push(Sums {
            tap: tap.to_string(),
            numbers: channels * pixels_of(graph, &grid, tap)?,
            sum: recorder.keep(&sum)?,
            squares: recorder.keep(&squares)?,
        });
        Ok(())
    })?;
    let program = tape.finish()?;
    let start = sums.iter().map(|sums| (sums.tap.clone(), (sums.numbers, [0.0; 2])));
    let mut totals: BTreeMap<_, _> = start.collect();
    for tile in TileInputs::tiles(gpu, &grid) {
        inputs.load(gpu, &grid, tile, content.rgb)?;
        inputs.guide(gpu, &grid, tile, &all)?;
        program.run().await?;
        for Sums { tap, sum, squares, .. } in &sums {
            if let Some((_, [sums, of_squares])) = totals.get_mut(tap) {
                *sums += f64::from(scalar(gpu, sum).await?);
                *of_squares += f64::from(scalar(gpu, squares).await?);
            }
        }
    }
    Ok(totals)
}

pub(crate) async fn scalar(gpu: &Gpu, tensor: &Tensor) -> Result<f32> {
    Ok(gpu.read(tensor).await?.first().copied().unwrap_or_default())
}
