// y = factor · Σ over n of weight[n] · (1 − x[·, n]·goal[·, n] / (‖x[·, n]‖·‖goal[·, n]‖)), a single number. Where one of both
// is shorter than `floor`, which has no direction, the distance is 1 and has no gradient.
//
// x, goal: C×N. weight: N. about: 2×N, for every place 1/(‖x‖·‖goal‖) and cosine/‖x‖², or zeros. partials: one for each workgroup.
// measure: one invocation a place, about =, partials =.
// finish: one workgroup sums the partials, y =.
// backward: one invocation an element, dx = or += (params.accumulate) dy · factor · weight ·
//   (about[1] · x − about[0] · goal).

struct Params {
    count: u32,
    channels: u32,
    places: u32,
    partials: u32,
    factor: f32,
    floor: f32,
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> goal: array<f32>;
@group(0) @binding(2) var<storage, read_write> about: array<f32>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;
@group(0) @binding(7) var<storage, read> weight: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn measure(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = folded(group, groups, lane);
    let place = min(n, params.places - 1u);
    var both = 0.0;
    var own = 0.0;
    var other = 0.0;
    // The last term is 0: it keeps lavapipe from compiling a copy of the kernel for every C.
    for (var c = 0u; c < params.channels + group.z; c++) {
        let a = x[c * params.places + place];
        let b = goal[c * params.places + place];
        both += a * b;
        own += a * a;
        other += b * b;
    }
    let live = min(own, other) >= params.floor * params.floor;
    let inverse = select(0.0, 1.0 / (sqrt(max(own, 1e-30)) * sqrt(max(other, 1e-30))), live);
    let cosine = both * inverse;
    if n < params.places {
        about[n] = inverse;
        about[params.places + n] = select(0.0, cosine / max(own, 1e-30), live);
    }
    let total = workgroup_sum(select(0.0, weight[place] * (1.0 - cosine), n < params.places), lane);
    let at = group.y * groups.x + group.x;
    if (lane == 0u) & (at < params.partials) {
        partials[at] = total;
    }
}

@compute @workgroup_size(LANES)
fn finish(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < params.partials; i += LANES) {
        sum += partials[i];
    }
    let total = workgroup_sum(sum, lane);
    if lane == 0u {
        y[0] = params.factor * total;
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
        let n = i % params.places;
        let slope = about[params.places + n] * x[i] - about[n] * goal[i];
        let before = select(0.0, dx[i], params.accumulate != 0u);
        dx[i] = before + dy[0] * params.factor * weight[n] * slope;
    }
}
