// y[c, p] = x[c, p] · guide[p]^power: a map seen through a guide.
//
// x, y: C×N, N pixels. guide: N numbers from 0 to 1. power: 1 or 2. dy: C.
// run: one invocation an element, y =.
// spread: one invocation an element, y[c, p] = or += (params.accumulate) dy[c] / N · guide[p]².

struct Params {
    count: u32,
    pixels: u32,
    square: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read> guide: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<Stored>;
@group(0) @binding(3) var<uniform> params: Params;
@group(0) @binding(4) var<storage, read> dy: array<f32>;

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
    y[i] = Stored(f32(x[i]) * share * select(1.0, share, params.square != 0u));
}

@compute @workgroup_size(LANES)
fn spread(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i >= params.count {
        return;
    }
    let share = guide[i % params.pixels];
    let before = select(0.0, f32(y[i]), params.accumulate != 0u);
    y[i] = Stored(before + dy[i / params.pixels] * share * share / f32(params.pixels));
}
