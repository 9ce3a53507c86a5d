// y = factor · Σ (x − goal)² / max(denominator, floor), a single number. With denominator 1 this is
// an absolute error, with the goal's variance or squared norm a relative one.
//
// x, goal: count numbers. partials: one for each workgroup.
// partial_sums: a workgroup of 256 sums a contiguous share of the elements, each lane every 256th.
// finish: one workgroup sums the partials and writes y =.
// backward: one invocation an element, dx = or += (params.accumulate)
//           sign · dy · 2 · factor / max(denominator, floor) · (x − goal);
//           sign −1 gives the goal's gradient.

struct Params {
    count: u32,
    share: u32,
    partials: u32,
    factor: f32,
    floor: f32,
    sign: f32,
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read> goal: array<Stored>;
@group(0) @binding(2) var<storage, read> denominator: array<f32>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<Stored>;
@group(0) @binding(7) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn partial_sums(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let end = min(params.count, (group.x + 1u) * params.share);
    var sum = 0.0;
    for (var i = group.x * params.share + lane; i < end; i += LANES) {
        let error = f32(x[i]) - f32(goal[i]);
        sum += error * error;
    }
    let total = workgroup_sum(sum, lane);
    if lane == 0u {
        partials[group.x] = total;
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
        y[0] = params.factor * total / max(denominator[0], params.floor);
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
        let slope = params.sign * dy[0] * 2.0 * params.factor / max(denominator[0], params.floor);
        let before = select(0.0, f32(dx[i]), params.accumulate != 0u);
        dx[i] = Stored(before + slope * (f32(x[i]) - f32(goal[i])));
    }
}
