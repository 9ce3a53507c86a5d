//! Numbers on either side of the bus: [`Tensor`] lives on the GPU, [`Frozen`] on the host until a kernel wants it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::device::Gpu;
use super::meter::Memory;
use crate::error::{Error, Result};
use crate::shape::{Precision, Shape};

/// A tensor in GPU memory. Cloning shares the memory.
#[derive(Clone)]
pub struct Tensor {
    pub(crate) shape: Shape,
    pub(crate) precision: Precision,
    pub(crate) memory: Arc<Memory>,
}

impl Tensor {
    /// Its shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// How its numbers are stored.
    pub fn precision(&self) -> Precision {
        self.precision
    }
}

/// Numbers that no gradient changes: network weights, factors, targets. They stay on the host until
/// a kernel binds them, and each kernel may ask for them in its own packing; what was packed once
/// is shared by every program on the same device.
pub struct Frozen {
    shape: Shape,
    data: Vec<f32>,
    packed: Mutex<HashMap<String, Packed>>,
}

impl Frozen {
    /// Takes numbers in row-major order.
    ///
    /// # Errors
    /// [`Error::Shape`] when the count does not fit the shape.
    pub fn new(shape: impl Into<Shape>, data: Vec<f32>) -> Result<Arc<Self>> {
        let shape = shape.into();
        if shape.elements() != data.len() {
            return Err(Error::Shape {
                op: "frozen",
                what: format!("{} numbers do not fill a tensor of shape {shape}", data.len()),
            });
        }
        Ok(Arc::new(Frozen { shape, data, packed: Mutex::default() }))
    }

    /// A single number.
    pub fn scalar(value: f32) -> Arc<Self> {
        Arc::new(Frozen { shape: Shape::scalar(), data: vec![value], packed: Mutex::default() })
    }

    /// Its shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Its numbers, row-major.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The GPU memory that holds `pack(data)`, made at the first call under this `packing` name.
    pub(crate) fn upload(
        &self,
        gpu: &Gpu,
        packing: &str,
        pack: impl FnOnce(&[f32]) -> Vec<f32>,
    ) -> Result<Arc<Memory>> {
        self.packed(gpu, packing, || {
            let numbers = pack(&self.data);
            let memory = gpu.allocate(packing, 4 * numbers.len() as u64)?;
            gpu.fill(&memory, &numbers);
            Ok(memory)
        })
    }

    /// The GPU memory that `make` fills, made at the first call under this `packing` name.
    pub(crate) fn packed(
        &self,
        gpu: &Gpu,
        packing: &str,
        make: impl FnOnce() -> Result<Arc<Memory>>,
    ) -> Result<Arc<Memory>> {
        let mut packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        let known = packed.get(packing);
        if let Some(memory) = known.and_then(|known| known.on(gpu)) {
            return Ok(memory);
        }
        let memory = match known.filter(|_| gpu.is_dry()) {
            // Its size is all that counts.
            Some(known) => gpu.allocate(packing, known.bytes)?,
            None => make()?,
        };
        let own = packed.entry(packing.to_string()).or_default();
        own.bytes = memory.size;
        own.put(gpu, &memory);
        Ok(memory)
    }
}

/// What was packed once.
#[derive(Default)]
struct Packed {
    /// Its size.
    bytes: u64,
    real: Option<Arc<Memory>>,
    /// That of the last dry device, as long as there is one.
    dry: Weak<Memory>,
}

impl Packed {
    /// The memory on a device. What a real device has serves the dry ones that stand for it.
    fn on(&self, gpu: &Gpu) -> Option<Arc<Memory>> {
        let meter = gpu.meter();
        let real = meter.real().unwrap_or(&meter.live);
        let there = self.real.clone().filter(|memory| memory.counts_on(real));
        there.or_else(|| self.dry.upgrade().filter(|memory| memory.counts_on(&meter.live)))
    }

    fn put(&mut self, gpu: &Gpu, memory: &Arc<Memory>) {
        match gpu.is_dry() {
            true => {
                gpu.meter().keep(memory);
                self.dry = Arc::downgrade(memory);
            }
            false => self.real = Some(memory.clone()),
        }
    }
}

impl Gpu {
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
        // Where only memory is planned there are no numbers.
        if self.is_dry() {
            return Ok(());
        }
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
        let download = self.download(&tensor.memory, bytes);
        Ok(bytemuck::pod_collect_to_vec(&download.finish(self).await?))
    }
}

impl Gpu {
    /// On a dry device, takes the memory that reading a tensor takes for a while.
    pub(crate) fn plan_reading(&self, tensor: &Tensor) {
        if self.is_dry() {
            drop(self.download(&tensor.memory, tensor.shape.bytes()));
        }
    }
}

/// The host takes and gives f32.
fn plain(op: &'static str, tensor: &Tensor) -> Result<()> {
    match tensor.precision {
        Precision::F32 => Ok(()),
        Precision::F16 => Err(Error::Shape { op, what: "takes f32 tensors; cast this one".into() }),
    }
}
