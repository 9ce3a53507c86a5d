//! WGSL text → compute pipeline. What a kernel binds and what its parameters are called is read
//! from the shader itself with naga, so nothing is typed twice.

use std::fmt;

use naga::valid::{Capabilities, GlobalUse, ValidationFlags, Validator};

use crate::error::{Error, Result};
use crate::shape::Precision;

/// Helpers that every shader may use; appended after its own text so that error lines still match.
pub const COMMON: &str = include_str!("../../shaders/common.wgsl");

/// One WGSL file.
#[derive(Debug)]
pub struct Shader {
    /// Its file name without `.wgsl`.
    pub name: &'static str,
    /// Its text, without [`COMMON`].
    pub source: &'static str,
    /// Part of this crate: tested, so that it needs none of wgpu's bounds checks.
    trusted: bool,
}

impl Shader {
    /// A shader from elsewhere, which keeps wgpu's bounds checks.
    pub const fn new(name: &'static str, source: &'static str) -> Self {
        Shader { name, source, trusted: false }
    }

    /// A shader of this crate: see `shader!`.
    pub(crate) const fn trusted(name: &'static str, source: &'static str) -> Self {
        Shader { name, source, trusted: true }
    }

    /// The whole module for feature maps of that precision: what `Stored` means, its own text, then [`COMMON`].
    pub fn text(&self, precision: Precision) -> String {
        self.text_for(precision, 16)
    }

    /// As [`Shader::text`], for cooperative matrices of `side` rows and columns where it uses some.
    pub(crate) fn text_for(&self, precision: Precision, side: usize) -> String {
        let stored = match precision {
            Precision::F32 => "alias Stored = f32; alias Stored4 = vec4<f32>;",
            Precision::F16 => "alias Stored = f16; alias Stored4 = vec4<f16>;",
        };
        let (mut enable, mut fragments) = (String::new(), String::new());
        if precision == Precision::F16 || self.is_cooperative() {
            enable += "enable f16; ";
        }
        if self.is_cooperative() {
            let fragment = |scalar, role| format!("coop_mat{side}x{side}<{scalar}, {role}>");
            enable += "enable wgpu_cooperative_matrix; ";
            fragments = format!(
                "const SIDE = {side}u; alias Left = {}; alias Right = {}; alias Sums = {};",
                fragment("f16", 'A'),
                fragment("f16", 'B'),
                fragment("f32", 'C')
            );
        }
        // Before the first line, which is a comment, so that the lines of errors match.
        format!("{enable}{stored} {fragments} {}\n{COMMON}", self.source)
    }

    /// Kernels for devices with cooperative matrices say so in their file's name.
    pub fn is_cooperative(&self) -> bool {
        self.name.ends_with("_cooperative")
    }
}

/// Includes `shaders/NAME.wgsl`.
macro_rules! shader {
    ($name:literal) => {
        $crate::gpu::Shader::trusted(
            $name,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $name, ".wgsl")),
        )
    };
}
pub(crate) use shader;

/// An entry point of a shader with its `override` constants.
#[derive(Clone, Debug)]
pub struct KernelId {
    /// The file.
    pub shader: &'static Shader,
    /// The function.
    pub entry: &'static str,
    /// `override` constants by name.
    pub constants: &'static [(&'static str, f64)],
}

impl KernelId {
    /// An entry point without constants.
    pub const fn new(shader: &'static Shader, entry: &'static str) -> Self {
        KernelId { shader, entry, constants: &[] }
    }

    fn key(&self) -> (&'static str, &'static str, impl Iterator<Item = (&'static str, u64)>) {
        let constants = self.constants.iter().map(|(name, value)| (*name, value.to_bits()));
        (self.shader.name, self.entry, constants)
    }
}

impl PartialEq for KernelId {
    fn eq(&self, other: &Self) -> bool {
        let ((s, e, c), (s2, e2, c2)) = (self.key(), other.key());
        s == s2 && e == e2 && c.eq(c2)
    }
}

impl Eq for KernelId {}

impl std::hash::Hash for KernelId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let (shader, entry, constants) = self.key();
        (shader, entry).hash(state);
        constants.for_each(|c| c.hash(state));
    }
}

impl fmt::Display for KernelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.shader.name, self.entry)
    }
}

/// A buffer that a kernel binds.
#[derive(Clone, Debug, PartialEq)]
pub struct BindingInfo {
    /// The variable's name in the shader.
    pub name: String,
    /// Its `@binding`.
    pub index: u32,
    /// The kernel writes to it.
    pub writes: bool,
    /// It is declared as one that is written to, and so can't share a buffer with another binding.
    pub exclusive: bool,
    /// A uniform buffer rather than a storage buffer.
    pub uniform: bool,
    /// How its numbers are stored.
    pub precision: Precision,
}

