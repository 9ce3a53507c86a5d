//! Which GPU: what is there, and which one is meant.

use serde::Serialize;

use crate::error::{Error, Knob, Result, names};

/// A graphics API that wgpu reaches a GPU through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Vulkan: Linux, Windows, Android.
    Vulkan,
    /// Metal: macOS, iOS.
    Metal,
    /// DirectX 12: Windows.
    Dx12,
    /// OpenGL 4.3 or OpenGL ES 3.1: the fallback.
    Gl,
}

names!(Backend, "backend", Vulkan = "vulkan", Metal = "metal", Dx12 = "dx12", Gl = "gl");

impl Backend {
    fn flag(self) -> wgpu::Backends {
        match self {
            Backend::Vulkan => wgpu::Backends::VULKAN,
            Backend::Metal => wgpu::Backends::METAL,
            Backend::Dx12 => wgpu::Backends::DX12,
            Backend::Gl => wgpu::Backends::GL,
        }
    }

    fn of(backend: wgpu::Backend) -> Option<Self> {
        match backend {
            wgpu::Backend::Vulkan => Some(Backend::Vulkan),
            wgpu::Backend::Metal => Some(Backend::Metal),
            wgpu::Backend::Dx12 => Some(Backend::Dx12),
            wgpu::Backend::Gl => Some(Backend::Gl),
            _ => None,
        }
    }
}

/// What the user said about the adapter; the default takes the fastest real GPU, then anything.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Its index in `impasto devices`, or a part of its name (any case).
    pub adapter: Option<String>,
    /// Only adapters of this backend.
    pub backend: Option<Backend>,
}

/// Shaders index with 32 bits, signed in places; Metal would bind more than that can reach.
const LARGEST_BINDING: u64 = i32::MAX as u64 & !15;

/// What `impasto devices` tells about an adapter.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AdapterReport {
    /// What `--adapter` takes.
    pub index: usize,
    /// The vendor's name for it.
    pub name: String,
    /// The API it is reached through.
    pub backend: Option<Backend>,
    /// `discrete`, `integrated`, `virtual`, `cpu` or `other`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The processor does the work: a driver without a GPU.
    pub software: bool,
    /// The driver and its version.
    pub driver: String,
    /// Largest buffer, in bytes.
    pub max_buffer_bytes: u64,
    /// Largest part of a buffer that a kernel can bind, in bytes.
    pub max_binding_bytes: u64,
    /// The adapter's own memory in bytes, where the driver tells.
    pub memory_bytes: Option<u64>,
    /// Invocations in a workgroup.
    pub max_workgroup_invocations: u32,
    /// Memory that a workgroup shares, in bytes.
    pub max_workgroup_bytes: u32,
    /// Smallest and largest subgroup.
    pub subgroup_sizes: [u32; 2],
    /// GPU time can be measured per dispatch.
    pub timestamps: bool,
    /// Subgroup operations.
    pub subgroups: bool,
    /// Half-precision arithmetic in shaders.
    pub f16: bool,
    /// Matrices that a subgroup multiplies together, such as `16×16×16 f16→f32`.
    pub cooperative_matrices: Vec<String>,
    /// Why impasto cannot run on it, if it cannot.
    pub unusable: Option<String>,
}

pub(crate) struct Candidate {
    pub adapter: wgpu::Adapter,
    pub report: AdapterReport,
}

/// All adapters, in the order of their indices: Vulkan, Metal and DX12 before OpenGL.
pub async fn list() -> Vec<AdapterReport> {
    candidates(wgpu::Backends::all()).await.into_iter().map(|c| c.report).collect()
}

async fn candidates(backends: wgpu::Backends) -> Vec<Candidate> {
    let mut found = Vec::new();
    // OpenGL last and on its own: starting EGL is slow, and often there is no need to.
    for backends in [backends & wgpu::Backends::PRIMARY, backends & wgpu::Backends::SECONDARY] {
        if backends.is_empty() {
            continue;
        }
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = backends;
        // Debug builds would ask for validation layers and for labels that drivers keep.
        descriptor.flags = wgpu::InstanceFlags::empty().with_env();
        let instance = wgpu::Instance::new(descriptor);
        for adapter in instance.enumerate_adapters(backends).await {
            let report = describe(&adapter, found.len());
            found.push(Candidate { adapter, report });
        }
    }
    found
}

