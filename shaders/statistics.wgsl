// factor · Σ (x − mean)², a single number: with mean 0 the squared norm, with the mean of x and
// factor 1/(n − 1) the unbiased variance; and factor · Σ x for that mean. Computed once for each
// target, so these have no gradient.
//
// x: count numbers. partials: one for each workgroup.
// sums, squares: a workgroup of 256 sums a contiguous share of the elements, each lane every 256th.
// finish: one workgroup sums the partials and writes y =.

struct Params {
    count: u32,
    share: u32,
    partials: u32,
    factor: f32,
}

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn sums(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let end = min(params.count, (group.x + 1u) * params.share);
    var sum = 0.0;
    for (var i = group.x * params.share + lane; i < end; i += LANES) {
        sum += f32(x[i]);
    }
    let total = workgroup_sum(sum, lane);
    if lane == 0u {
        partials[group.x] = total;
    }
}

@compute @workgroup_size(LANES)
fn squares(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let end = min(params.count, (group.x + 1u) * params.share);
    let centre = mean[0];
    var sum = 0.0;
    for (var i = group.x * params.share + lane; i < end; i += LANES) {
        let deviation = f32(x[i]) - centre;
        sum += deviation * deviation;
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
        y[0] = params.factor * total;
    }
}
