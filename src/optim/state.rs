//! What an optimiser hands on.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::picture::resized_plane;

/// What an optimiser knows after some steps, on the host: with the picture, enough to go on bit for bit at the
/// same size, and to go on at another.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Steps taken.
    pub steps: u64,
    /// Width and height of the picture.
    pub size: (u32, u32),
    /// The optimiser's own numbers by name, such as Adam's `clock`, `mean` and `square`. Planar where they
    /// belong to pixels.
    pub tensors: BTreeMap<String, Vec<f32>>,
}

impl State {
    /// The numbers of that name.
    ///
    /// # Errors
    /// [`Error::Shape`] when there are none: another optimiser's state.
    pub fn tensor(&self, name: &str) -> Result<&[f32]> {
        self.tensors.get(name).map(Vec::as_slice).ok_or_else(|| Error::Shape {
            op: "optimiser",
            what: format!("the state to go on from has no `{name}`: another optimiser left it"),
        })
    }

    /// The three planes of that name for a picture of `size`, resampled (bilinear) and multiplied by `factor`
    /// where that is another size.
    ///
    /// # Errors
    /// [`Error::Shape`] when there are none, or their count does not fit the state's own size.
    pub fn planes(&self, name: &str, size: (u32, u32), factor: f32) -> Result<Vec<f32>> {
        let numbers = self.tensor(name)?;
        let (width, height) = self.size;
        let count = 3 * width as usize * height as usize;
        if numbers.len() != count || count == 0 {
            let what = format!("{} numbers of `{name}` for {width}×{height} px", numbers.len());
            return Err(Error::Shape { op: "optimiser", what });
        }
        if size == self.size {
            return Ok(numbers.to_vec());
        }
        let planes = numbers.chunks_exact(count / 3);
        let resized = planes.flat_map(|plane| resized_plane(plane, self.size, size));
        Ok(resized.map(|number| factor * number).collect())
    }
}
