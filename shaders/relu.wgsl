// y = max(x, 0), element by element, and its gradient dx = dy where y > 0, else 0.
//
// One invocation computes one element; 256 a workgroup.
// forward: y =.   backward: dx = or += (params.accumulate).   mask: dy = in place, for operations
// that end in a ReLU of their own.

struct Params {
    count: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read_write> y: array<Stored>;
@group(0) @binding(2) var<storage, read_write> dy: array<Stored>;
@group(0) @binding(3) var<storage, read_write> dx: array<Stored>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn forward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i < params.count {
        y[i] = Stored(max(f32(x[i]), 0.0));
    }
}

@compute @workgroup_size(LANES)
fn backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i < params.count {
        let before = select(0.0, f32(dx[i]), params.accumulate != 0u);
        dx[i] = Stored(before + select(0.0, f32(dy[i]), f32(y[i]) > 0.0));
    }
}

@compute @workgroup_size(LANES)
fn mask(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i < params.count && !(f32(y[i]) > 0.0) {
        dy[i] = Stored(0.0);
    }
}
