//! What software drivers are bad at stands in none of our kernels, or says why it may. Measured on 2026-11-27 with
//! Mesa 22.3.6 (lavapipe, 2 cores) on kernels of some 200 operations, without its shader cache:
//!
//! - **Loops that end by constants and uniforms alone.** The driver tries a kernel of more than 100 values with its
//!   uniforms as constants, those that `if`s and ends of loops are made of, and keeps the trial where the kernel grew
//!   or lost half: a loop that is unrolled grows it. It remembers no trial, so it compiles **at every dispatch**: 95 to
//!   130 ms each, where the kernel takes 0.3 ms with `params.count + id.z` for the limit or `id.z` for the start. So
//!   do an inner loop, a step or a `break` that depend on a uniform. Counts of 0 and 1000 unroll nothing and cost
//!   nothing, so it shows for some layers only. (Newer Mesa remembers: a compilation for every value.)
//! - **`if` and `switch` on uniforms alone** cost only a trial at the first dispatch, even where half of a kernel
//!   falls away. They are caught all the same: what they are made of is constant in the trial, and loops may unroll
//!   by it. `select`, and `&` for `&&`, avoid them, and a term of `id.z` hides them.
//! - **Private arrays at an index of the run time** go to memory, all accumulators with them: one such load after the
//!   loop made a kernel with eight vec4 sums take 0.55 to 0.8 s instead of 0.18 to 0.26.
//!
//! What wgpu adds to loops in kernels with bounds checks hides the first there; ours have none.

use std::collections::{BTreeMap, BTreeSet};

use impasto::shape::Precision;
use naga::valid::{Capabilities, ValidationFlags, Validator};

use crate::each_entry_in;
use crate::uniformity::{Finding, findings};

/// Entry points that may do what they should not, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("conv2d_cooperative::convolve", "is chosen on GPUs only, where the tuner found it faster"),
    ("demo::content", "runs once, for the demo's picture; the table has three rows"),
];

/// What is found in all kernels: `shader::entry` with line and finding.
fn all() -> BTreeMap<String, BTreeSet<String>> {
    let found = std::cell::RefCell::new(BTreeMap::<String, BTreeSet<String>>::new());
    each_entry_in(Precision::F32, |shader, entry, module, info| {
        let shaders = impasto::shaders();
        let text = shaders.iter().find(|other| other.name == shader).expect("listed");
        let text = text.text(Precision::F32);
        for finding in findings(module, info, entry, &text) {
            let (Finding::UniformBranch(line) | Finding::PrivateArray(line)) = finding;
            let words = text.lines().nth(line as usize - 1).unwrap_or_default().trim();
            let what = format!("{finding:?}: {words}");
            found.borrow_mut().entry(format!("{shader}::{entry}")).or_default().insert(what);
        }
    });
    found.into_inner()
}

#[test]
fn software_drivers_are_spared() {
    let mut found = all();
    let unused = EXCEPTIONS.iter().filter(|(entry, _)| found.remove(*entry).is_none());
    let unused: Vec<_> = unused.map(|(entry, _)| entry).collect();
    let lines =
        found.iter().flat_map(|(entry, what)| what.iter().map(move |w| format!("{entry}: {w}")));
    let lines: Vec<String> = lines.collect();
    assert!(lines.is_empty(), "hide it or make it an exception:\n{}", lines.join("\n"));
    assert!(unused.is_empty(), "no exceptions any more: {unused:?}");
}

/// The findings in an entry point `run` with this body: lines are counted from it.
fn of(body: &str) -> Vec<Finding> {
    let text = format!(
        "@compute @workgroup_size(64) fn run(@builtin(global_invocation_id) id: vec3u, \
         @builtin(num_workgroups) groups: vec3u) {{ {body} }}
         struct Params {{ count: u32, mode: u32, size: vec2u }}
         @group(0) @binding(0) var<storage, read_write> y: array<f32>;
         @group(0) @binding(1) var<uniform> params: Params;
         @group(0) @binding(2) var<uniform> window: array<vec4f, 64>;
         var<workgroup> lanes: array<f32, 64>;
         fn is_first(mode: u32) -> bool {{ if mode == 0u {{ return true; }} return false; }}
         fn twice(mode: u32) -> u32 {{ return 2u * mode; }}
         fn grow(v: ptr<function, u32>) {{ *v += 1u; }}"
    );
    let module = naga::front::wgsl::parse_str(&text);
    let module = module.unwrap_or_else(|e| panic!("{}", e.emit_to_string(&text)));
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
    let info =
        validator.validate(&module).unwrap_or_else(|e| panic!("{}", e.emit_to_string(&text)));
    findings(&module, &info, "run", &text).into_iter().collect()
}

