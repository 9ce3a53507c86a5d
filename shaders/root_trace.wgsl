// The trace of a matrix's square root by the coupled Newton-Schulz iteration, and the derivative of what it computes.
//
//   a = m / n, n = max(|m|, FLOOR), the Frobenius norm;   y, z, d = a, I, I
//   t = (3 I - z y) / 2;   y, z, d <- y t, t z, 3 (t d - d) + 3/2 z - t z
//   y tends to the root of a, z to its inverse, and d is exactly dy/da at every step: all are polynomials in a,
//   commute, and dy'/da = t d + y z (z / 2 - d), where z y = 3 I - 2 t.
//   value = sqrt(n) trace(y);   dm = dvalue / sqrt(n) (d' + a (trace(y) / 2 - trace(d a))), d' the transpose of d
// y t is not t y where rounding has come between y and z: the iteration would lose what it has found.
// The products are product.wgsl's; this is what stands between them.
//
// m, a, z, d, y, dm, next_*: C x C. squared_norm, value, rest, dvalue: a number. partials: one for each workgroup.
// start: a, and z and d after the first step, in which z is still I. advance: td becomes the next d, and next_y,
// which is -y z y / 2, the next y.
// inner: a workgroup of 256 sums a share of trace(d a).
// finish: one workgroup, value and rest = trace(y) / 2 - trace(d a).
// root: the root of m itself. backward: dm = or += (params.accumulate).
// All others: one invocation an element; 256 a workgroup, folded. Write =.

struct Params {
    channels: u32,
    share: u32,
    partials: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> m: array<f32>;
@group(0) @binding(1) var<storage, read> squared_norm: array<f32>;
@group(0) @binding(2) var<storage, read_write> a: array<f32>;
@group(0) @binding(3) var<storage, read_write> z: array<f32>;
@group(0) @binding(4) var<storage, read_write> d: array<f32>;
@group(0) @binding(5) var<storage, read> y: array<f32>;
@group(0) @binding(6) var<storage, read> next_z: array<f32>;
@group(0) @binding(7) var<storage, read_write> td: array<f32>;
@group(0) @binding(8) var<storage, read_write> partials: array<f32>;
@group(0) @binding(9) var<storage, read_write> value: array<f32>;
@group(0) @binding(10) var<storage, read_write> rest: array<f32>;
@group(0) @binding(11) var<storage, read_write> root_of_m: array<f32>;
@group(0) @binding(12) var<storage, read> dvalue: array<f32>;
@group(0) @binding(13) var<storage, read_write> dm: array<f32>;
@group(0) @binding(14) var<storage, read_write> next_y: array<f32>;
@group(0) @binding(15) var<uniform> params: Params;

// A matrix of zeros has a root, too.
const FLOOR = 1e-12;

fn norm() -> f32 {
    return max(sqrt(squared_norm[0]), FLOOR);
}

@compute @workgroup_size(LANES)
fn start(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = folded(group, groups, lane);
    let c = params.channels;
    if at < c * c {
        let value = m[at] / norm();
        let one = select(0.0, 1.0, at / c == at % c);
        a[at] = value;
        z[at] = 1.5 * one - 0.5 * value;
        d[at] = 1.5 * one - value;
    }
}

@compute @workgroup_size(LANES)
fn advance(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = folded(group, groups, lane);
    if at < params.channels * params.channels {
        td[at] = 3.0 * (td[at] - d[at]) + 1.5 * z[at] - next_z[at];
        next_y[at] += 1.5 * y[at];
    }
}

@compute @workgroup_size(LANES)
fn inner(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let c = params.channels;
    let end = min(c * c, (group.x + 1u) * params.share);
    var sum = 0.0;
    for (var i = group.x * params.share + lane; i < end; i += LANES) {
        sum += d[i] * a[i % c * c + i / c];
    }
    let total = workgroup_sum(sum, lane);
    if lane == 0u {
        partials[group.x] = total;
    }
}

@compute @workgroup_size(LANES)
fn finish(@builtin(local_invocation_index) lane: u32) {
    var diagonal = 0.0;
    for (var i = lane; i < params.channels; i += LANES) {
        diagonal += y[i * (params.channels + 1u)];
    }
    var sum = 0.0;
    for (var i = lane; i < params.partials; i += LANES) {
        sum += partials[i];
    }
    let trace = workgroup_sum(diagonal, lane);
    let total = workgroup_sum(sum, lane);
    if lane == 0u {
        value[0] = sqrt(norm()) * trace;
        rest[0] = 0.5 * trace - total;
    }
}

@compute @workgroup_size(LANES)
fn root(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = folded(group, groups, lane);
    if at < params.channels * params.channels {
        root_of_m[at] = sqrt(norm()) * y[at];
    }
}

@compute @workgroup_size(LANES)
fn backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = folded(group, groups, lane);
    let c = params.channels;
    if at < c * c {
        let before = select(0.0, dm[at], params.accumulate != 0u);
        let slope = d[at % c * c + at / c] + a[at] * rest[0];
        dm[at] = before + dvalue[0] / sqrt(norm()) * slope;
    }
}
