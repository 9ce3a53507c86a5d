//! What an optimiser left is brought to the next picture's size, before the next optimiser goes on from it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::optim::{Adam, Method, State};
use crate::paint::start::Carried;
use crate::picture::resized_plane;
use crate::shape::Wrap;

/// What an optimiser of that method can go on from, for a picture of `size`. At the size of the picture that it comes
/// with that is the state itself. At another, Adam's means are resized, and of L-BFGS, whose pairs mean nothing there,
/// only the steps are left; so they are where another optimiser left the state. `wrap`: edges of the picture that meet.
///
/// # Errors
/// [`Error::Shape`] when the state does not fit the picture that it comes with.
pub(crate) fn state(
    carried: &Carried,
    (size, wrap): ((u32, u32), Wrap),
    method: Method,
) -> Result<Cow<'_, State>> {
    let Carried { picture, state, .. } = carried;
    let (steps, from) = (state.steps, picture.size());
    let tensors = match method {
        _ if size == from => return Ok(Cow::Borrowed(state)),
        Method::Adam(_) if state.tensors.contains_key(Adam::MEAN) => {
            // A loss that is a mean over pixels has gradients in proportion to a pixel's share, so the means follow it.
            let area = |(w, h): (u32, u32)| f64::from(w) * f64::from(h);
            let share = (area(from) / area(size)) as f32;
            let mean = planes(state, Adam::MEAN, (from, size, wrap), share)?;
            let square = planes(state, Adam::SQUARE, (from, size, wrap), share * share)?;
            let clock = state.tensor(Adam::CLOCK)?.to_vec();
            BTreeMap::from([(Adam::CLOCK, clock), (Adam::MEAN, mean), (Adam::SQUARE, square)])
        }
        _ => BTreeMap::new(),
    };
    let tensors = tensors.into_iter().map(|(name, numbers)| (name.into(), numbers)).collect();
    Ok(Cow::Owned(State { steps, tensors }))
}

/// The three planes of that name, resampled (bilinear) and multiplied by `factor`.
fn planes(
    state: &State,
    name: &str,
    (from, to, wrap): ((u32, u32), (u32, u32), Wrap),
    factor: f32,
) -> Result<Vec<f32>> {
    let numbers = state.tensor(name)?;
    let count = 3 * from.0 as usize * from.1 as usize;
    if numbers.len() != count || count == 0 {
        let what = format!("{} numbers of `{name}` for {}×{} px", numbers.len(), from.0, from.1);
        return Err(Error::Shape { op: "optimiser", what });
    }
    let planes = numbers.chunks_exact(count / 3);
    let resized = planes.flat_map(|plane| resized_plane(plane, from, to, wrap));
    Ok(resized.map(|number| factor * number).collect())
}
