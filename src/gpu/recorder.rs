//! Recording: dispatches are put together by name and collected as data.

use std::sync::Arc;

use super::device::{Gpu, Memory};
use super::kernel::{Kernel, KernelId};
use super::program::{Layout, Plan, Program};
use crate::error::{Error, Result};
use crate::tensor::{Frozen, Shape, Tensor};

/// Most workgroups along one dimension that every WebGPU device takes.
const MAX_GROUPS: u32 = 65_535;

/// A tensor inside a recording: temporary, on the GPU for good, or still on the host.
#[derive(Clone)]
pub struct Value {
    pub(crate) shape: Shape,
    pub(crate) storage: Storage,
}

#[derive(Clone)]
pub(crate) enum Storage {
    Temporary(usize),
    Owned(Arc<Memory>),
    Host(Arc<Frozen>),
}

impl Value {
    /// Its shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
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
        Value { shape: tensor.shape.clone(), storage: Storage::Owned(tensor.memory.clone()) }
    }
}

impl From<&Arc<Frozen>> for Value {
    fn from(frozen: &Arc<Frozen>) -> Self {
        Value { shape: frozen.shape().clone(), storage: Storage::Host(frozen.clone()) }
    }
}

/// When a dispatch runs, for programs that are replayed in two passes over many inputs (see
/// [`Program::submit_pass`](super::Program::submit_pass)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pass {
    /// In both.
    #[default]
    Both,
    /// In the first, which measures.
    First,
    /// In the second, which uses what the first measured on all inputs.
    Second,
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
    pub pass: Pass,
}

impl Dispatch {
    /// The temporaries it binds, and whether it writes them.
    pub fn temporaries(&self) -> impl Iterator<Item = (usize, bool)> {
        self.bound.iter().zip(&self.kernel.interface.bindings).filter_map(|(bound, info)| {
            match bound.storage {
                Storage::Temporary(id) => Some((id, info.writes)),
                _ => None,
            }
        })
    }

    fn writes_owned(&self) -> bool {
        let mut pairs = self.bound.iter().zip(&self.kernel.interface.bindings);
        pairs.any(|(bound, info)| info.writes && matches!(bound.storage, Storage::Owned(_)))
    }
}

/// What a recording knows of a temporary.
pub(super) struct Temporary {
    pub bytes: u64,
    /// The memory of one that outlives a replay.
    memory: Option<Arc<Memory>>,
    /// It stands for a tensor: its memory is never shared.
    pub placeholder: bool,
}

/// Collects dispatches; [`Recorder::finish`] makes a [`Program`] of them.
pub struct Recorder {
    gpu: Gpu,
    /// What the dispatches to come belong to, such as `conv1_1`; part of their labels.
    pub scope: String,
    /// When the dispatches to come run.
    pub pass: Pass,
    temporaries: Vec<Temporary>,
    dispatches: Vec<Dispatch>,
}

impl Recorder {
    /// An empty recording for a device.
    pub fn new(gpu: &Gpu) -> Self {
        Recorder {
            gpu: gpu.clone(),
            scope: String::new(),
            pass: Pass::Both,
            temporaries: Vec::new(),
            dispatches: Vec::new(),
        }
    }

    /// The device it is for.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// A tensor that lives from the first to the last dispatch that binds it.
    pub fn temporary(&mut self, shape: impl Into<Shape>) -> Value {
        self.push(shape.into(), false)
    }

    /// A stand-in for a tensor in a recording that is only [planned](Recorder::plan).
    pub fn placeholder(&mut self, shape: impl Into<Shape>) -> Value {
        self.push(shape.into(), true)
    }

    fn push(&mut self, shape: Shape, placeholder: bool) -> Value {
        self.temporaries.push(Temporary { bytes: shape.bytes(), memory: None, placeholder });
        Value { shape, storage: Storage::Temporary(self.temporaries.len() - 1) }
    }

