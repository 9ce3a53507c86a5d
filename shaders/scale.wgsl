// y = factor · x, element by element. The gradient is the same map from dy to dx, and a weighted sum
// is this with += for every input after the first, so one entry point serves them all.
//
// One invocation computes one element; 256 a workgroup.
// run: y = or += (params.accumulate).

struct Params {
    count: u32,
    accumulate: u32,
    factor: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn run(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i < params.count {
        let before = select(0.0, y[i], params.accumulate != 0u);
        y[i] = before + params.factor * x[i];
    }
}
