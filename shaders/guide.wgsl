// y[c, p] = x[c, p] · guide[p]^power: a map seen through a guide.
//
// x, y: C×N, N pixels. guide: N numbers from 0 to 1. power: 1 or 2.
// One invocation an element, y =.

struct Params {
    count: u32,
    pixels: u32,
    square: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> guide: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn run(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i >= params.count {
        return;
    }
    let share = guide[i % params.pixels];
    y[i] = x[i] * share * select(1.0, share, params.square != 0u);
}
