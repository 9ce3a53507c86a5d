//! Work as data: dispatches are recorded once, bound to memory once, and replayed every step.

use std::sync::Arc;
use std::time::Duration;

use super::arena::{self, Lifetime};
use super::device::{Gpu, Memory};
use super::kernel::{Kernel, KernelId};
use crate::error::{Error, Result};
use crate::tensor::{Frozen, Shape, Tensor};

/// Most workgroups along one dimension that every WebGPU device takes.
const MAX_GROUPS: u32 = 65_535;
/// Work after which a submit to a software driver is cut, so that none blocks for long.
const CPU_SLICE_FLOPS: u64 = 4_000_000_000;

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

/// Memory that a dispatch binds: all of it, or a window.
#[derive(Clone)]
struct Bound {
    storage: Storage,
    offset: u64,
    bytes: Option<u64>,
}

/// One recorded dispatch.
struct Dispatch {
    label: String,
    kernel: Arc<Kernel>,
    bound: Vec<Bound>,
    params: Vec<u8>,
    groups: [u32; 3],
    flops: u64,
}

impl Dispatch {
    /// The temporaries it binds, and whether it writes them.
    fn temporaries(&self) -> impl Iterator<Item = (usize, bool)> {
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

/// Collects dispatches; [`Recorder::finish`] makes a [`Program`] of them.
pub struct Recorder {
    gpu: Gpu,
    /// What the dispatches to come belong to, such as `conv1_1`; part of their labels.
    pub scope: String,
    /// Size of every temporary, and the memory of those that outlive a replay.
    temporaries: Vec<(u64, Option<Arc<Memory>>)>,
    dispatches: Vec<Dispatch>,
}

impl Recorder {
    /// An empty recording for a device.
    pub fn new(gpu: &Gpu) -> Self {
        Recorder {
            gpu: gpu.clone(),
            scope: String::new(),
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
        let shape = shape.into();
        self.temporaries.push((shape.bytes(), None));
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
            Storage::Temporary(id) => match &self.temporaries[*id].1 {
                Some(memory) => memory.clone(),
                None => {
                    let memory = self.gpu.allocate("a result", value.shape.bytes())?;
                    self.temporaries[*id].1 = Some(memory.clone());
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
        let mut lifetimes: Vec<Option<Lifetime>> = vec![None; self.temporaries.len()];
        for (at, dispatch) in self.dispatches.iter().enumerate() {
            for (id, _) in dispatch.temporaries() {
                let bytes = self.temporaries[id].0.max(16).next_multiple_of(16);
                let start = lifetimes[id].as_ref().map_or(at, |l| *l.used.start());
                lifetimes[id] = Some(Lifetime { bytes, used: start..=at });
            }
        }
        let layout = arena::pack(&lifetimes);
        let slots = layout
            .bytes
            .iter()
            .map(|bytes| self.gpu.allocate("a temporary", *bytes))
            .collect::<Result<Vec<_>>>()?;
        let unshared: u64 = lifetimes.iter().flatten().map(|l| l.bytes).sum();
        let memory_of = |storage: &Storage| -> Result<Arc<Memory>> {
            Ok(match storage {
                Storage::Owned(memory) => memory.clone(),
                Storage::Host(frozen) => frozen.upload(&self.gpu, "plain", <[f32]>::to_vec)?,
                Storage::Temporary(id) => layout.slot[*id]
                    .map(|slot| slots[slot].clone())
                    .ok_or_else(|| Error::Gpu(format!("temporary {id} has no memory")))?,
            })
        };
        let (params, offsets) = params_buffer(&self.gpu, &self.dispatches);
        let mut entries = Vec::with_capacity(self.dispatches.len());
        for (dispatch, at) in self.dispatches.iter().zip(offsets) {
            let memory =
                dispatch.bound.iter().map(|b| memory_of(&b.storage)).collect::<Result<Vec<_>>>()?;
            entries.push(Entry {
                label: dispatch.label.clone(),
                bind_group: bind(&self.gpu, dispatch, &memory, &params, at),
                _memory: memory,
                kernel: dispatch.kernel.clone(),
                groups: dispatch.groups,
                flops: dispatch.flops,
            });
        }
        self.gpu.check()?;
        let plan = Plan {
            dispatches: entries.len(),
            temporaries: lifetimes.iter().flatten().count(),
            slots: slots.len(),
            arena_bytes: layout.bytes.iter().sum(),
            unshared_bytes: unshared,
            flops: entries.iter().map(|e| e.flops).sum(),
        };
        Ok(Program { gpu: self.gpu, entries, slots, plan })
    }

    /// Kept temporaries become owned memory; then, from the end, a dispatch stays only if it writes
    /// owned memory or a temporary that a later one reads.
    fn drop_unused(&mut self) {
        for dispatch in &mut self.dispatches {
            for bound in &mut dispatch.bound {
                if let Storage::Temporary(id) = bound.storage
                    && let Some(memory) = &self.temporaries[id].1
                {
                    bound.storage = Storage::Owned(memory.clone());
                }
            }
        }
        let mut wanted = vec![false; self.temporaries.len()];
        let mut kept = Vec::new();
        for dispatch in std::mem::take(&mut self.dispatches).into_iter().rev() {
            let useful = dispatch.writes_owned()
                || dispatch.temporaries().any(|(id, writes)| writes && wanted[id]);
            if useful {
                dispatch.temporaries().for_each(|(id, _)| wanted[id] = true);
                kept.push(dispatch);
            }
        }
        kept.reverse();
        self.dispatches = kept;
    }
}

/// All parameters in one uniform buffer, each block aligned as the device asks.
fn params_buffer(gpu: &Gpu, dispatches: &[Dispatch]) -> (Arc<Memory>, Vec<u64>) {
    let align = gpu.limits().min_uniform_buffer_offset_alignment as usize;
    let (mut bytes, mut offsets) = (Vec::new(), Vec::new());
    for dispatch in dispatches {
        bytes.resize(bytes.len().next_multiple_of(align), 0);
        offsets.push(bytes.len() as u64);
        bytes.extend_from_slice(&dispatch.params);
    }
    bytes.resize(bytes.len().max(16).next_multiple_of(16), 0);
    let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
    let memory = gpu.create("parameters", bytes.len() as u64, usage);
    gpu.queue().write_buffer(&memory.buffer, 0, &bytes);
    (memory, offsets)
}

fn bind(
    gpu: &Gpu,
    dispatch: &Dispatch,
    memory: &[Arc<Memory>],
    params: &Memory,
    params_offset: u64,
) -> wgpu::BindGroup {
    let interface = &dispatch.kernel.interface;
    let mut entries = Vec::with_capacity(memory.len() + 1);
    for ((info, bound), memory) in interface.bindings.iter().zip(&dispatch.bound).zip(memory) {
        entries.push(wgpu::BindGroupEntry {
            binding: info.index,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &memory.buffer,
                offset: bound.offset,
                size: bound.bytes.and_then(std::num::NonZeroU64::new),
            }),
        });
    }
    if let Some((bytes, binding)) = interface.params_at {
        entries.push(wgpu::BindGroupEntry {
            binding,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &params.buffer,
                offset: params_offset,
                size: std::num::NonZeroU64::new(bytes),
            }),
        });
    }
    gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(&dispatch.label),
        layout: &dispatch.kernel.pipeline.get_bind_group_layout(0),
        entries: &entries,
    })
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
        });
        Ok(())
    }
}

