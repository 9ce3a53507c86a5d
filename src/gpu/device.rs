//! One opened device: memory, errors, waiting.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::adapters::{self, AdapterReport, Choice};
use super::kernel::{Kernel, KernelId};
use crate::error::{Error, Result};
use crate::tensor::{Precision, Shape, Tensor};

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
    allocated: Arc<AtomicU64>,
    peak: AtomicU64,
    limit: AtomicU64,
}

enum Fault {
    OutOfMemory(String),
    Lost(String),
    Other(String),
}

/// A buffer of the device's memory, counted while it lives.
pub struct Memory {
    pub(crate) buffer: wgpu::Buffer,
    meter: Arc<AtomicU64>,
}

impl Memory {
    /// Whether it was allocated on this device (its meter is the device's own).
    pub(crate) fn belongs_to(&self, gpu: &Gpu) -> bool {
        Arc::ptr_eq(&self.meter, &gpu.0.allocated)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.meter.fetch_sub(self.buffer.size(), Ordering::Relaxed);
    }
}

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
            allocated: Arc::default(),
            peak: AtomicU64::default(),
            limit: AtomicU64::new(u64::MAX),
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
        self.0.allocated.load(Ordering::Relaxed)
    }

    /// The most bytes of buffers that lived at once.
    pub fn peak_bytes(&self) -> u64 {
        self.0.peak.load(Ordering::Relaxed)
    }

    /// From now on buffers that kernels bind are refused where all buffers together would take more than `bytes`.
    pub fn limit_bytes(&self, bytes: u64) {
        self.0.limit.store(bytes, Ordering::Relaxed);
    }

    /// Whether shaders keep wgpu's bounds checks.
    pub fn is_checked(&self) -> bool {
        self.0.checked
    }

    /// The device's limits.
    pub fn limits(&self) -> &wgpu::Limits {
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

    pub(crate) fn device(&self) -> &wgpu::Device {
        &self.0.device
    }

    pub(crate) fn queue(&self) -> &wgpu::Queue {
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
                "the GPU is out of memory ({what}); a smaller --size needs less"
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
        let kernel = Arc::new(Kernel::compile(self, id, precision)?);
        self.check()?;
        lock(&self.0.kernels).insert(key, kernel.clone());
        Ok(kernel)
    }

    /// Allocates `bytes` (rounded up to a multiple of 16) that kernels can bind, filled with zeros.
    ///
    /// # Errors
    /// [`Error::Memory`] when the adapter could not bind it whole.
    pub(crate) fn allocate(&self, label: &str, bytes: u64) -> Result<Arc<Memory>> {
        let size = bytes.max(16).next_multiple_of(16);
        let most = self.0.report.max_binding_bytes;
        if size > most {
            return Err(Error::Memory(format!(
                "{label} needs a buffer of {} MB, and {} binds at most {} MB at once: choose a smaller --size",
                size.div_ceil(1_000_000),
                self.0.report.name,
                most / 1_000_000
            )));
        }
        let (taken, limit) = (self.allocated_bytes(), self.0.limit.load(Ordering::Relaxed));
        if taken.saturating_add(size) > limit {
            let mb = |bytes: u64| bytes.div_ceil(1_000_000);
            return Err(Error::Memory(format!(
                "{label} of {} MB does not fit: {} MB are taken of the {} MB that --memory allows",
                mb(size),
                mb(taken),
                mb(limit)
            )));
        }
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::UNIFORM
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST;
        Ok(self.create(label, size, usage))
    }

    pub(crate) fn create(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Arc<Memory> {
        let buffer = self.0.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size,
            usage,
            mapped_at_creation: false,
        });
        let before = self.0.allocated.fetch_add(size, Ordering::Relaxed);
        self.0.peak.fetch_max(before + size, Ordering::Relaxed);
        Arc::new(Memory { buffer, meter: self.0.allocated.clone() })
    }

    pub(crate) fn fill(&self, memory: &Memory, numbers: &[f32]) {
        self.0.queue.write_buffer(&memory.buffer, 0, bytemuck::cast_slice(numbers));
    }

    /// A tensor with these numbers.
    ///
    /// # Errors
    /// [`Error::Memory`] when it is too large for the adapter, [`Error::Shape`] when the count of
    /// numbers does not fit the shape.
    pub fn tensor(&self, shape: impl Into<Shape>, numbers: &[f32]) -> Result<Tensor> {
        let tensor = self.zeros(shape)?;
        self.write(&tensor, numbers)?;
        Ok(tensor)
    }

    /// A tensor of zeros.
    ///
    /// # Errors
    /// [`Error::Memory`] when it is too large for the adapter.
    pub fn zeros(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        let memory = self.allocate("a tensor", shape.bytes())?;
        Ok(Tensor { shape, precision: Precision::F32, memory })
    }

    /// Replaces a tensor's numbers.
    ///
    /// # Errors
    /// [`Error::Shape`] when the count does not fit, or for an f16 tensor: [`cast`](crate::ops::cast) it.
    pub fn write(&self, tensor: &Tensor, numbers: &[f32]) -> Result<()> {
        plain("write", tensor)?;
        if numbers.len() != tensor.shape.elements() {
            return Err(Error::Shape {
                op: "write",
                what: format!(
                    "{} numbers do not fill a tensor of shape {}",
                    numbers.len(),
                    tensor.shape
                ),
            });
        }
        self.fill(&tensor.memory, numbers);
        Ok(())
    }

    /// Reads a tensor back once the work submitted so far is done.
    ///
    /// # Errors
    /// [`Error::Shape`] for an f16 tensor: [`cast`](crate::ops::cast) it. Whatever the driver reported.
    pub async fn read(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        plain("read", tensor)?;
        let bytes = tensor.shape.bytes();
        let download = self.download(&tensor.memory.buffer, bytes);
        Ok(bytemuck::pod_collect_to_vec(&download.finish(self).await?))
    }

    /// Starts copying the first `bytes` of `buffer` to the host.
    pub(crate) fn download(&self, buffer: &wgpu::Buffer, bytes: u64) -> Download {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = self.create("staging", bytes, usage);
        let mut encoder = self.0.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging.buffer, 0, bytes);
        let submission = self.0.queue.submit([encoder.finish()]);
        let (send, mapped) = futures_channel::oneshot::channel();
        staging.buffer.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            // The receiver is gone when nobody wants the bytes any more.
            let _ = send.send(result);
        });
        Download { staging, submission, mapped, outcome: None }
    }

    /// Waits until the GPU has finished `submission`.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub async fn finished(&self, submission: wgpu::SubmissionIndex) -> Result<()> {
        #[cfg(not(target_arch = "wasm32"))]
        {
            let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
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
            self.0.queue.on_submitted_work_done(move || drop(send.send(())));
            let _ = done.await;
        }
        self.check()
    }
}

/// The host takes and gives f32.
fn plain(op: &'static str, tensor: &Tensor) -> Result<()> {
    match tensor.precision {
        Precision::F32 => Ok(()),
        Precision::F16 => Err(Error::Shape { op, what: "takes f32 tensors; cast this one".into() }),
    }
}

/// Bytes on their way from the GPU.
pub(crate) struct Download {
    staging: Arc<Memory>,
    submission: wgpu::SubmissionIndex,
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
