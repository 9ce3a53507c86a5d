// y[c] = scale[c] · x[order[c]] + offset[c] for every pixel: from a picture's RGB in 0..1 to what a
// network was trained on.
//
// x, y: C×N (N pixels). table: for every channel of y, order (as a float), scale, offset.
// One invocation computes one element of y (forward) or, of dx, the one that y's element came from
// (backward); order is a permutation, so each element of dx is written once.
// forward: y =.   backward: dx = or += (params.accumulate).

struct Params {
    count: u32,
    pixels: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> table: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<Stored>;
@group(0) @binding(3) var<storage, read> dy: array<Stored>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

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
    let channel = i / params.pixels;
    let origin = u32(table[3u * channel]) * params.pixels + i % params.pixels;
    y[i] = Stored(table[3u * channel + 1u] * x[origin] + table[3u * channel + 2u]);
}

@compute @workgroup_size(LANES)
fn backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i >= params.count {
        return;
    }
    let channel = i / params.pixels;
    let origin = u32(table[3u * channel]) * params.pixels + i % params.pixels;
    let before = select(0.0, dx[origin], params.accumulate != 0u);
    dx[origin] = before + table[3u * channel + 1u] * f32(dy[i]);
}
