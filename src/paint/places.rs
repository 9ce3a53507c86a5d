//! What a painting by neighbours knows beside its optimiser: the neighbours, and the levels themselves. Both are kept in its
//! state, so that a run that goes on takes the same steps.

use std::borrow::Cow;

use crate::error::Result;
use crate::gpu::Gpu;
use crate::loss::neighbours::{Found, Places};
use crate::loss::{Aim, StyleTargets};
use crate::nets::Graph;
use crate::optim::{Average, Optimizer, State};
use crate::paint::levels::Levels;
use crate::tiles::grid::Grid;
use crate::tiles::search;

const CHOICE: &str = "choice";
const CENTRE: &str = "centre";
const SEAL: &str = "seal";

/// The neighbours of a picture that starts from `start`: those of a state at its size, if that has any; otherwise they are
/// looked for, in the tiles of a grid or in the whole picture.
///
/// # Errors
/// What recording and running can give.
pub(super) async fn found(
    (gpu, graph): (&Gpu, &Graph),
    (aim, style): (&Aim<'_>, &StyleTargets),
    (levels, start, before): (&Levels, &[f32], Option<&State>),
    grid: Option<&Grid>,
) -> Result<Found> {
    let Some(places) = &style.places else { return Ok(Found::default()) };
    if let Some(known) = before.map(known).filter(|known| places.fits(known)) {
        return Ok(known);
    }
    let whole =
        Grid::new(aim.content.size, usize::MAX, aim.loss.tile_reach(graph, aim.content.size))?;
    let picture = match places.splits {
        true => start.to_vec(),
        false => levels.with_fine(start, aim.content.rgb),
    };
    let of = (picture.as_slice(), aim.content, grid.unwrap_or(&whole));
    search::found(gpu, graph, aim.loss, places, of).await
}

/// What a state has of it.
fn known(state: &State) -> Found {
    let of = |name: &str| state.tensors.get(name).cloned().unwrap_or_default();
    Found { choice: of(CHOICE), centre: of(CENTRE), seal: of(SEAL) }
}

/// What of a state is gone on with: all of one with the same neighbours. Of another one it is the picture, in its styles' colours,
/// so that its levels are no part of it.
pub(super) fn handed<'a>(before: Cow<'a, State>, found: &Found) -> Cow<'a, State> {
    if known(&before) == *found {
        return before;
    }
    let mut state = before.into_owned();
    let of = |key: &str, name: &str| key == name || key.starts_with(&format!("{name}."));
    state.tensors.retain(|key, _| !of(key, Optimizer::X) && !of(key, Average::NAME));
    Cow::Owned(state)
}

/// The result of what the levels make: in the colours of the styles, and in 0..1, which levels know nothing of.
pub(super) fn result(mut rgb: Vec<f32>, places: Option<&Places>) -> Vec<f32> {
    places.iter().for_each(|places| places.colour(&mut rgb));
    rgb.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
    rgb
}

/// Adds what was found and the levels to a state.
pub(super) fn keep(
    state: &mut State,
    found: &Found,
    levels: impl IntoIterator<Item = (String, Vec<f32>)>,
) {
    let found = [(CHOICE, &found.choice), (CENTRE, &found.centre), (SEAL, &found.seal)];
    for (name, numbers) in found.into_iter().filter(|(_, numbers)| !numbers.is_empty()) {
        state.tensors.insert(name.into(), numbers.clone());
    }
    for (name, numbers) in levels {
        state.tensors.entry(name).or_insert(numbers);
    }
}
