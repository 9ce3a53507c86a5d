// y[o, i, j] = b[o] + Σ_{c, r, s} w[o, c, r, s] · x[c, i·stride + r − pad, j·stride + s − pad], then
// optionally max(·, 0); x beyond its edges is 0, mirrored or repeated, or x from its other edge
// (params.padding_x and _y).
//
// x: C×H×W, w: O×C×K×K, b: O, y: O×OH×OW. This is the baseline: any size, stride and padding,
// anywhere; the fast variants are in conv2d_uniform.wgsl and conv2d_tiled.wgsl.
// forward: one invocation an element of y, y =.
// backward_input: one invocation an element of dx, dx = or += (params.accumulate); with
//   params.outside only the part that reached the pixel through the padding (1 left and right, 2 above and below, 3 all), for
//   variants that compute the rest themselves.
// weight_sums: one invocation a weight and share of `share` pixels, partials[share][o, c, r, s] =; bias_sums: one workgroup a
//   channel and share, partials[share][o] =. conv2d_shares.wgsl adds the shares up.
// `group.z` is always 0: in the end of a loop it keeps lavapipe from compiling the kernel again at every dispatch.

const REFLECT = 1u;
const REPLICATE = 2u;
const WRAP = 3u;

struct Params {
    in_channels: u32,
    height: u32,
    width: u32,
    out_channels: u32,
    out_height: u32,
    out_width: u32,
    kernel: u32,
    stride: u32,
    pad: u32,
    padding_x: u32,
    padding_y: u32,
    relu: u32,
    outside: u32,
    accumulate: u32,
    share: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<Stored>;
@group(0) @binding(4) var<storage, read> dy: array<Stored>;
@group(0) @binding(5) var<storage, read_write> dx: array<Stored>;
@group(0) @binding(6) var<uniform> params: Params;
@group(0) @binding(7) var<storage, read_write> partials: array<f32>;

/// The row (or column) that a padded picture shows at `at`, or −1 for a zero.
fn shown(at: i32, extent: u32, padding: u32) -> i32 {
    let last = i32(extent) - 1;
    if at >= 0 && at <= last {
        return at;
    }
    let repeated = select(-1, clamp(at, 0, last), padding == REPLICATE);
    let mirrored = select(repeated, select(-at, 2 * last - at, at > last), padding == REFLECT);
    return select(mirrored, at + select(-i32(extent), i32(extent), at < 0), padding == WRAP);
}

@compute @workgroup_size(LANES)
fn forward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = folded(group, groups, lane);
    if at >= params.out_channels * params.out_height * params.out_width {
        return;
    }
    let j = at % params.out_width;
    let i = at / params.out_width % params.out_height;
    let o = at / params.out_width / params.out_height;
    let taps = params.kernel * params.kernel;
    let kernel = params.kernel + group.z;
    var sum = bias[o];
    for (var r = 0u; r < kernel; r++) {
        let row = shown(i32(i * params.stride + r) - i32(params.pad), params.height, params.padding_y);
        for (var s = 0u; s < kernel; s++) {
            let column = shown(i32(j * params.stride + s) - i32(params.pad), params.width, params.padding_x);
            if row < 0 || column < 0 {
                continue;
            }
            let pixel = u32(row) * params.width + u32(column);
            let tap = o * params.in_channels * taps + r * params.kernel + s;
            for (var c = 0u; c < params.in_channels + group.z; c++) {
                sum += weight[tap + c * taps] * f32(x[c * params.height * params.width + pixel]);
            }
        }
    }
    y[at] = Stored(select(sum, max(sum, 0.0), params.relu != 0u));
}

/// The n-th place of the padded picture that may show `at`: itself, then the padding before and
/// after the picture, from the edge outwards.
fn place(n: u32, at: u32, extent: u32) -> i32 {
    if n == 0u {
        return i32(at);
    }
    return select(i32(extent) - 1 + i32(n - params.pad), -i32(n), n <= params.pad);
}

