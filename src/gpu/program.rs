//! Work as data: what was recorded is bound to memory once and replayed every step.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::arena::{self, Lifetime};
use super::device::{Gpu, Submission};
use super::kernel::Kernel;
use super::meter::Memory;
use super::recording::{Bound, Dispatch, Phase, Storage, Temporary};
use crate::error::{Error, Result};

/// Work after which a submit is cut, on software drivers and on GPUs: about 100 ms on slow ones, so that
/// desktops stay responsive and no driver's watchdog (2 s) fires.
const CPU_SLICE_FLOPS: u64 = 4_000_000_000;
const GPU_SLICE_FLOPS: u64 = 100_000_000_000;

struct Entry {
    label: String,
    kernel: Arc<Kernel>,
    /// None on a dry device.
    bind_group: Option<wgpu::BindGroup>,
    /// Keeps counted memory alive as long as the bind group does.
    _memory: Vec<Arc<Memory>>,
    groups: [u32; 3],
    flops: u64,
    phase: Phase,
}

/// What a program costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Dispatches in a replay.
    pub dispatches: usize,
    /// Temporary tensors.
    pub temporaries: usize,
    /// Buffers that they share.
    pub slots: usize,
    /// Size of those buffers together, in bytes.
    pub arena_bytes: u64,
    /// The largest of them.
    pub largest_bytes: u64,
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

/// Where temporaries lie.
pub(super) struct Placement {
    lifetimes: Vec<Option<Lifetime>>,
    arena: arena::Packing,
}

impl Placement {
    pub fn new(gpu: &Gpu, dispatches: &[Dispatch], temporaries: &[Temporary]) -> Self {
        let mut lifetimes: Vec<Option<Lifetime>> = vec![None; temporaries.len()];
        for (at, dispatch) in dispatches.iter().enumerate() {
            for (id, _) in dispatch.temporaries() {
                let bytes = temporaries[id].bytes.max(16).next_multiple_of(16);
                let start = lifetimes[id].as_ref().map_or(at, |l| *l.used.start());
                lifetimes[id] = Some(Lifetime { bytes, used: start..=at });
            }
        }
        let limits = gpu.limits();
        let alignment = u64::from(limits.min_storage_buffer_offset_alignment)
            .max(u64::from(limits.min_uniform_buffer_offset_alignment))
            .max(16);
        let arena = arena::pack(&lifetimes, &bound_together(dispatches), alignment);
        Placement { lifetimes, arena }
    }

    pub fn plan(&self, dispatches: &[Dispatch]) -> Plan {
        Plan {
            dispatches: dispatches.len(),
            temporaries: self.lifetimes.iter().flatten().count(),
            slots: self.arena.bytes.len(),
            arena_bytes: self.arena.bytes.iter().sum(),
            largest_bytes: self.arena.bytes.iter().copied().max().unwrap_or(0),
            unshared_bytes: self.lifetimes.iter().flatten().map(|l| l.bytes).sum(),
            flops: dispatches.iter().map(|d| d.flops).sum(),
        }
    }
}

/// Pairs of temporaries that are bound by a dispatch that may write one of them.
fn bound_together(dispatches: &[Dispatch]) -> HashSet<(usize, usize)> {
    let mut pairs = HashSet::new();
    for dispatch in dispatches {
        let bound: Vec<_> = dispatch.temporaries().collect();
        for (i, (a, as_a)) in bound.iter().enumerate() {
            for (b, as_b) in &bound[i + 1..] {
                if a != b && (as_a.exclusive || as_b.exclusive) {
                    pairs.insert((*a.min(b), *a.max(b)));
                }
            }
        }
    }
    pairs
}

/// Dispatches with their memory, ready to be replayed. A dry device's has a plan, and nothing happens when it runs.
pub struct Program {
    gpu: Gpu,
    entries: Vec<Entry>,
    slots: Vec<Arc<Memory>>,
    /// Counted as long as the bind groups keep it alive.
    _params: Arc<Memory>,
    plan: Plan,
}

impl Program {
    /// Lays out the memory of recorded dispatches and binds it.
    pub(super) fn new(
        gpu: Gpu,
        dispatches: &[Dispatch],
        temporaries: &[Temporary],
    ) -> Result<Program> {
        let layout = Placement::new(&gpu, dispatches, temporaries);
        let plan = layout.plan(dispatches);
        let Placement { lifetimes, arena } = layout;
        let slots = arena
            .bytes
            .iter()
            .map(|bytes| gpu.allocate("a temporary", *bytes))
            .collect::<Result<Vec<_>>>()?;
        let range_of = |bound: &Bound| -> Result<Range> {
            let whole = |memory| Range { memory, offset: bound.offset, bytes: bound.bytes };
            Ok(match &bound.storage {
                Storage::Owned(memory) => whole(memory.clone()),
                Storage::Host(frozen) => whole(frozen.upload(&gpu, "plain", <[f32]>::to_vec)?),
                Storage::Temporary(id) => {
                    let (Some(place), Some(lifetime)) = (arena.places[*id], &lifetimes[*id]) else {
                        return Err(Error::Gpu(format!("temporary {id} has no memory")));
                    };
                    Range {
                        memory: slots[place.slot].clone(),
                        offset: place.offset + bound.offset,
                        bytes: bound.bytes.or(Some(lifetime.bytes - bound.offset)),
                    }
                }
            })
        };
        let (params, offsets) = params_buffer(&gpu, dispatches);
        let mut entries = Vec::with_capacity(dispatches.len());
        for (dispatch, at) in dispatches.iter().zip(offsets) {
            let ranges = dispatch.bound.iter().map(range_of).collect::<Result<Vec<_>>>()?;
            entries.push(Entry {
                label: dispatch.label.clone(),
                bind_group: bind(&gpu, dispatch, &ranges, &params, at),
                _memory: ranges.into_iter().map(|range| range.memory).collect(),
                kernel: dispatch.kernel.clone(),
                groups: dispatch.groups,
                flops: dispatch.flops,
                phase: dispatch.phase,
            });
        }
        gpu.check()?;
        Ok(Program { gpu, entries, slots, _params: params, plan })
    }

