//! One opened device: its errors, its kernels, waiting for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::adapters::{self, AdapterReport, Choice};
use super::kernel::{Kernel, KernelId};
use crate::error::{Error, Knob, Result};
use crate::shape::Precision;

/// An opened GPU. Cloning shares it.
#[derive(Clone)]
pub struct Gpu(Arc<Inner>);

struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    report: AdapterReport,
    limits: wgpu::Limits,
    checked: bool,
    /// The first error the driver reported and nobody was told of; what follows it is most often
    /// its consequence.
    fault: Arc<Mutex<Option<Fault>>>,
    kernels: Mutex<HashMap<(KernelId, Precision), Arc<Kernel>>>,
    /// What [`crate::tune`] chose: variants by class of work.
    choices: Mutex<BTreeMap<String, String>>,
    meter: Meter,
}

/// Bytes of a device's buffers.
pub(super) struct Meter {
    /// Those that live now.
    pub live: Arc<AtomicU64>,
    /// The most that lived at once.
    pub peak: AtomicU64,
    /// The most that may.
    pub limit: AtomicU64,
}

enum Fault {
    OutOfMemory(String),
    Lost(String),
    Other(String),
}

/// Work that was handed to the GPU, to be waited for with [`Gpu::finished`].
pub struct Submission(pub(super) wgpu::SubmissionIndex);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gpu {
    /// Opens the adapter that `choice` means, with all of its own limits.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] when there is none like it, [`Error::Gpu`] when it can't be opened.
    pub async fn open(choice: &Choice) -> Result<Self> {
        Self::open_with(choice, false).await
    }

    /// As [`Gpu::open`], with wgpu's bounds checks left in every shader (slower; for tests, which
    /// show that results are the same bits either way).
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub async fn open_checked(choice: &Choice) -> Result<Self> {
        Self::open_with(choice, true).await
    }

    async fn open_with(choice: &Choice, checked: bool) -> Result<Self> {
        let candidate = adapters::choose(choice).await?;
        let limits = candidate.adapter.limits();
        let mut report = candidate.report;
        let useful =
            wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SUBGROUP | wgpu::Features::SHADER_F16;
        let open = |matrices: bool| {
            let (more, experimental_features) = match matrices {
                true => (
                    wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX,
                    // SAFETY: for cooperative matrices alone, in kernels of our own that are checked before they are used.
                    unsafe { wgpu::ExperimentalFeatures::enabled() },
                ),
                false => (wgpu::Features::empty(), wgpu::ExperimentalFeatures::disabled()),
            };
            candidate.adapter.request_device(&wgpu::DeviceDescriptor {
                label: Some("impasto"),
                required_features: candidate.adapter.features() & (useful | more),
                required_limits: limits.clone(),
                experimental_features,
                ..Default::default()
            })
        };
        let mut opened = open(report.fragment_side().is_some()).await;
        if opened.is_err() && report.fragment_side().is_some() {
            report.cooperative_matrices.clear();
            opened = open(false).await;
        }
        let (device, queue) =
            opened.map_err(|e| Error::Gpu(format!("{} can't be opened: {e}", report.name)))?;
        let fault = Arc::new(Mutex::new(None));
        let (seen, lost) = (fault.clone(), fault.clone());
        device.on_uncaptured_error(Arc::new(move |error| {
            let first = match error {
                wgpu::Error::OutOfMemory { .. } => Fault::OutOfMemory(error.to_string()),
                _ => Fault::Other(error.to_string()),
            };
            lock(&seen).get_or_insert(first);
        }));
        device.set_device_lost_callback(move |_, message| {
            // A lost device also makes calls fail: the loss is the cause, so it goes first.
            *lock(&lost) = Some(Fault::Lost(message));
        });
        Ok(Gpu(Arc::new(Inner {
            device,
            queue,
            report,
            limits,
            checked,
            fault,
            kernels: Mutex::default(),
            choices: Mutex::default(),
            meter: Meter {
                live: Arc::default(),
                peak: AtomicU64::default(),
                limit: AtomicU64::new(u64::MAX),
            },
        })))
    }

    /// The adapter behind this device.
    pub fn report(&self) -> &AdapterReport {
        &self.0.report
    }

