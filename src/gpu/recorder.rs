//! Recording: dispatches are put together by name and collected as data.

use std::sync::Arc;

use super::device::Gpu;
use super::kernel::{BindingInfo, Interface, Kernel, KernelId};
use super::program::Program;
use super::recording::{Bound, Dispatch, Phase, Storage, Temporary, Value};
use super::tensor::Tensor;
use crate::error::{Error, Result};
use crate::shape::{Precision, Shape};

/// Most workgroups along one dimension that every WebGPU device takes.
const MAX_GROUPS: u32 = 65_535;

/// Collects dispatches; [`Recorder::finish`] makes a [`Program`] of them.
pub struct Recorder {
    gpu: Gpu,
    /// What the dispatches to come belong to, such as `conv1_1`; part of their labels.
    pub scope: String,
    /// In which replays the dispatches to come run.
    pub phase: Phase,
    temporaries: Vec<Temporary>,
    dispatches: Vec<Dispatch>,
}

impl Recorder {
    /// An empty recording for a device.
    pub fn new(gpu: &Gpu) -> Self {
        Recorder {
            gpu: gpu.clone(),
            scope: String::new(),
            phase: Phase::Every,
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
        self.temporary_in(Precision::F32, shape)
    }

    /// As [`Recorder::temporary`], stored as `precision` says.
    pub fn temporary_in(&mut self, precision: Precision, shape: impl Into<Shape>) -> Value {
        let storage = Storage::Temporary(self.temporaries.len());
        let value = Value { shape: shape.into(), precision, storage };
        self.temporaries.push(Temporary { bytes: value.bytes(), memory: None });
        value
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
                    let memory = self.gpu.allocate("a result", value.bytes())?;
                    self.temporaries[*id].memory = Some(memory.clone());
                    memory
                }
            },
        };
        Ok(Tensor { shape: value.shape.clone(), precision: value.precision, memory })
    }

    /// Starts a dispatch of a kernel.
    pub fn kernel<'r>(&'r mut self, id: &'r KernelId) -> Call<'r> {
        Call { recorder: self, id, bound: Vec::new(), set: Vec::new(), flops: 0 }
    }

    /// Gives every temporary its memory and every dispatch its bind group. Dispatches whose
    /// results nobody uses are dropped. On a dry device memory is only counted, and there is a plan but nothing to run.
    ///
    /// # Errors
    /// [`Error::Memory`] when a buffer is too large for the adapter, and what the driver reports.
    pub fn finish(mut self) -> Result<Program> {
        self.drop_unused();
        Program::new(self.gpu, &self.dispatches, &self.temporaries)
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
                || dispatch.temporaries().any(|(id, info)| info.writes && wanted[id]);
            if useful {
                dispatch.temporaries().for_each(|(id, _)| wanted[id] = true);
                kept.push(dispatch);
            }
        }
        kept.reverse();
        self.dispatches = kept;
    }
}

/// A dispatch being put together: bind every buffer, set every parameter, run. It takes the kernel that stores feature
/// maps as those are stored that are bound.
pub struct Call<'r> {
    recorder: &'r mut Recorder,
    id: &'r KernelId,
    /// By the name of the shader's variable; without a precision where the kernel is told not to look.
    bound: Vec<(String, Bound, Option<Precision>)>,
    set: Vec<(String, Param)>,
    flops: u64,
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

impl<'r> Call<'r> {
    /// Binds a tensor to the shader variable `name`.
    pub fn bind(self, name: &str, value: &Value) -> Self {
        self.bind_part(name, value, [0, 0], Some(value.precision))
    }

    /// Binds `bytes` of a tensor from `offset` on (aligned as the device asks).
    pub fn bind_window(self, name: &str, value: &Value, offset: u64, bytes: u64) -> Self {
        self.bind_part(name, value, [offset, bytes], Some(value.precision))
    }

    /// Binds a tensor that the kernel looks at only if there is one; WebGPU wants something bound all the same, and
    /// `other` will do.
    pub fn bind_optional(self, name: &str, value: Option<&Value>, other: &Value) -> Self {
        match value {
            Some(value) => self.bind(name, value),
            None => self.bind_part(name, other, [0, 0], None),
        }
    }

    fn bind_part(
        mut self,
        name: &str,
        value: &Value,
        [offset, bytes]: [u64; 2],
        precision: Option<Precision>,
    ) -> Self {
        let bytes = (bytes > 0).then_some(bytes);
        let bound = Bound { storage: value.storage.clone(), offset, bytes };
        self.bound.push((name.to_string(), bound, precision));
        self
    }

