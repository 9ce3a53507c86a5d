//! Every shader translates to the four languages that drivers take, and asks for no more than WebGPU's default
//! limits.

use impasto::gpu::kernel::reflect;
use impasto::shape::Precision;
use naga::ShaderStage;
use naga::back::{glsl, hlsl, msl, spv};
use naga::proc::BoundsCheckPolicies;

use crate::{each_entry, each_entry_in, is_cooperative, needs_subgroups, parsed};

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