/// A member of the `params` uniform.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamInfo {
    /// The member's name.
    pub name: String,
    /// Bytes from the start of the struct.
    pub offset: u32,
    /// `f32` rather than `u32` or `i32`.
    pub float: bool,
}

/// What one entry point takes.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Buffers by binding index, without `params`.
    pub bindings: Vec<BindingInfo>,
    /// Members of `params`, empty when the kernel has none.
    pub params: Vec<ParamInfo>,
    /// Size of `params` in bytes and its binding.
    pub params_at: Option<(u64, u32)>,
    /// Invocations of a workgroup along x, y, z.
    pub workgroup: [u32; 3],
}

/// Reads the interface of `entry` from WGSL.
///
/// # Errors
/// [`Error::Gpu`] with naga's own words when the text is no valid WGSL or has no such entry point.
pub fn reflect(name: &str, text: &str, entry: &str) -> Result<Interface> {
    let invalid = |what: String| Error::Gpu(format!("shader {name}: {what}"));
    let module = naga::front::wgsl::parse_str(text).map_err(|e| invalid(e.emit_to_string(text)))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::all())
        .validate(&module)
        .map_err(|e| invalid(e.emit_to_string(text)))?;
    let (index, point) = module
        .entry_points
        .iter()
        .enumerate()
        .find(|(_, p)| p.name == entry)
        .ok_or_else(|| invalid(format!("no entry point `{entry}`")))?;
    let uses = info.get_entry_point(index);
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).map_err(|e| invalid(e.to_string()))?;
    let mut found = Interface {
        bindings: Vec::new(),
        params: Vec::new(),
        params_at: None,
        workgroup: point.workgroup_size,
    };
    for (handle, variable) in module.global_variables.iter() {
        let (Some(binding), Some(name)) = (&variable.binding, &variable.name) else { continue };
        if uses[handle].is_empty() {
            continue;
        }
        if name == "params" {
            let bytes = u64::from(layouter[variable.ty].size);
            found.params = members(&module, variable.ty);
            found.params_at = Some((bytes, binding.binding));
        } else {
            found.bindings.push(BindingInfo {
                name: name.clone(),
                index: binding.binding,
                writes: uses[handle].contains(GlobalUse::WRITE),
                exclusive: matches!(
                    variable.space,
                    naga::AddressSpace::Storage { access } if access.contains(naga::StorageAccess::STORE)
                ),
                uniform: variable.space == naga::AddressSpace::Uniform,
                precision: precision(&module, variable.ty),
            });
        }
    }
    found.bindings.sort_by_key(|b| b.index);
    Ok(found)
}

/// Of an array's numbers.
fn precision(module: &naga::Module, ty: naga::Handle<naga::Type>) -> Precision {
    let width = match &module.types[ty].inner {
        naga::TypeInner::Array { base, .. } => module.types[*base].inner.scalar_width(),
        _ => None,
    };
    if width == Some(2) { Precision::F16 } else { Precision::F32 }
}

fn members(module: &naga::Module, ty: naga::Handle<naga::Type>) -> Vec<ParamInfo> {
    let naga::TypeInner::Struct { members, .. } = &module.types[ty].inner else {
        return Vec::new();
    };
    let info = |m: &naga::StructMember| ParamInfo {
        name: m.name.clone().unwrap_or_default(),
        offset: m.offset,
        float: module.types[m.ty].inner.scalar_kind() == Some(naga::ScalarKind::Float),
    };
    members.iter().map(info).collect()
}

/// A compiled kernel.
pub struct Kernel {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) interface: Interface,
}

impl Kernel {
    /// Compiles it for maps of that precision and cooperative matrices of `side` rows; `checked`: with wgpu's bounds
    /// checks.
    pub(super) fn compile(
        device: &wgpu::Device,
        id: &KernelId,
        (precision, side): (Precision, usize),
        checked: bool,
    ) -> Result<Self> {
        let text = id.shader.text_for(precision, side);
        let interface = reflect(id.shader.name, &text, id.entry)?;
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(id.shader.name),
            source: wgpu::ShaderSource::Wgsl(text.into()),
        };
        let module = if checked || !id.shader.trusted {
            device.create_shader_module(descriptor)
        } else {
            // SAFETY: the text is our own and part of the binary. Its kernels clamp or test what they
            // index with, for the parameters that our operations give them, and the tests run the
            // operations with the checks on, to the same bits, over awkward shapes.
            unsafe {
                device.create_shader_module_trusted(
                    descriptor,
                    wgpu::ShaderRuntimeChecks::unchecked(),
                )
            }
        };
        let label = id.to_string();
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: None,
            module: &module,
            entry_point: Some(id.entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: id.constants,
                // No kernel reads workgroup memory that it has not written.
                zero_initialize_workgroup_memory: checked,
            },
            cache: None,
        });
        Ok(Kernel { pipeline, interface })
    }
}
