// The mean of every channel of a feature map: y[c] = sum over p of x[c, p] / N.
//
// x, dx: planar C x N, any C up to 65,535 and N >= 1. y, dy: C.
// partials: [channel][share].
// partial_sums: a workgroup of 256 sums a contiguous share of a channel's pixels, each lane every 256th.
//   Grid: (shares, C, 1). Writes =.
// finish: one invocation a channel, y =.
// backward: one invocation an element, dx[c, p] = or += (params.accumulate) dy[c] / N.

struct Params {
    channels: u32,
    pixels: u32,
    share: u32,
    shares: u32,
    scale: f32,     // 1 / N
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read_write> partials: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<Stored>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn partial_sums(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.y * params.pixels;
    let end = min(params.pixels, (group.x + 1u) * params.share);
    var sum = 0.0;
    for (var p = group.x * params.share + lane; p < end; p += LANES) {
        sum += f32(x[row + p]);
    }
    let total = workgroup_sum(sum, lane);
    if lane == 0u {
        partials[group.y * params.shares + group.x] = total;
    }
}

@compute @workgroup_size(LANES)
fn finish(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let c = folded(group, groups, lane);
    if c >= params.channels {
        return;
    }
    // The last term is 0: it keeps lavapipe from compiling a copy of the kernel for every count.
    let shares = params.shares + (group.x >> 16u);
    var sum = 0.0;
    for (var share = 0u; share < shares; share++) {
        sum += partials[c * params.shares + share];
    }
    y[c] = sum * params.scale;
}

@compute @workgroup_size(LANES)
fn backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i < params.channels * params.pixels {
        let before = select(0.0, f32(dx[i]), params.accumulate != 0u);
        dx[i] = Stored(before + dy[i / params.pixels] * params.scale);
    }
}
