// y[c, n] = pool[c, chosen[n]], or 0 where the pool has no vector of that number.
//
// pool: C×P. chosen: N numbers, whole ones. y: C×N. One invocation computes one element, y =.

struct Params {
    count: u32,
    places: u32,
    vectors: u32,
}

@group(0) @binding(0) var<storage, read> pool: array<f32>;
@group(0) @binding(1) var<storage, read> chosen: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

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
    let vector = i32(chosen[i % params.places]);
    let here = (vector >= 0) & (vector < i32(params.vectors));
    let at = i / params.places * params.vectors + u32(select(0, vector, here));
    y[i] = select(0.0, pool[at], here);
}