struct Entry {
    label: String,
    kernel: Arc<Kernel>,
    bind_group: wgpu::BindGroup,
    /// Keeps counted memory alive as long as the bind group does.
    _memory: Vec<Arc<Memory>>,
    groups: [u32; 3],
    flops: u64,
}

/// What a program costs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Dispatches in a replay.
    pub dispatches: usize,
    /// Temporary tensors.
    pub temporaries: usize,
    /// Buffers that they share.
    pub slots: usize,
    /// Size of those buffers together, in bytes.
    pub arena_bytes: u64,
    /// What the temporaries would take without sharing, in bytes.
    pub unshared_bytes: u64,
    /// Floating-point operations that the operations declared.
    pub flops: u64,
}

/// GPU time of one dispatch.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Scope, shader and entry point.
    pub label: String,
    /// Time between its start and its end.
    pub time: Duration,
    /// Floating-point operations that the operation declared.
    pub flops: u64,
}

/// Dispatches with their memory, ready to be replayed.
pub struct Program {
    gpu: Gpu,
    entries: Vec<Entry>,
    slots: Vec<Arc<Memory>>,
    plan: Plan,
}

impl Program {
    /// What it costs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Hands one replay to the GPU and returns at once.
    pub fn submit(&self) -> wgpu::SubmissionIndex {
        let budget = if self.gpu.is_cpu() { CPU_SLICE_FLOPS } else { u64::MAX };
        let mut buffers = Vec::new();
        let mut rest = self.entries.as_slice();
        while !rest.is_empty() {
            let mut flops = 0;
            let fits = |entry: &&Entry| {
                let fits = flops == 0 || flops + entry.flops <= budget;
                flops += entry.flops;
                fits
            };
            let (slice, after) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            buffers.push(self.encode(slice));
            rest = after;
        }
        // Each buffer is a submit of its own, so that other programs get their turn in between.
        let last = buffers.pop();
        for buffer in buffers {
            self.gpu.queue().submit([buffer]);
        }
        self.gpu.queue().submit(last)
    }

