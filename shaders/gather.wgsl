// y[c, n] = pool[c, chosen[n] − number], where the pool has a vector of that number; otherwise before[c, n], or 0.
//
// pool: C×P, whose first vector has the number `number`. chosen: N numbers, whole ones. before, y: C×N.
// One invocation computes one element, y =.

struct Params {
    count: u32,
    places: u32,
    vectors: u32,
    number: u32,
    some: u32,      // 1: there is a result before
}

@group(0) @binding(0) var<storage, read> pool: array<f32>;
@group(0) @binding(1) var<storage, read> chosen: array<f32>;
@group(0) @binding(2) var<storage, read> before: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn forward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i >= params.count {
        return;
    }
    let vector = i32(chosen[i % params.places]) - i32(params.number);
    let here = (vector >= 0) & (vector < i32(params.vectors));
    let at = i / params.places * params.vectors + u32(select(0, vector, here));
    let other = select(0.0, before[select(0u, i, params.some != 0u)], params.some != 0u);
    y[i] = select(other, pool[at], here);
}
