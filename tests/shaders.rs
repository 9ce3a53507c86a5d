//! Every shader validates, translates to the four languages that drivers take, and asks for no more
//! than WebGPU's default limits. No GPU needed.

use std::collections::BTreeSet;

use impasto::gpu::Shader;
use impasto::gpu::kernel::reflect;
use impasto::shape::Precision;
use naga::back::{glsl, hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::proc::BoundsCheckPolicies;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{Module, ShaderStage};

/// Kernels that are only for devices with subgroup operations say so in their file's name.
fn needs_subgroups(shader: &str) -> bool {
    shader.ends_with("_broadcast") || shader.ends_with("_cooperative")
}

fn parsed(shader: &Shader, precision: Precision) -> (Module, ModuleInfo) {
    let text = shader.text(precision);
    let module = naga::front::wgsl::parse_str(&text)
        .unwrap_or_else(|e| panic!("{}: {}", shader.name, e.emit_to_string(&text)));
    // No other capability: nothing beyond what every WebGPU device has.
    let mut capabilities = Capabilities::empty();
    capabilities.set(Capabilities::SUBGROUP, needs_subgroups(shader.name));
    let half = precision == Precision::F16 || shader.is_cooperative();
    capabilities.set(Capabilities::SHADER_FLOAT16, half);
    capabilities.set(Capabilities::COOPERATIVE_MATRIX, shader.is_cooperative());
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
        .subgroup_operations(naga::valid::SubgroupOperationSet::all())
        .validate(&module)
        .unwrap_or_else(|e| panic!("{}: {}", shader.name, e.emit_to_string(&text)));
    (module, info)
}

fn is_cooperative(shader: &str) -> bool {
    shader.ends_with("_cooperative")
}

/// Calls `check` for every entry point, with its module made concrete, for maps of both precisions.
fn each_entry(check: impl Fn(&str, &str, &Module, &ModuleInfo)) {
    Precision::ALL.into_iter().for_each(|precision| each_entry_in(precision, &check));
}

fn each_entry_in(precision: Precision, check: impl Fn(&str, &str, &Module, &ModuleInfo)) {
    for shader in impasto::shaders() {
        let (module, info) = parsed(shader, precision);
        for point in &module.entry_points {
            let stage = Some((ShaderStage::Compute, point.name.as_str()));
            // Off and on.
            for value in [0.0, 1.0] {
                let switch = |o: &naga::Override| {
                    module.types[o.ty].inner == naga::TypeInner::Scalar(naga::Scalar::BOOL)
                };
                let switches = module.overrides.iter().filter(|(_, o)| switch(o));
                let names = switches.filter_map(|(_, o)| o.name.clone());
                let constants = names.map(|name| (name, value)).collect();
                let (module, info) = process_overrides(&module, &info, stage, &constants)
                    .unwrap_or_else(|e| panic!("{}::{}: {e}", shader.name, point.name));
                check(shader.name, &point.name, &module, &info);
            }
        }
    }
}

#[test]
fn the_list_is_the_folder() {
    let files: BTreeSet<String> =
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders"))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .filter(|name| name != "common")
            .collect();
    let listed: BTreeSet<String> = impasto::shaders().iter().map(|s| s.name.into()).collect();
    assert_eq!(listed, files);
}

#[test]
fn spirv() {
    each_entry(|shader, entry, module, info| {
        let options =
            spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: entry.into() };
        let lang_version = match (is_cooperative(shader), needs_subgroups(shader)) {
            (true, _) => (1, 6),
            (_, true) => (1, 3),
            _ => (1, 0),
        };
        let settings = spv::Options { lang_version, ..Default::default() };
        let words = spv::write_vec(module, info, &settings, Some(&options))
            .unwrap_or_else(|e| panic!("{shader}::{entry}: {e}"));
        assert!(words.len() > 100);
    });
}

