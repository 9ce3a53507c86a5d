// A running average of x, weighted by decay^age and corrected for its beginning (Kingma & Ba 2015, section 3): with
//   u = 1 − decayᵗ,   average = average + (1 − decay) / u · (x − average)
// average is the corrected one at every step t, and x itself at the first.
//
// x, average: count numbers. clock: u.
// tick: one invocation, moves the clock on; runs before update.
// update: one invocation an element; 256 a workgroup; writes average =.

struct Params {
    count: u32,
    decay: f32,
}

@group(0) @binding(0) var<storage, read_write> clock: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> average: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(1)
fn tick() {
    clock[0] = params.decay * clock[0] + (1.0 - params.decay);
}

@compute @workgroup_size(LANES)
fn update(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i < params.count {
        let weight = (1.0 - params.decay) / clock[0];
        average[i] = (1.0 - weight) * average[i] + weight * x[i];
    }
}