/// What the padded place (row, column) adds to the gradient of channel c.
fn gathered(c: u32, row: i32, column: i32, zero: u32) -> f32 {
    let taps = params.kernel * params.kernel;
    let stride = i32(params.stride);
    let kernel = params.kernel + zero;
    var sum = 0.0;
    for (var r = 0u; r < kernel; r++) {
        let i = row + i32(params.pad) - i32(r);
        for (var s = 0u; s < kernel; s++) {
            let j = column + i32(params.pad) - i32(s);
            if i < 0 || j < 0 || i % stride != 0 || j % stride != 0 {
                continue;
            }
            let a = u32(i / stride);
            let b = u32(j / stride);
            if a >= params.out_height || b >= params.out_width {
                continue;
            }
            let tap = c * taps + r * params.kernel + s;
            for (var o = 0u; o < params.out_channels + zero; o++) {
                let upstream = f32(dy[(o * params.out_height + a) * params.out_width + b]);
                sum += weight[tap + o * params.in_channels * taps] * upstream;
            }
        }
    }
    return sum;
}

@compute @workgroup_size(LANES)
fn backward_input(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = folded(group, groups, lane);
    if at >= params.in_channels * params.height * params.width {
        return;
    }
    let column = at % params.width;
    let row = at / params.width % params.height;
    let c = at / params.width / params.height;
    let places = select(2u * params.pad + 1u, 1u, (params.padding_x | params.padding_y) == 0u) + group.z;
    var sum = 0.0;
    var touched = params.outside == 0u;
    for (var m = 0u; m < places; m++) {
        let from_row = place(m, row, params.height);
        for (var n = 0u; n < places; n++) {
            let from_column = place(n, column, params.width);
            let mine = shown(from_row, params.height, params.padding_y) == i32(row)
                && shown(from_column, params.width, params.padding_x) == i32(column);
            let padded = select(0u, 1u, n > 0u) | select(0u, 2u, m > 0u);
            if mine & ((params.outside == 0u) | ((padded & params.outside) != 0u)) {
                sum += gathered(c, from_row, from_column, group.z);
                touched = true;
            }
        }
    }
    // With params.outside most pixels get nothing more.
    if touched {
        let before = select(0.0, f32(dx[at]), params.accumulate != 0u);
        dx[at] = Stored(before + sum);
    }
}

@compute @workgroup_size(LANES)
fn weight_sums(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = folded(group, groups, lane);
    let taps = params.kernel * params.kernel;
    let weights = params.out_channels * params.in_channels * taps;
    let pixels = params.out_height * params.out_width;
    let first = at / weights * params.share;
    if first >= pixels {
        return;
    }
    let s = at % params.kernel;
    let r = at / params.kernel % params.kernel;
    let c = at % weights / taps % params.in_channels;
    let o = at % weights / taps / params.in_channels;
    var sum = 0.0;
    for (var p = first; p < min(first + params.share, pixels); p++) {
        let row = shown(i32(p / params.out_width * params.stride + r) - i32(params.pad), params.height, params.padding_y);
        let column = shown(i32(p % params.out_width * params.stride + s) - i32(params.pad), params.width, params.padding_x);
        if row >= 0 && column >= 0 {
            let pixel = (c * params.height + u32(row)) * params.width + u32(column);
            sum += f32(dy[o * pixels + p]) * f32(x[pixel]);
        }
    }
    partials[at] = sum;
}

@compute @workgroup_size(LANES)
fn bias_sums(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let pixels = params.out_height * params.out_width;
    let first = group.y * params.share;
    var sum = 0.0;
    for (var p = first + lane; p < min(first + params.share, pixels); p += LANES) {
        sum += f32(dy[group.x * pixels + p]);
    }
    let total = workgroup_sum(sum, lane);
    if lane == 0u {
        partials[group.y * groups.x + group.x] = total;
    }
}
