//! What was recorded, as data: dispatches, what they bind, and the temporaries between them.

use std::sync::Arc;

use super::kernel::{BindingInfo, Kernel};
use super::meter::Memory;
use super::tensor::{Frozen, Tensor};
use crate::shape::{Precision, Shape};

/// A tensor inside a recording: temporary, on the GPU for good, or still on the host.
#[derive(Clone)]
pub struct Value {
    pub(crate) shape: Shape,
    pub(crate) precision: Precision,
    pub(crate) storage: Storage,
}

#[derive(Clone)]
pub(crate) enum Storage {
    Temporary(usize),
    Owned(Arc<Memory>),
    Host(Arc<Frozen>),
}

impl Value {
    /// f32 in memory that is there for good.
    pub(crate) fn owned(shape: Shape, memory: Arc<Memory>) -> Self {
        Value { shape, precision: Precision::F32, storage: Storage::Owned(memory) }
    }

    /// Its shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// How its numbers are stored.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Bytes of its numbers.
    pub(super) fn bytes(&self) -> u64 {
        self.precision.bytes() * self.shape.elements() as u64
    }

    /// The numbers on the host, if it never changes.
    pub(crate) fn frozen(&self) -> Option<&Arc<Frozen>> {
        match &self.storage {
            Storage::Host(frozen) => Some(frozen),
            _ => None,
        }
    }
}

impl From<&Tensor> for Value {
    fn from(tensor: &Tensor) -> Self {
        let precision = tensor.precision;
        Value { precision, ..Value::owned(tensor.shape.clone(), tensor.memory.clone()) }
    }
}

impl From<&Arc<Frozen>> for Value {
    fn from(frozen: &Arc<Frozen>) -> Self {
        let (shape, storage) = (frozen.shape().clone(), Storage::Host(frozen.clone()));
        Value { shape, precision: Precision::F32, storage }
    }
}

/// When a dispatch runs, for programs that take several replays to come to a result. Tiles are looked at twice: the
/// first time to measure, the last to use what was measured on all of them
/// ([`Program::submit_phase`](super::Program::submit_phase)). Batches begin with a replay that clears sums, and end with
/// one that moves the weights ([`Program::submit_in_batch`](super::Program::submit_in_batch)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// In every replay.
    #[default]
    Every,
    /// In the first.
    First,
    /// In the last.
    Last,
}

/// Memory that a dispatch binds: all of it, or a window.
#[derive(Clone)]
pub(super) struct Bound {
    pub storage: Storage,
    pub offset: u64,
    pub bytes: Option<u64>,
}

/// One recorded dispatch.
pub(super) struct Dispatch {
    pub label: String,
    pub kernel: Arc<Kernel>,
    pub bound: Vec<Bound>,
    pub params: Vec<u8>,
    pub groups: [u32; 3],
    pub flops: u64,
    pub phase: Phase,
}

impl Dispatch {
    /// The temporaries it binds, and as what.
    pub fn temporaries(&self) -> impl Iterator<Item = (usize, &BindingInfo)> {
        self.bound.iter().zip(&self.kernel.interface.bindings).filter_map(|(bound, info)| {
            match bound.storage {
                Storage::Temporary(id) => Some((id, info)),
                _ => None,
            }
        })
    }

    pub fn writes_owned(&self) -> bool {
        let mut pairs = self.bound.iter().zip(&self.kernel.interface.bindings);
        pairs.any(|(bound, info)| info.writes && matches!(bound.storage, Storage::Owned(_)))
    }
}

/// What a recording knows of a temporary.
pub(super) struct Temporary {
    pub bytes: u64,
    /// The memory of one that outlives a replay.
    pub memory: Option<Arc<Memory>>,
}
