//! Buffers of a device: counted while they live, refused beyond its limit, and read back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::device::{Gpu, Submission};
use crate::error::{Error, Knob, Result};

/// A buffer of the device's memory, counted while it lives.
pub struct Memory {
    pub(super) buffer: wgpu::Buffer,
    meter: Arc<AtomicU64>,
}

impl Memory {
    /// Whether it was allocated on this device (its meter is the device's own).
    pub(crate) fn belongs_to(&self, gpu: &Gpu) -> bool {
        Arc::ptr_eq(&self.meter, &gpu.meter().live)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.meter.fetch_sub(self.buffer.size(), Ordering::Relaxed);
    }
}

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
        let buffer = self.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size,
            usage,
            mapped_at_creation: false,
        });
        let before = self.meter().live.fetch_add(size, Ordering::Relaxed);
        self.meter().peak.fetch_max(before + size, Ordering::Relaxed);
        Arc::new(Memory { buffer, meter: self.meter().live.clone() })
    }

    pub(crate) fn fill(&self, memory: &Memory, numbers: &[f32]) {
        self.queue().write_buffer(&memory.buffer, 0, bytemuck::cast_slice(numbers));
    }

    /// Starts copying the first `bytes` of a buffer to the host.
    pub(crate) fn download(&self, memory: &Memory, bytes: u64) -> Download {
        self.download_buffer(&memory.buffer, bytes)
    }

    pub(super) fn download_buffer(&self, buffer: &wgpu::Buffer, bytes: u64) -> Download {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = self.create("staging", bytes, usage);
        let mut encoder = self.device().create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging.buffer, 0, bytes);
        let submission = Submission(self.queue().submit([encoder.finish()]));
        let (send, mapped) = futures_channel::oneshot::channel();
        staging.buffer.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            // The receiver is gone when nobody wants the bytes any more.
            let _ = send.send(result);
        });
        Download { staging, submission, mapped, outcome: None }
    }
}

/// Bytes on their way from the GPU.
pub(crate) struct Download {
    staging: Arc<Memory>,
    submission: Submission,
    mapped: futures_channel::oneshot::Receiver<MapOutcome>,
    outcome: Option<MapOutcome>,
}

type MapOutcome = Result<(), wgpu::BufferAsyncError>;

impl Download {
    /// Whether [`Download::finish`] would return at once.
    pub fn is_ready(&mut self) -> bool {
        if self.outcome.is_none() {
            self.outcome = self.mapped.try_recv().ok().flatten();
        }
        self.outcome.is_some()
    }

    /// Waits for the bytes.
    pub async fn finish(self, gpu: &Gpu) -> Result<Vec<u8>> {
        gpu.finished(self.submission).await?;
        let failed = |what: String| match gpu.check() {
            Err(error) => error,
            Ok(()) => Error::Gpu(format!("reading back failed: {what}")),
        };
        let outcome = match self.outcome {
            Some(outcome) => outcome,
            None => self.mapped.await.map_err(|_| failed("the request was dropped".into()))?,
        };
        outcome.map_err(|e| failed(e.to_string()))?;
        let view = self.staging.buffer.slice(..).get_mapped_range();
        let bytes = view.map_err(|e| failed(e.to_string()))?.to_vec();
        self.staging.buffer.unmap();
        gpu.check()?;
        Ok(bytes)
    }
}