    /// Makes a temporary last: its numbers can be read after a replay.
    ///
    /// # Errors
    /// [`Error::Memory`] when it is too large for the adapter.
    pub fn keep(&mut self, value: &Value) -> Result<Tensor> {
        let memory = match &value.storage {
            Storage::Owned(memory) => memory.clone(),
            Storage::Host(frozen) => frozen.upload(&self.gpu, "plain", <[f32]>::to_vec)?,
            Storage::Temporary(id) => match &self.temporaries[*id].memory {
                Some(memory) => memory.clone(),
                None => {
                    let memory = self.gpu.allocate("a result", value.shape.bytes())?;
                    self.temporaries[*id].memory = Some(memory.clone());
                    memory
                }
            },
        };
        Ok(Tensor { shape: value.shape.clone(), memory })
    }

    /// Starts a dispatch of a kernel.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the kernel does not compile.
    pub fn kernel(&mut self, id: &KernelId) -> Result<Call<'_>> {
        let kernel = self.gpu.kernel(id)?;
        let interface = &kernel.interface;
        let params = vec![0; interface.params_at.map_or(0, |(bytes, _)| bytes as usize)];
        Ok(Call {
            bound: vec![None; interface.bindings.len()],
            set: vec![false; interface.params.len()],
            params,
            flops: 0,
            wrong: None,
            kernel,
            recorder: self,
        })
    }
    /// Gives every temporary its memory and every dispatch its bind group. Dispatches whose
    /// results nobody uses are dropped.
    ///
    /// # Errors
    /// [`Error::Memory`] when a buffer is too large for the adapter, and what the driver reports.
    pub fn finish(mut self) -> Result<Program> {
        self.drop_unused();
        Program::new(self.gpu, &self.dispatches, &self.temporaries)
    }

    /// What [`Recorder::finish`] would take, without taking it. Placeholders count whole.
    pub fn plan(mut self) -> Plan {
        self.drop_unused();
        Layout::new(&self.dispatches, &self.temporaries).plan(&self.dispatches)
    }

    /// Kept temporaries become owned memory; then, from the end, a dispatch stays only if it writes
    /// owned memory or a temporary that a later one reads.
    fn drop_unused(&mut self) {
        for dispatch in &mut self.dispatches {
            for bound in &mut dispatch.bound {
                if let Storage::Temporary(id) = bound.storage
                    && let Some(memory) = &self.temporaries[id].memory
                {
                    bound.storage = Storage::Owned(memory.clone());
                }
            }
        }
        let mut wanted = vec![false; self.temporaries.len()];
        let mut kept = Vec::new();
        for dispatch in std::mem::take(&mut self.dispatches).into_iter().rev() {
            let useful = dispatch.writes_owned()
                || dispatch
                    .temporaries()
                    .any(|(id, writes)| writes && (wanted[id] || self.temporaries[id].placeholder));
            if useful {
                dispatch.temporaries().for_each(|(id, _)| wanted[id] = true);
                kept.push(dispatch);
            }
        }
        kept.reverse();
        self.dispatches = kept;
    }
}
/// A dispatch being put together: bind every buffer, set every parameter, run.
pub struct Call<'r> {
    recorder: &'r mut Recorder,
    kernel: Arc<Kernel>,
    bound: Vec<Option<Bound>>,
    params: Vec<u8>,
    set: Vec<bool>,
    flops: u64,
    wrong: Option<String>,
}

/// A parameter's value.
pub enum Param {
    /// For `u32` members (also `bool` as 0 or 1).
    Int(u32),
    /// For `f32` members.
    Float(f32),
}

impl From<usize> for Param {
    fn from(value: usize) -> Self {
        // Larger than a buffer can be: the range checks of allocation come first.
        Param::Int(value as u32)
    }
}

impl From<bool> for Param {
    fn from(value: bool) -> Self {
        Param::Int(value.into())
    }
}

