// y = a + b, element by element. Both gradients are dy itself.
//
// One invocation computes one element; 256 a workgroup.
// forward: y =.   backward: dx = or += (params.accumulate), once for each input.

struct Params {
    count: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> a: array<Stored>;
@group(0) @binding(1) var<storage, read> b: array<Stored>;
@group(0) @binding(2) var<storage, read_write> y: array<Stored>;
@group(0) @binding(3) var<storage, read> dy: array<Stored>;
@group(0) @binding(4) var<storage, read_write> dx: array<Stored>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn forward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i < params.count {
        y[i] = Stored(f32(a[i]) + f32(b[i]));
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
        dx[i] = Stored(before + f32(dy[i]));
    }
}
