//! Buffers of a device: counted while they live, refused beyond its limit, and read back.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::device::{Gpu, Submission};
use super::meter::Memory;
use crate::error::{Error, Knob, Result};

impl Gpu {
    /// Allocates `bytes` (rounded up to a multiple of 16) that kernels can bind, filled with zeros.
    ///
    /// # Errors
    /// [`Error::Memory`] when the adapter could not bind it whole.
    pub(crate) fn allocate(&self, label: &str, bytes: u64) -> Result<Arc<Memory>> {
        let size = bytes.max(16).next_multiple_of(16);
        let most = self.report().max_binding_bytes;
        if size > most {
            return Err(Error::Memory(format!(
                "{label} needs a buffer of {} MB, and {} binds at most {} MB at once: choose a smaller {}",
                size.div_ceil(1_000_000),
                self.report().name,
                most / 1_000_000,
                Knob::Size
            )));
        }
        let (taken, limit) = (self.allocated_bytes(), self.meter().limit.load(Ordering::Relaxed));
        if taken.saturating_add(size) > limit {
            let mb = |bytes: u64| bytes.div_ceil(1_000_000);
            return Err(Error::Memory(format!(
                "{label} of {} MB does not fit: {} MB are taken of the {} MB that {} allows",
                mb(size),
                mb(taken),
                mb(limit),
                Knob::Memory
            )));
        }
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::UNIFORM
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST;
        Ok(self.create(label, size, usage))
    }

    pub(super) fn create(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Arc<Memory> {
        let buffer = (!self.is_dry()).then(|| {
            self.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage,
                mapped_at_creation: false,
            })
        });
        self.meter().count(size, buffer)
    }

    pub(crate) fn fill(&self, memory: &Memory, numbers: &[f32]) {
        if let Some(buffer) = &memory.buffer {
            self.queue().write_buffer(buffer, 0, bytemuck::cast_slice(numbers));
        }
    }

    /// Starts copying the first `bytes` of a buffer to the host.
    pub(crate) fn download(&self, memory: &Memory, bytes: u64) -> Download {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = self.create("staging", bytes, usage);
        let mapped = match (&memory.buffer, &staging.buffer) {
            (Some(buffer), Some(to)) => {
                let mut encoder = self.device().create_command_encoder(&Default::default());
                encoder.copy_buffer_to_buffer(buffer, 0, to, 0, bytes);
                let submission = self.queue().submit([encoder.finish()]);
                let (send, mapped) = futures_channel::oneshot::channel();
                to.slice(..).map_async(wgpu::MapMode::Read, move |result| {
                    // The receiver is gone when nobody wants the bytes any more.
                    let _ = send.send(result);
                });
                Some((Submission(Some(submission)), mapped))
            }
            _ => None,
        };
        Download { staging, mapped, outcome: None }
    }
}

/// Bytes on their way from the GPU.
pub(crate) struct Download {
    staging: Arc<Memory>,
    /// None on a dry device, where all bytes are 0.
    mapped: Option<(Submission, futures_channel::oneshot::Receiver<MapOutcome>)>,
    outcome: Option<MapOutcome>,
}

type MapOutcome = Result<(), wgpu::BufferAsyncError>;

impl Download {
    /// Whether [`Download::finish`] would return at once.
    pub fn is_ready(&mut self) -> bool {
        let Some((_, mapped)) = &mut self.mapped else { return true };
        if self.outcome.is_none() {
            self.outcome = mapped.try_recv().ok().flatten();
        }
        self.outcome.is_some()
    }

    /// Waits for the bytes.
    pub async fn finish(self, gpu: &Gpu) -> Result<Vec<u8>> {
        let (Some((submission, mapped)), Some(buffer)) = (self.mapped, &self.staging.buffer) else {
            return Ok(vec![0; self.staging.size as usize]);
        };
        gpu.finished(submission).await?;
        let failed = |what: String| match gpu.check() {
            Err(error) => error,
            Ok(()) => Error::Gpu(format!("reading back failed: {what}")),
        };
        let outcome = match self.outcome {
            Some(outcome) => outcome,
            None => mapped.await.map_err(|_| failed("the request was dropped".into()))?,
        };
        outcome.map_err(|e| failed(e.to_string()))?;
        let view = buffer.slice(..).get_mapped_range();
        let bytes = view.map_err(|e| failed(e.to_string()))?.to_vec();
        buffer.unmap();
        gpu.check()?;
        Ok(bytes)
    }
}