    fn encode(&self, entries: &[Entry]) -> wgpu::CommandBuffer {
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for entry in entries {
            entry.dispatch(&mut pass);
        }
        drop(pass);
        encoder.finish()
    }

    /// One replay, waited for.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub async fn run(&self) -> Result<()> {
        self.gpu.finished(self.submit()).await
    }

    /// One replay with GPU timestamps around every dispatch.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the adapter has no timestamps, and whatever the driver reported.
    pub async fn profile(&self) -> Result<Vec<Timing>> {
        if !self.gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Err(Error::Gpu("this adapter has no timestamps".into()));
        }
        let mut timings = Vec::with_capacity(self.entries.len());
        // A query set holds at most 4096 timestamps.
        for entries in self.entries.chunks(2048) {
            timings.extend(self.profile_slice(entries).await?);
        }
        Ok(timings)
    }

    async fn profile_slice(&self, entries: &[Entry]) -> Result<Vec<Timing>> {
        let (device, count) = (self.gpu.device(), 2 * entries.len() as u32);
        let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("timestamps"),
            ty: wgpu::QueryType::Timestamp,
            count,
        });
        let mut encoder = device.create_command_encoder(&Default::default());
        for (i, entry) in entries.iter().enumerate() {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some(&entry.label),
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &queries,
                    beginning_of_pass_write_index: Some(2 * i as u32),
                    end_of_pass_write_index: Some(2 * i as u32 + 1),
                }),
            });
            entry.dispatch(&mut pass);
        }
        let bytes = 8 * u64::from(count);
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let ticks = self.gpu.create("timestamps", bytes, usage);
        encoder.resolve_query_set(&queries, 0..count, &ticks.buffer, 0);
        self.gpu.queue().submit([encoder.finish()]);
        let bytes = self.gpu.download(&ticks.buffer, bytes).finish(&self.gpu).await?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&bytes);
        let period = f64::from(self.gpu.queue().get_timestamp_period());
        let timing = |(entry, pair): (&Entry, &[u64])| Timing {
            label: entry.label.clone(),
            time: Duration::from_nanos((pair[1].saturating_sub(pair[0]) as f64 * period) as u64),
            flops: entry.flops,
        };
        Ok(entries.iter().zip(ticks.chunks_exact(2)).map(timing).collect())
    }

    /// Fills all temporaries, to the last byte of their buffers, with NaN. A correct program's
    /// results do not change by it.
    pub fn poison(&self) {
        for slot in &self.slots {
            let numbers = vec![f32::NAN; (slot.buffer.size() / 4) as usize];
            self.gpu.fill(slot, &numbers);
        }
    }
}

impl Entry {
    fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.kernel.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.dispatch_workgroups(self.groups[0], self.groups[1], self.groups[2]);
    }
}