    /// Sets the member `name` of the shader's `params`.
    pub fn set(mut self, name: &str, value: impl Into<Param>) -> Self {
        self.set.push((name.to_string(), value.into()));
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
    /// [`Error::Gpu`] when the kernel does not compile or its interface was not met.
    pub fn over(self, count: usize) -> Result<()> {
        let kernel = self.compiled()?;
        let lanes = kernel.interface.workgroup[0] as usize;
        let groups = count.div_ceil(lanes).max(1);
        let rows = groups.div_ceil(MAX_GROUPS as usize);
        self.record(kernel, [groups.div_ceil(rows) as u32, rows as u32, 1])
    }

    /// Records it with that many workgroups.
    ///
    /// # Errors
    /// As [`Call::over`].
    pub fn groups(self, groups: [u32; 3]) -> Result<()> {
        let kernel = self.compiled()?;
        self.record(kernel, groups)
    }

    /// The kernel for the precision in which maps are bound.
    fn compiled(&self) -> Result<Arc<Kernel>> {
        let half = self.bound.iter().any(|(_, _, precision)| *precision == Some(Precision::F16));
        let precision = if half { Precision::F16 } else { Precision::F32 };
        if half && !self.recorder.gpu.report().f16 {
            let name = &self.recorder.gpu.report().name;
            return Err(Error::Gpu(format!("{name} can't store numbers as f16; use f32")));
        }
        self.recorder.gpu.kernel(self.id, precision)
    }

    fn record(self, kernel: Arc<Kernel>, groups: [u32; 3]) -> Result<()> {
        let wrong = |what: String| Error::Gpu(format!("kernel {}: {what}", self.id));
        if groups.iter().any(|g| *g > MAX_GROUPS) {
            return Err(wrong(format!("{groups:?} workgroups are too many")));
        }
        let bound = in_order(&kernel.interface.bindings, self.bound).map_err(wrong)?;
        let params = packed(&kernel.interface, &self.set).map_err(wrong)?;
        let label = format!("{} {}.{}", self.recorder.scope, self.id.shader.name, self.id.entry);
        self.recorder.dispatches.push(Dispatch {
            label: label.trim().to_string(),
            bound,
            kernel,
            params,
            groups,
            flops: self.flops,
            phase: self.recorder.phase,
        });
        Ok(())
    }
}

/// What was bound, as the kernel counts it; or what is wrong with it. The last of several of one name counts.
fn in_order(
    bindings: &[BindingInfo],
    bound: Vec<(String, Bound, Option<Precision>)>,
) -> std::result::Result<Vec<Bound>, String> {
    let mut slots = vec![None; bindings.len()];
    for (name, bound, precision) in bound {
        let at = bindings.iter().position(|b| b.name == name);
        let at = at.ok_or_else(|| format!("no buffer `{name}`"))?;
        let wanted = bindings[at].precision;
        if let Some(other) = precision.filter(|precision| *precision != wanted) {
            return Err(format!("buffer `{name}` is {wanted}, and {other} is bound"));
        }
        slots[at] = Some(bound);
    }
    match slots.iter().position(Option::is_none) {
        Some(at) => Err(format!("buffer `{}` is not bound", bindings[at].name)),
        None => Ok(slots.into_iter().flatten().collect()),
    }
}

/// The bytes of `params`; or what is wrong with them.
fn packed(interface: &Interface, set: &[(String, Param)]) -> std::result::Result<Vec<u8>, String> {
    let mut bytes = vec![0; interface.params_at.map_or(0, |(bytes, _)| bytes as usize)];
    let mut missing = vec![true; interface.params.len()];
    for (name, value) in set {
        let at = interface.params.iter().position(|p| p.name == *name);
        let at = at.ok_or_else(|| format!("no parameter `{name}`"))?;
        let info = &interface.params[at];
        let number = match value {
            Param::Int(v) if !info.float => v.to_le_bytes(),
            Param::Float(v) if info.float => v.to_le_bytes(),
            _ => return Err(format!("parameter `{name}` is of another type")),
        };
        let offset = info.offset as usize;
        bytes[offset..offset + 4].copy_from_slice(&number);
        missing[at] = false;
    }
    match missing.iter().position(|missing| *missing) {
        Some(at) => Err(format!("parameter `{}` is not set", interface.params[at].name)),
        None => Ok(bytes),
    }
}
