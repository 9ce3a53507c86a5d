//! Counted buffers: a [`Memory`] counts on the [`Meter`] of its device while it lives.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of a device's buffers.
pub(super) struct Meter {
    /// Those that live now.
    pub live: Arc<AtomicU64>,
    /// The most that lived at once.
    pub peak: AtomicU64,
    /// The most that may.
    pub limit: AtomicU64,
    /// Of a dry device: what counts the buffers of the one that it stands for.
    real: Option<Arc<AtomicU64>>,
    /// Of a dry device: packed weights, which stay while it does, as they stay on a real one.
    kept: Mutex<Vec<Arc<Memory>>>,
}

impl Meter {
    /// At 0; `real` is that of [`Meter::real`].
    pub fn new(real: Option<Arc<AtomicU64>>) -> Self {
        Meter {
            live: Arc::default(),
            peak: AtomicU64::default(),
            limit: AtomicU64::new(u64::MAX),
            real,
            kept: Mutex::default(),
        }
    }

    /// On a dry device, what counts the buffers of the one that it stands for.
    pub fn real(&self) -> Option<&Arc<AtomicU64>> {
        self.real.as_ref()
    }

    /// Counts a buffer; on a dry device there is none.
    pub fn count(&self, size: u64, buffer: Option<wgpu::Buffer>) -> Arc<Memory> {
        let before = self.live.fetch_add(size, Ordering::Relaxed);
        self.peak.fetch_max(before + size, Ordering::Relaxed);
        Arc::new(Memory { buffer, size, live: self.live.clone() })
    }

    /// Has memory stay as long as this dry device.
    pub fn keep(&self, memory: &Arc<Memory>) {
        self.kept().push(memory.clone());
    }

    /// What stays as long as this dry device.
    pub fn kept(&self) -> MutexGuard<'_, Vec<Arc<Memory>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer of the device's memory, counted while it lives.
pub struct Memory {
    /// None on a dry device.
    pub(super) buffer: Option<wgpu::Buffer>,
    /// In bytes.
    pub(super) size: u64,
    live: Arc<AtomicU64>,
}

impl Memory {
    /// Whether it is counted there.
    pub(super) fn counts_on(&self, live: &Arc<AtomicU64>) -> bool {
        Arc::ptr_eq(&self.live, live)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.live.fetch_sub(self.size, Ordering::Relaxed);
    }
}
