// Standard deviations from raw moments: y[i] = sqrt(max(g[i, i] - mean[i]^2, 0) + epsilon).
//
// g, dg: C x C, of which only the diagonal counts. mean, dmean, y, dy: C.
// Rounding may leave less than nothing of a variance; what is cut off has no gradient.
// forward: one invocation a channel, y =.
// backward_gram: one invocation an element, dg[i, i] = or += (params.accumulate) dy[i] / (2 y[i]), and 0 elsewhere.
// backward_mean: one invocation a channel, dmean[i] = or += -dy[i] mean[i] / y[i].

struct Params {
    channels: u32,
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

fn variance(i: u32) -> f32 {
    return g[i * params.channels + i] - mean[i] * mean[i];
}

/// dy[i] / y[i].
fn slope(i: u32) -> f32 {
    let v = variance(i);
    return select(0.0, dy[i] * inverseSqrt(max(v, 0.0) + params.epsilon), v > 0.0);
}

@compute @workgroup_size(LANES)
fn forward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i < params.channels {
        y[i] = sqrt(max(variance(i), 0.0) + params.epsilon);
    }
}

@compute @workgroup_size(LANES)
fn backward_gram(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = folded(group, groups, lane);
    let i = at / params.channels;
    if i < params.channels {
        let before = select(0.0, dg[at], params.accumulate != 0u);
        dg[at] = before + select(0.0, 0.5 * slope(i), at % params.channels == i);
    }
}

@compute @workgroup_size(LANES)
fn backward_mean(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i < params.channels {
        let before = select(0.0, dmean[i], params.accumulate != 0u);
        dmean[i] = before - slope(i) * mean[i];
    }
}