fn describe(adapter: &wgpu::Adapter, index: usize) -> AdapterReport {
    let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
    AdapterReport {
        index,
        backend: Backend::of(info.backend),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "cpu",
            wgpu::DeviceType::Other => "other",
        },
        software: info.device_type == wgpu::DeviceType::Cpu,
        driver: [info.driver.as_str(), info.driver_info.as_str()]
            .iter()
            .filter(|s| !s.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join(" "),
        name: info.name,
        max_buffer_bytes: limits.max_buffer_size,
        max_binding_bytes: limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size)
            .min(LARGEST_BINDING),
        memory_bytes: memory_bytes(adapter),
        max_workgroup_invocations: limits.max_compute_invocations_per_workgroup,
        max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
        subgroup_sizes: [info.subgroup_min_size, info.subgroup_max_size],
        timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
        subgroups: features.contains(wgpu::Features::SUBGROUP),
        f16: features.contains(wgpu::Features::SHADER_F16),
        cooperative_matrices: cooperative_matrices(adapter),
        unusable: shortfall(adapter),
    }
}

impl AdapterReport {
    /// Rows and columns of the cooperative matrices, f16 with f32 sums, that a subgroup multiplies; where all subgroups
    /// have one size, as NVIDIA's have on Vulkan, so that a workgroup can be one.
    pub fn fragment_side(&self) -> Option<usize> {
        let has = |side: &usize| {
            self.cooperative_matrices.contains(&format!("{side}×{side}×{side} f16→f32"))
        };
        let usable = self.f16 && self.subgroups && self.subgroup_constant().is_some();
        [16, 8].into_iter().find(has).filter(|_| usable)
    }

    /// The constant by which shaders know the size of subgroups, where they all have one.
    pub(crate) fn subgroup_constant(&self) -> Option<&'static [(&'static str, f64)]> {
        match self.subgroup_sizes {
            [8, 8] => Some(&[("SUBGROUP", 8.0)]),
            [16, 16] => Some(&[("SUBGROUP", 16.0)]),
            [32, 32] => Some(&[("SUBGROUP", 32.0)]),
            [64, 64] => Some(&[("SUBGROUP", 64.0)]),
            _ => None,
        }
    }
}

/// Their sizes and the types of factors and sums.
fn cooperative_matrices(adapter: &wgpu::Adapter) -> Vec<String> {
    let kind = |scalar| match scalar {
        wgpu::CooperativeScalarType::F32 => "f32",
        wgpu::CooperativeScalarType::F16 => "f16",
        wgpu::CooperativeScalarType::I32 => "i32",
        wgpu::CooperativeScalarType::U32 => "u32",
    };
    let all = adapter.cooperative_matrix_properties();
    let mut names: Vec<String> = all
        .iter()
        .map(|p| {
            let (factors, sums) = (kind(p.ab_type), kind(p.cr_type));
            format!("{}×{}×{} {factors}→{sums}", p.m_size, p.n_size, p.k_size)
        })
        .collect();
    names.dedup();
    names
}

/// The first of WebGPU's default limits that matter here which the adapter does not reach.
fn shortfall(adapter: &wgpu::Adapter) -> Option<String> {
    let compute = wgpu::DownlevelFlags::COMPUTE_SHADERS;
    if !adapter.get_downlevel_capabilities().flags.contains(compute) {
        return Some("it has no compute shaders".into());
    }
    let (have, need) = (adapter.limits(), wgpu::Limits::default());
    let rows = [
        ("storage buffers in a stage", have.max_storage_buffers_per_shader_stage as u64, 8),
        ("invocations in a workgroup", have.max_compute_invocations_per_workgroup as u64, 256),
        (
            "bytes of workgroup memory",
            have.max_compute_workgroup_storage_size as u64,
            need.max_compute_workgroup_storage_size as u64,
        ),
        (
            "bytes of uniform buffer in a binding",
            have.max_uniform_buffer_binding_size,
            need.max_uniform_buffer_binding_size,
        ),
        (
            "bytes of storage buffer in a binding",
            have.max_storage_buffer_binding_size,
            need.max_storage_buffer_binding_size,
        ),
    ];
    rows.into_iter()
        .find(|(_, have, need)| have < need)
        .map(|(what, have, need)| format!("it allows {have} {what}, impasto needs {need}"))
}

/// Lower is better: one that works, a real GPU before a software one, a native API before OpenGL.
fn rank(report: &AdapterReport) -> (bool, usize, bool) {
    let kinds = ["discrete", "integrated", "virtual", "other", "cpu"];
    let kind = kinds.iter().position(|k| *k == report.kind).unwrap_or(kinds.len());
    (report.unusable.is_some(), kind, report.backend == Some(Backend::Gl))
}

