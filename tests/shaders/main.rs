//! Every shader validates, translates to what drivers take, keeps to WebGPU's default limits, and avoids what
//! software drivers are bad at. No GPU needed.

mod lint;
mod translate;
mod uniformity;

use std::collections::BTreeSet;

use impasto::gpu::Shader;
use impasto::shape::Precision;
use naga::back::pipeline_constants::process_overrides;
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