impl From<f32> for Param {
    fn from(value: f32) -> Self {
        Param::Float(value)
    }
}

impl Call<'_> {
    /// Binds a tensor to the shader variable `name`.
    pub fn bind(self, name: &str, value: &Value) -> Self {
        self.bind_part(name, value, 0, None)
    }

    /// Binds `bytes` of a tensor from `offset` on (aligned as the device asks).
    pub fn bind_window(self, name: &str, value: &Value, offset: u64, bytes: u64) -> Self {
        self.bind_part(name, value, offset, Some(bytes))
    }

    fn bind_part(mut self, name: &str, value: &Value, offset: u64, bytes: Option<u64>) -> Self {
        match self.kernel.interface.bindings.iter().position(|b| b.name == name) {
            Some(at) => {
                self.bound[at] = Some(Bound { storage: value.storage.clone(), offset, bytes });
            }
            None => self.wrong = Some(format!("no buffer `{name}`")),
        }
        self
    }

    /// Sets the member `name` of the shader's `params`.
    pub fn set(mut self, name: &str, value: impl Into<Param>) -> Self {
        let Some(at) = self.kernel.interface.params.iter().position(|p| p.name == name) else {
            self.wrong = Some(format!("no parameter `{name}`"));
            return self;
        };
        let info = &self.kernel.interface.params[at];
        let bytes = match value.into() {
            Param::Int(v) if !info.float => v.to_le_bytes(),
            Param::Float(v) if info.float => v.to_le_bytes(),
            _ => {
                self.wrong = Some(format!("parameter `{name}` is of another type"));
                return self;
            }
        };
        let offset = info.offset as usize;
        self.params[offset..offset + 4].copy_from_slice(&bytes);
        self.set[at] = true;
        self
    }

    /// Floating-point operations of the dispatch, for the plan and for cutting submits.
    pub fn flops(mut self, flops: u64) -> Self {
        self.flops = flops;
        self
    }

    /// Records it with one invocation for each of `count` elements; the shader finds its element
    /// with `folded` (see `common.wgsl`).
    ///
    /// # Errors
    /// [`Error::Gpu`] when the shader's interface was not met.
    pub fn over(self, count: usize) -> Result<()> {
        let lanes = self.kernel.interface.workgroup[0] as usize;
        let groups = count.div_ceil(lanes).max(1);
        let rows = groups.div_ceil(MAX_GROUPS as usize);
        self.groups([groups.div_ceil(rows) as u32, rows as u32, 1])
    }

    /// Records it with that many workgroups.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the shader's interface was not met.
    pub fn groups(mut self, groups: [u32; 3]) -> Result<()> {
        let interface = &self.kernel.interface;
        if self.wrong.is_none() {
            let unbound = self.bound.iter().position(Option::is_none);
            let unset = self.set.iter().position(|set| !set);
            self.wrong = match (unbound, unset) {
                (Some(at), _) => {
                    Some(format!("buffer `{}` is not bound", interface.bindings[at].name))
                }
                (_, Some(at)) => {
                    Some(format!("parameter `{}` is not set", interface.params[at].name))
                }
                _ if groups.iter().any(|g| *g > MAX_GROUPS) => {
                    Some(format!("{groups:?} workgroups are too many"))
                }
                _ => None,
            };
        }
        if let Some(wrong) = self.wrong {
            return Err(Error::Gpu(format!("kernel {}: {wrong}", self.kernel.id)));
        }
        let id = &self.kernel.id;
        let label = format!("{} {}.{}", self.recorder.scope, id.shader.name, id.entry);
        self.recorder.dispatches.push(Dispatch {
            label: label.trim().to_string(),
            bound: self.bound.into_iter().flatten().collect(),
            kernel: self.kernel,
            params: self.params,
            groups,
            flops: self.flops,
            pass: self.recorder.pass,
        });
        Ok(())
    }
}
