// The covariance of channels from raw moments: y = scale (g - mean mean') + epsilon I.
//
// g, dg, y, dy: C x C. mean, dmean: C.
// forward: one invocation an element, y =.
// backward_gram: one invocation an element, dg = or += (params.accumulate) scale dy.
// backward_mean: a workgroup of 256 a channel, dmean[i] = or += -scale * sum over j of (dy[i, j] + dy[j, i]) mean[j].
//   Grid: (C, 1, 1), C <= 65,535.

struct Params {
    channels: u32,
    scale: f32,
    epsilon: f32,
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dg: array<f32>;
@group(0) @binding(5) var<storage, read_write> dmean: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn forward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = folded(group, groups, lane);
    let i = at / params.channels;
    let j = at % params.channels;
    if i < params.channels {
        let covariance = params.scale * (g[at] - mean[i] * mean[j]);
        y[at] = covariance + select(0.0, params.epsilon, i == j);
    }
}

@compute @workgroup_size(LANES)
fn backward_gram(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = folded(group, groups, lane);
    if at < params.channels * params.channels {
        let before = select(0.0, dg[at], params.accumulate != 0u);
        dg[at] = before + params.scale * dy[at];
    }
}

@compute @workgroup_size(LANES)
fn backward_mean(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group.x;
    var sum = 0.0;
    for (var j = lane; j < params.channels; j += LANES) {
        sum += (dy[i * params.channels + j] + dy[j * params.channels + i]) * mean[j];
    }
    let total = workgroup_sum(sum, lane);
    if lane == 0u {
        let before = select(0.0, dmean[i], params.accumulate != 0u);
        dmean[i] = before - params.scale * total;
    }
}
