//! A picture's colours, as those see them who look at it.

use crate::error::Result;
use crate::gpu::{Gpu, Tensor};
use crate::picture::Picture;

/// A picture's size, and its colours where they are there.
#[derive(Clone, Copy)]
pub struct Pixels<'a> {
    /// Width and height.
    pub size: (u32, u32),
    /// 3×H×W; nothing where the picture's memory is only planned.
    pub(crate) rgb: &'a [f32],
}

impl<'a> Pixels<'a> {
    /// Those of a picture.
    pub fn of(picture: &'a Picture) -> Self {
        Pixels { size: picture.size(), rgb: picture.rgb() }
    }

    /// None: what is asked for is how much memory a picture of that size takes.
    pub(crate) fn planned(size: (u32, u32)) -> Self {
        Pixels { size, rgb: &[] }
    }

    /// The shape of its tensor: 3×H×W.
    pub fn shape(&self) -> [usize; 3] {
        [3, self.size.1 as usize, self.size.0 as usize]
    }

    /// Hands it to the GPU.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) when it is too large for the adapter.
    pub fn upload(&self, gpu: &Gpu) -> Result<Tensor> {
        gpu.tensor(self.shape(), self.rgb)
    }
}
