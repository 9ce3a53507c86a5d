// y[i, j] = Σ_p x[i, p] · x[j, p] / N, the Gram matrix of a feature map with N pixels (Gatys et al.
// 2016, eq. 3, over N), and dx[i, p] = Σ_j (dy[i, j] + dy[j, i]) · x[j, p] / N.
//
// x, dx: C×N. y, dy: C×C. partials: splits×C×C. This is the baseline: it runs anywhere.
// partial_products: one invocation an entry and a share of the pixels, partials =.
// finish: one invocation an entry, y =.
// symmetrize: one invocation an entry, s = (dy + dyᵀ) / N.
// backward: one invocation an element, dx = or += (params.accumulate).

struct Params {
    channels: u32,
    pixels: u32,
    share: u32,
    splits: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> partials: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> s: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn partial_products(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = folded(group, groups, lane);
    let entries = params.channels * params.channels;
    if at >= entries * params.splits {
        return;
    }
    let a = at % entries / params.channels * params.pixels;
    let b = at % params.channels * params.pixels;
    let first = at / entries * params.share;
    let end = min(first + params.share, params.pixels);
    var sum = 0.0;
    for (var p = first; p < end; p++) {
        sum += x[a + p] * x[b + p];
    }
    partials[at] = sum;
}

@compute @workgroup_size(LANES)
fn finish(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = folded(group, groups, lane);
    let entries = params.channels * params.channels;
    if at >= entries {
        return;
    }
    var sum = 0.0;
    for (var split = 0u; split < params.splits; split++) {
        sum += partials[split * entries + at];
    }
    y[at] = sum / f32(params.pixels);
}

@compute @workgroup_size(LANES)
fn symmetrize(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = folded(group, groups, lane);
    let c = params.channels;
    if at < c * c {
        s[at] = (dy[at] + dy[at % c * c + at / c]) / f32(params.pixels);
    }
}

@compute @workgroup_size(LANES)
fn backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = folded(group, groups, lane);
    if at >= params.channels * params.pixels {
        return;
    }
    let row = at / params.pixels * params.channels;
    let pixel = at % params.pixels;
    var sum = 0.0;
    for (var j = 0u; j < params.channels; j++) {
        sum += s[row + j] * x[j * params.pixels + pixel];
    }
    let before = select(0.0, dx[at], params.accumulate != 0u);
    dx[at] = before + sum;
}
