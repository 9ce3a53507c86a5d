//! The optimiser's step for a picture that lives on the host: piece by piece through the same kernels.

use crate::error::Result;
use crate::gpu::{Gpu, Program};
use crate::optim::Adam;
use crate::tape::Tape;
use crate::tensor::Tensor;

/// Adam with its state on the host.
pub struct Pieces {
    gpu: Gpu,
    adam: Adam,
    x: Tensor,
    gradient: Tensor,
    tick: Program,
    update: Program,
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl Pieces {
    /// The optimiser for `count` numbers, of which `piece` go to the GPU at a time.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) when a piece is too large for the adapter.
    pub fn new(gpu: &Gpu, count: usize, piece: usize, lr: f32) -> Result<Self> {
        let piece = piece.min(count);
        let (x, gradient) = (gpu.zeros([piece])?, gpu.zeros([piece])?);
        let adam = Adam::new(gpu, x.shape(), lr)?;
        let mut tape = Tape::new(gpu);
        adam.record_tick(tape.recorder())?;
        let tick = tape.finish()?;
        let mut tape = Tape::new(gpu);
        adam.record_update(tape.recorder(), &x, &(&gradient).into())?;
        let update = tape.finish()?;
        let (mean, square) = (vec![0.0; count], vec![0.0; count]);
        Ok(Pieces { gpu: gpu.clone(), adam, x, gradient, tick, update, mean, square })
    }

    /// Moves `picture` against `gradient`.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub async fn step(&mut self, picture: &mut [f32], gradient: &[f32]) -> Result<()> {
        let gpu = &self.gpu;
        self.tick.run().await?;
        let [_, (_, mean), (_, square)] = self.adam.tensors();
        let piece = self.x.shape().elements();
        // The last piece may be short: what the GPU does with the rest is not read.
        let mut padded = vec![0.0; piece];
        for start in (0..picture.len()).step_by(piece) {
            let here = start..picture.len().min(start + piece);
            let parts = [
                (&self.x, &picture[here.clone()]),
                (&self.gradient, &gradient[here.clone()]),
                (mean, &self.mean[here.clone()]),
                (square, &self.square[here.clone()]),
            ];
            for (tensor, numbers) in parts {
                padded[..numbers.len()].copy_from_slice(numbers);
                gpu.write(tensor, &padded)?;
            }
            self.update.run().await?;
            let parts = [
                (&self.x, &mut picture[here.clone()]),
                (mean, &mut self.mean[here.clone()]),
                (square, &mut self.square[here.clone()]),
            ];
            for (tensor, numbers) in parts {
                numbers.copy_from_slice(&gpu.read(tensor).await?[..numbers.len()]);
            }
        }
        Ok(())
    }
}
