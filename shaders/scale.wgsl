// y = factor · x, element by element. The gradient is the same map from dy to dx, and a weighted sum
// is this with += for every input after the first, so one entry point serves them all.
//
// One invocation computes one element; 256 a workgroup.
// y = or += (params.accumulate).
// run: from x to y, which are stored alike. narrow: from `wide_x`, widen: to `wide_y`, which are f32 whatever maps are stored as.
// clear: 0 to `wide_y`; factor and accumulate do not matter.

struct Params {
    count: u32,
    accumulate: u32,
    factor: f32,
}

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read_write> y: array<Stored>;
@group(0) @binding(2) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> wide_x: array<f32>;
@group(0) @binding(4) var<storage, read_write> wide_y: array<f32>;

@compute @workgroup_size(LANES)
fn run(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i < params.count {
        let before = select(0.0, f32(y[i]), params.accumulate != 0u);
        y[i] = Stored(before + params.factor * f32(x[i]));
    }
}

@compute @workgroup_size(LANES)
fn narrow(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i < params.count {
        let before = select(0.0, f32(y[i]), params.accumulate != 0u);
        y[i] = Stored(before + params.factor * wide_x[i]);
    }
}

@compute @workgroup_size(LANES)
fn widen(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i < params.count {
        let before = select(0.0, wide_y[i], params.accumulate != 0u);
        wide_y[i] = before + params.factor * f32(x[i]);
    }
}

@compute @workgroup_size(LANES)
fn clear(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i < params.count {
        wide_y[i] = 0.0;
    }
}
