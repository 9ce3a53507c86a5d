//! One opened device: its errors, its kernels, waiting for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::adapters::{self, AdapterReport, Choice};
use super::kernel::{Kernel, KernelId};
use super::meter::Meter;
use crate::error::{Error, Knob, Result};
use crate::shape::Precision;

/// An opened GPU. Cloning shares it.
#[derive(Clone)]
pub struct Gpu {
    inner: Arc<Inner>,
    meter: Arc<Meter>,
}

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
}

enum Fault {
    OutOfMemory(String),
    Lost(String),
    Other(String),
}

/// Work that was handed to the GPU, to be waited for with [`Gpu::finished`].
pub struct Submission(pub(super) Option<wgpu::SubmissionIndex>);

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
        let inner = Inner {
            device,
            queue,
            report,
            limits,
            checked,
            fault,
            kernels: Mutex::default(),
            choices: Mutex::default(),
        };
        Ok(Gpu { inner: Arc::new(inner), meter: Arc::new(Meter::new(None)) })
    }

    /// The same device, dry: what is allocated, recorded and run with it is only counted, on a meter of its own
    /// ([`Gpu::allocated_bytes`], [`Gpu::peak_bytes`]). Nothing is written or run, what is read is zeros, and nothing ever
    /// waits. Kernels are compiled as usual. So the code that paints says how much memory painting takes; weights that
    /// this handle's device holds already are not counted again.
    pub fn dry(&self) -> Self {
        let real = self.meter.real().unwrap_or(&self.meter.live).clone();
        Gpu { inner: self.inner.clone(), meter: Arc::new(Meter::new(Some(real))) }
    }

    /// This device if it is dry, or one that stands for it.
    pub(crate) fn or_dry(&self) -> Self {
        if self.is_dry() { self.clone() } else { self.dry() }
    }

    /// Of a dry device: bytes of buffers that live on the one that it stands for.
    pub(crate) fn real_bytes(&self) -> u64 {
        self.meter.real().map_or(0, |live| live.load(Ordering::Relaxed))
    }

    /// Of a dry device: from here on the most bytes are counted, and [`Gpu::rewind`] comes back to here.
    pub(crate) fn mark(&self) -> usize {
        self.meter.peak.store(self.allocated_bytes(), Ordering::Relaxed);
        self.meter.kept().len()
    }

    /// Of a dry device: forgets the packed weights that came after a mark, as if what needed them had not been tried.
    pub(crate) fn rewind(&self, mark: usize) {
        let after: Vec<_> = self.meter.kept().drain(mark..).collect();
        drop(after);
    }

    /// Whether it only counts: see [`Gpu::dry`].
    pub fn is_dry(&self) -> bool {
        self.meter.real().is_some()
    }

    /// The adapter behind this device.
    pub fn report(&self) -> &AdapterReport {
        &self.inner.report
    }

    /// A software driver: memory is system memory, and a dispatch costs processor time.
    pub fn is_cpu(&self) -> bool {
        self.inner.report.software
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
        self.meter.live.load(Ordering::Relaxed)
    }

    /// The most bytes of buffers that lived at once.
    pub fn peak_bytes(&self) -> u64 {
        self.meter.peak.load(Ordering::Relaxed)
    }

    /// From now on buffers that kernels bind are refused where all buffers together would take more than `bytes`.
    pub fn limit_bytes(&self, bytes: u64) {
        self.meter.limit.store(bytes, Ordering::Relaxed);
    }

    /// Whether shaders keep wgpu's bounds checks.
    pub fn is_checked(&self) -> bool {
        self.inner.checked
    }

    pub(super) fn limits(&self) -> &wgpu::Limits {
        &self.inner.limits
    }

    /// The variant that was chosen for a class of work, if one was.
    pub(crate) fn choice(&self, class: &str) -> Option<String> {
        lock(&self.inner.choices).get(class).cloned()
    }

    /// All choices.
    pub(crate) fn choices(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        lock(&self.inner.choices)
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(super) fn device(&self) -> &wgpu::Device {
        &self.inner.device
    }

    pub(super) fn queue(&self) -> &wgpu::Queue {
        &self.inner.queue
    }

    /// The first error that the driver reported since the last call, if any; a lost device stays
    /// lost.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::Memory`] or [`Error::Gpu`].
    pub fn check(&self) -> Result<()> {
        let mut fault = lock(&self.inner.fault);
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
        self.inner.device.destroy();
    }

    /// The pipeline of a kernel for feature maps of that precision, compiled at the first call.
    pub(crate) fn kernel(&self, id: &KernelId, precision: Precision) -> Result<Arc<Kernel>> {
        let key = (id.clone(), precision);
        if let Some(kernel) = lock(&self.inner.kernels).get(&key) {
            return Ok(kernel.clone());
        }
        let side = self.fragment_side().unwrap_or(16);
        let checked = self.is_checked();
        let kernel = Arc::new(Kernel::compile(self.device(), id, (precision, side), checked)?);
        self.check()?;
        lock(&self.inner.kernels).insert(key, kernel.clone());
        Ok(kernel)
    }

    /// Waits until the GPU has finished `submission`.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub async fn finished(&self, submission: Submission) -> Result<()> {
        let Submission(Some(submission)) = submission else { return self.check() };
        #[cfg(not(target_arch = "wasm32"))]
        {
            let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
            if let Err(error) = self.inner.device.poll(wait) {
                // A lost device refuses to wait before it has told that it is lost.
                let _ = self.inner.device.poll(wgpu::PollType::Poll);
                self.check()?;
                return Err(Error::Gpu(error.to_string()));
            }
        }
        #[cfg(target_arch = "wasm32")]
        {
            let _ = submission;
            let (send, done) = futures_channel::oneshot::channel();
            self.inner.queue.on_submitted_work_done(move || {
                let _ = send.send(());
            });
            let _ = done.await;
        }
        self.check()
    }
}