    /// A software driver: memory is system memory, and a dispatch costs processor time.
    pub fn is_cpu(&self) -> bool {
        self.0.report.software
    }

    /// A software driver whose subgroups are workgroups of 8: lanes can hand numbers to each other, which
    /// costs less there than loading them.
    pub fn broadcasts(&self) -> bool {
        let report = self.report();
        self.is_cpu() && report.subgroups && report.subgroup_sizes == [8, 8]
    }

    /// As [`AdapterReport::fragment_side`].
    pub fn fragment_side(&self) -> Option<usize> {
        self.report().fragment_side()
    }

    /// Bytes of buffers that live now.
    pub fn allocated_bytes(&self) -> u64 {
        self.0.meter.live.load(Ordering::Relaxed)
    }

    /// The most bytes of buffers that lived at once.
    pub fn peak_bytes(&self) -> u64 {
        self.0.meter.peak.load(Ordering::Relaxed)
    }

    /// From now on buffers that kernels bind are refused where all buffers together would take more than `bytes`.
    pub fn limit_bytes(&self, bytes: u64) {
        self.0.meter.limit.store(bytes, Ordering::Relaxed);
    }

    /// Whether shaders keep wgpu's bounds checks.
    pub fn is_checked(&self) -> bool {
        self.0.checked
    }

    pub(super) fn limits(&self) -> &wgpu::Limits {
        &self.0.limits
    }

    /// The variant that was chosen for a class of work, if one was.
    pub(crate) fn choice(&self, class: &str) -> Option<String> {
        lock(&self.0.choices).get(class).cloned()
    }

    /// All choices.
    pub(crate) fn choices(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        lock(&self.0.choices)
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.0.meter
    }

    pub(super) fn device(&self) -> &wgpu::Device {
        &self.0.device
    }

    pub(super) fn queue(&self) -> &wgpu::Queue {
        &self.0.queue
    }

    /// The first error that the driver reported since the last call, if any; a lost device stays
    /// lost.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::Memory`] or [`Error::Gpu`].
    pub fn check(&self) -> Result<()> {
        let mut fault = lock(&self.0.fault);
        let first = match &*fault {
            Some(Fault::Lost(what)) => return Err(Error::DeviceLost(what.clone())),
            _ => fault.take(),
        };
        match first {
            None => Ok(()),
            Some(Fault::OutOfMemory(what)) => Err(Error::Memory(format!(
                "the GPU is out of memory ({what}); a smaller {} needs less",
                Knob::Size
            ))),
            Some(Fault::Lost(what)) => Err(Error::DeviceLost(what)),
            Some(Fault::Other(what)) => Err(Error::Gpu(what)),
        }
    }

    /// Destroys the device, as a crashed driver would.
    pub fn destroy(&self) {
        self.0.device.destroy();
    }

    /// The pipeline of a kernel for feature maps of that precision, compiled at the first call.
    pub(crate) fn kernel(&self, id: &KernelId, precision: Precision) -> Result<Arc<Kernel>> {
        let key = (id.clone(), precision);
        if let Some(kernel) = lock(&self.0.kernels).get(&key) {
            return Ok(kernel.clone());
        }
        let side = self.fragment_side().unwrap_or(16);
        let checked = self.is_checked();
        let kernel = Arc::new(Kernel::compile(self.device(), id, (precision, side), checked)?);
        self.check()?;
        lock(&self.0.kernels).insert(key, kernel.clone());
        Ok(kernel)
    }

    /// Waits until the GPU has finished `submission`.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub async fn finished(&self, submission: Submission) -> Result<()> {
        #[cfg(not(target_arch = "wasm32"))]
        {
            let wait = wgpu::PollType::Wait { submission_index: Some(submission.0), timeout: None };
            if let Err(error) = self.0.device.poll(wait) {
                // A lost device refuses to wait before it has told that it is lost.
                let _ = self.0.device.poll(wgpu::PollType::Poll);
                self.check()?;
                return Err(Error::Gpu(error.to_string()));
            }
        }
        #[cfg(target_arch = "wasm32")]
        {
            let _ = submission;
            let (send, done) = futures_channel::oneshot::channel();
            self.0.queue.on_submitted_work_done(move || {
                let _ = send.send(());
            });
            let _ = done.await;
        }
        self.check()
    }
}