    /// What it costs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What it dispatches, in order: scope, shader and entry point.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.label.as_str())
    }

    /// Hands one replay to the GPU and returns at once.
    pub fn submit(&self) -> Submission {
        self.submit_where(|_| true)
    }

    /// As [`Program::submit`], a replay in that phase: what runs in every replay, and what is recorded for the phase.
    pub fn submit_phase(&self, phase: Phase) -> Submission {
        self.submit_where(|entry| [Phase::Every, phase].contains(&entry.phase))
    }

    /// As [`Program::submit_phase`], only what is recorded for the last: right after a replay of the same input, whose
    /// temporaries still hold what they held.
    pub fn submit_rest(&self) -> Submission {
        self.submit_where(|entry| entry.phase == Phase::Last)
    }

    /// As [`Program::submit`], one replay of a batch of `of`, the first being `at` 0: what is recorded for the first or
    /// the last runs only with the replay that begins the batch or that ends it. A batch of one is [`Program::submit`].
    pub fn submit_in_batch(&self, at: usize, of: usize) -> Submission {
        self.submit_where(|entry| match entry.phase {
            Phase::Every => true,
            Phase::First => at == 0,
            Phase::Last => at + 1 >= of,
        })
    }

    fn submit_where(&self, wanted: impl Fn(&Entry) -> bool) -> Submission {
        if self.gpu.is_dry() {
            return Submission(None);
        }
        let budget = if self.gpu.is_cpu() { CPU_SLICE_FLOPS } else { GPU_SLICE_FLOPS };
        let mut rest = self.entries.iter().filter(|entry| wanted(entry)).peekable();
        loop {
            let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            let mut flops = 0;
            while let Some(entry) = rest.next_if(|e| flops == 0 || flops + e.flops <= budget) {
                entry.dispatch(&mut pass);
                flops += entry.flops;
            }
            drop(pass);
            let submission = Submission(Some(self.gpu.queue().submit([encoder.finish()])));
            if rest.peek().is_none() {
                return submission;
            }
        }
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
        let Some(buffer) = &ticks.buffer else { return Ok(Vec::new()) };
        encoder.resolve_query_set(&queries, 0..count, buffer, 0);
        self.gpu.queue().submit([encoder.finish()]);
        let bytes = self.gpu.download(&ticks, bytes).finish(&self.gpu).await?;
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
            // One NaN as f32, two as f16.
            let nan = f32::from_bits(0x7fff_7fff);
            self.gpu.fill(slot, &vec![nan; (slot.size / 4) as usize]);
        }
    }
}

impl Entry {
    fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.kernel.pipeline);
        pass.set_bind_group(0, self.bind_group.as_ref(), &[]);
        pass.dispatch_workgroups(self.groups[0], self.groups[1], self.groups[2]);
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
    if let Some(buffer) = &memory.buffer {
        gpu.queue().write_buffer(buffer, 0, &bytes);
    }
    (memory, offsets)
}

/// Part of a buffer.
struct Range {
    memory: Arc<Memory>,
    offset: u64,
    /// To its end where there is no number.
    bytes: Option<u64>,
}

fn bind(
    gpu: &Gpu,
    dispatch: &Dispatch,
    ranges: &[Range],
    params: &Memory,
    params_offset: u64,
) -> Option<wgpu::BindGroup> {
    let interface = &dispatch.kernel.interface;
    let mut entries = Vec::with_capacity(ranges.len() + 1);
    for (info, range) in interface.bindings.iter().zip(ranges) {
        entries.push(wgpu::BindGroupEntry {
            binding: info.index,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: range.memory.buffer.as_ref()?,
                offset: range.offset,
                size: range.bytes.and_then(std::num::NonZeroU64::new),
            }),
        });
    }
    if let Some((bytes, binding)) = interface.params_at {
        entries.push(wgpu::BindGroupEntry {
            binding,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: params.buffer.as_ref()?,
                offset: params_offset,
                size: std::num::NonZeroU64::new(bytes),
            }),
        });
    }
    Some(gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(&dispatch.label),
        layout: &dispatch.kernel.pipeline.get_bind_group_layout(0),
        entries: &entries,
    }))
}