#[test]
fn branches_on_uniforms_are_caught() {
    for body in [
        "if params.mode == 1u { y[id.x] = 1.0; }",
        "if params.count * 2u > params.size.y { y[id.x] = 1.0; } else { y[id.x] = 2.0; }",
        "switch params.mode { case 0u: { y[id.x] = 1.0; } default: {} }",
        "for (var i = 0u; i < params.count; i++) { y[id.x] += 1.0; }",
        "for (var i = params.count; i > 0u; i -= 1u) { y[id.x] += 1.0; }",
        "for (var i = 0u; i < 9u; i += params.mode) { y[id.x] += 1.0; }",
        "var i = 0u; loop { y[id.x] += 1.0; continuing { i++; break if i >= params.count; } }",
        "var i = 0u; loop { if i == params.count { break; } i++; y[id.x] += 1.0; }",
        "let n = min(params.count, 7u); for (var i = 0u; i < n; i++) { y[id.x] += 1.0; }",
        "var n = params.count; n = n + 1u; if n == 3u { y[id.x] = 1.0; }",
        "if is_first(params.mode) { y[id.x] = 1.0; }",
        "if twice(params.mode) == 2u { y[id.x] = 1.0; }",
        "if params.mode == 1u && id.x > 3u { y[id.x] = 1.0; }",
        "if window[3].x > 0.5 { y[id.x] = 1.0; }",
        "let p = &params.mode; if *p == 1u { y[id.x] = 1.0; }",
        "if select(params.mode, 2u, params.count > 3u) == 1u { y[id.x] = 1.0; }",
        "if id.x < 9u { if params.mode == 1u { y[id.x] = 1.0; } }",
        "for (var i = 0u; i < 4u; i++) { if i < params.count { y[id.x] += 1.0; } }",
        "var n = id.x; n = params.count; if n == 3u { y[id.x] = 1.0; }",
        "if bitcast<f32>(params.mode) > 1.0 { y[id.x] = 1.0; }",
    ] {
        let found = of(body);
        assert!(found.iter().any(|f| matches!(f, Finding::UniformBranch(_))), "{body}: {found:?}");
    }
}

#[test]
fn branches_on_what_only_the_run_time_knows_pass() {
    for body in [
        "if id.x < params.count { y[id.x] = 1.0; }",
        "if params.mode + id.z == 1u { y[id.x] = 1.0; }",
        "if groups.x == params.mode { y[id.x] = 1.0; }",
        "if y[0] > f32(params.mode) { y[id.x] = 1.0; }",
        "if lanes[0] > f32(params.mode) { y[id.x] = 1.0; }",
        "y[id.x] = select(1.0, 2.0, params.mode == 1u);",
        "for (var i = 0u; i < params.count + id.z; i++) { y[id.x] += 1.0; }",
        "for (var i = id.z; i < params.count; i++) { y[id.x] += 1.0; }",
        "for (var i = 0u; i < 4u; i++) { y[id.x] += 1.0; }",
        "for (var half = 32u; half > 0u; half = half / 2u) { y[id.x] += 1.0; }",
        "for (var i = 0u; i < 9u + id.z; i++) { if i < params.count { y[id.x] += 1.0; } }",
        "var n = params.count; if id.x == 3u { n = 7u; } if n == 3u { y[id.x] = 1.0; }",
        "var n = params.count; n = n + id.z; if n == 3u { y[id.x] = 1.0; }",
        "if is_first(params.mode + id.z) { y[id.x] = 1.0; }",
        "if (id.x > 3u) & (params.mode == 1u) { y[id.x] = 1.0; }",
        "if id.x > 3u && params.mode == 1u { y[id.x] = 1.0; }",
        "if window[params.mode].x > 0.5 { y[id.x] = 1.0; }",
        "if window[id.x].x > 0.5 { y[id.x] = 1.0; }",
        "if arrayLength(&y) > params.count { y[id.x] = 1.0; }",
        "if 1u > 2u { y[id.x] = 1.0; }",
    ] {
        assert_eq!(of(body), [], "{body}");
    }
}

#[test]
fn private_arrays_at_an_index_of_the_run_time_are_caught() {
    let sums = "var sums: array<f32, 4>;";
    for body in [
        "y[0] = sums[id.x];",
        "sums[id.x] = 1.0;",
        "y[0] = sums[params.mode + id.z];",
        "for (var i = 0u; i < 1u + id.z; i++) { sums[i] = 1.0; }",
        "let copy = sums; y[0] = copy[id.x];",
        "var i = 0u; if id.x > 3u { i = 1u; } y[0] = sums[i];",
        "var i = 1u; grow(&i); y[0] = sums[i];",
        "if id.x == 3u { y[0] = sums[id.y % 4u]; }",
    ] {
        let found = of(&format!("{sums} {body}"));
        assert!(matches!(found[..], [Finding::PrivateArray(1)]), "{body}: {found:?}");
    }
    for body in [
        "y[0] = sums[2];",
        "for (var i = 0u; i < 4u; i++) { sums[i] = f32(id.x); }",
        "for (var i = 0u; i < 4u; i++) { for (var j = i; j < 4u; j++) { sums[j - i] += 1.0; } }",
        "y[id.x] = sums[1u + 2u]; lanes[id.x] = window[id.x].x;",
        "var v = vec4f(); v[id.x] = 1.0; y[0] = v[id.y];",
    ] {
        assert_eq!(of(&format!("{sums} {body}")), [], "{body}");
    }
}