#[test]
fn metal() {
    each_entry(|shader, entry, module, info| {
        let options = msl::PipelineOptions {
            entry_point: Some((ShaderStage::Compute, entry.into())),
            allow_and_force_point_size: false,
            vertex_pulling_transform: false,
            vertex_buffer_mappings: Vec::new(),
            binding_array_length_map: Default::default(),
        };
        let lang_version = match (is_cooperative(shader), needs_subgroups(shader)) {
            (true, _) => (2, 3),
            (_, true) => (2, 1),
            _ => (2, 0),
        };
        let settings = msl::Options { lang_version, ..Default::default() };
        let (text, _) = msl::write_string(module, info, &settings, &options)
            .unwrap_or_else(|e| panic!("{shader}::{entry}: {e}"));
        assert!(text.contains("kernel void"), "{shader}::{entry}");
    });
}

#[test]
fn hlsl() {
    each_entry(|shader, entry, module, info| {
        // Neither naga's HLSL nor its GLSL has cooperative matrices, and adapters with those say so.
        if is_cooperative(shader) {
            return;
        }
        let options =
            hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, entry.into())) };
        let settings = hlsl::Options {
            shader_model: hlsl::ShaderModel::V6_2,
            special_constants_binding: Some(hlsl::BindTarget::default()),
            ..Default::default()
        };
        let mut text = String::new();
        hlsl::Writer::new(&mut text, &settings, &options)
            .write(module, info, None)
            .unwrap_or_else(|e| panic!("{shader}::{entry}: {e}"));
        assert!(text.contains("numthreads"), "{shader}::{entry}");
    });
}

#[test]
fn glsl() {
    // Which has no f16: OpenGL adapters say so.
    each_entry_in(Precision::F32, |shader, entry, module, info| {
        if is_cooperative(shader) {
            return;
        }
        let options = glsl::PipelineOptions {
            shader_stage: ShaderStage::Compute,
            entry_point: entry.into(),
            multiview: None,
        };
        let version = match needs_subgroups(shader) {
            true => glsl::Version::Desktop(430),
            false => glsl::Version::new_gles(310),
        };
        let settings = glsl::Options { version, ..Default::default() };
        let mut text = String::new();
        let policies = BoundsCheckPolicies::default();
        glsl::Writer::new(&mut text, module, info, &settings, &options, policies)
            .and_then(|mut writer| writer.write().map(drop))
            .unwrap_or_else(|e| panic!("{shader}::{entry}: {e}"));
        assert!(text.contains("local_size_x"), "{shader}::{entry}");
    });
}

#[test]
fn within_the_default_limits() {
    let limits = wgpu::Limits::default();
    for shader in impasto::shaders() {
        let (module, info) = parsed(shader, Precision::F32);
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).unwrap();
        for (index, point) in module.entry_points.iter().enumerate() {
            let at = format!("{}::{}", shader.name, point.name);
            let interface =
                reflect(shader.name, &shader.text(Precision::F32), &point.name).unwrap();
            let storage = interface.bindings.iter().filter(|b| !b.uniform).count() as u32;
            assert!(storage <= limits.max_storage_buffers_per_shader_stage, "{at}: {storage}");
            let invocations: u32 = point.workgroup_size.iter().product();
            assert!(invocations <= limits.max_compute_invocations_per_workgroup, "{at}");
            let used = info.get_entry_point(index);
            for (handle, variable) in module.global_variables.iter() {
                if variable.space == naga::AddressSpace::Uniform && !used[handle].is_empty() {
                    let bytes = u64::from(layouter[variable.ty].size);
                    assert!(bytes <= limits.max_uniform_buffer_binding_size, "{at}: {bytes} bytes");
                }
            }
            let shared: u32 = module
                .global_variables
                .iter()
                .filter(|(handle, variable)| {
                    variable.space == naga::AddressSpace::WorkGroup && !used[*handle].is_empty()
                })
                .map(|(_, variable)| layouter[variable.ty].size)
                .sum();
            assert!(shared <= limits.max_compute_workgroup_storage_size, "{at}: {shared} bytes");
        }
    }
}