/// The adapter that `choice` means.
///
/// # Errors
/// [`Error::NoAdapter`] when there is none, or none like that.
pub(crate) async fn choose(choice: &Choice) -> Result<Candidate> {
    let backends = choice.backend.map_or(wgpu::Backends::all(), Backend::flag);
    let simple = choice.adapter.is_none() && choice.backend.is_none();
    let mut found = if simple { candidates(wgpu::Backends::PRIMARY).await } else { Vec::new() };
    if !found.iter().any(|c| c.report.unusable.is_none() && !c.report.software) {
        // A GPU may have nothing but OpenGL beside a software driver for Vulkan. And indices must mean what
        // `impasto devices` says: list all, then filter.
        found = candidates(wgpu::Backends::all()).await;
    }
    if found.is_empty() {
        return Err(Error::NoAdapter(NONE_AT_ALL.into()));
    }
    let listing = listing(&found);
    let matches = |c: &Candidate| {
        let index = choice.adapter.as_ref().and_then(|a| a.parse::<usize>().ok());
        let name = choice.adapter.as_ref().map(|a| a.to_lowercase());
        backends.contains(wgpu::Backends::from(c.adapter.get_info().backend))
            && match (index, name) {
                (Some(index), _) => c.report.index == index,
                (None, Some(name)) => c.report.name.to_lowercase().contains(&name),
                (None, None) => true,
            }
    };
    let mut meant: Vec<_> = found.into_iter().filter(matches).collect();
    meant.sort_by_key(|c| rank(&c.report));
    let Some(best) = meant.into_iter().next() else {
        let adapter = choice.adapter.as_ref().map(|name| format!("{} {name}", Knob::Adapter));
        let backend = choice.backend.map(|backend| format!("{} {backend}", Knob::Backend));
        let asked: Vec<String> = adapter.into_iter().chain(backend).collect();
        let asked = asked.join(" ");
        return Err(Error::NoAdapter(format!("{asked}: no such adapter; there are:\n{listing}")));
    };
    if let Some(why) = &best.report.unusable {
        let name = &best.report.name;
        return Err(Error::NoAdapter(format!(
            "{name} cannot run impasto: {why}; choose another with {}:\n{listing}",
            Knob::Adapter
        )));
    }
    Ok(best)
}

fn listing(found: &[Candidate]) -> String {
    let line = |c: &Candidate| {
        let backend = c.report.backend.map_or("other".into(), |b| b.to_string());
        format!("  {} {} ({backend}, {})", c.report.index, c.report.name, c.report.kind)
    };
    found.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What to do where there is no adapter at all.
pub const NONE_AT_ALL: &str =
    "no GPU adapter found: neither a graphics driver nor a software one is installed.
Install a Vulkan driver for your GPU, or Mesa's, which also has a software driver:
  Debian, Ubuntu: sudo apt-get install mesa-vulkan-drivers
  Fedora:         sudo dnf install mesa-vulkan-drivers vulkan-loader
  Arch:           sudo pacman -S vulkan-icd-loader vulkan-swrast
`make demo` in impasto's source does this by itself.";

/// The largest heap that is the device's own: wgpu does not tell, and of the APIs beneath it only Vulkan is asked.
#[cfg(any(windows, target_os = "linux", target_os = "android"))]
fn memory_bytes(adapter: &wgpu::Adapter) -> Option<u64> {
    const DEVICE_LOCAL: u32 = 1;
    // Sound because the handle is only read from, and the adapter outlives the call.
    let adapter = unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }?;
    let instance = adapter.shared_instance().raw_instance();
    let memory =
        unsafe { instance.get_physical_device_memory_properties(adapter.raw_physical_device()) };
    let heaps = memory.memory_heaps.iter().take(memory.memory_heap_count as usize);
    let own = heaps.filter(|heap| heap.flags.as_raw() & DEVICE_LOCAL != 0);
    own.map(|heap| heap.size).max()
}

#[cfg(not(any(windows, target_os = "linux", target_os = "android")))]
fn memory_bytes(_: &wgpu::Adapter) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_with_nothing_but_opengl_is_better_than_a_software_driver() {
        let report = |kind, backend, unusable: Option<&str>| AdapterReport {
            kind,
            backend: Some(backend),
            unusable: unusable.map(String::from),
            ..AdapterReport::default()
        };
        let worse = [
            report("discrete", Backend::Vulkan, None),
            report("discrete", Backend::Gl, None),
            report("integrated", Backend::Vulkan, None),
            report("other", Backend::Gl, None),
            report("cpu", Backend::Vulkan, None),
            report("cpu", Backend::Gl, None),
            report("discrete", Backend::Vulkan, Some("it has no compute shaders")),
        ];
        assert!(worse.is_sorted_by(|better, worse| rank(better) < rank(worse)));
    }
}
