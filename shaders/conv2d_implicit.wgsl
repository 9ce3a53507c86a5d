// A convolution of any kernel, stride and padding, and its gradient to the input, as an implicit matrix product through workgroup
// memory:
//   forward: y[o, p] = act( bias[o] + Σ over c, r, s of w[o, c, r, s] · x[c, i·stride + r − pad, j·stride + s − pad] ), p = (i, j)
//   backward_input: dx[c, q] = [dx[c, q]] + Σ over o, r, s of w[o, c, r, s] · dy[o, (i + pad − r)/stride, (j + pad − s)/stride] where
//     these are whole, q = (i, j); without what came through the padding (conv2d.wgsl adds it).
//
// x: C×H×W, y: O×OH×OW, w: O×C×K×K as it is. x beyond its edges is 0, mirrored or repeated, or x from its other edge (params.padding_x
// and _y).
// One workgroup of 256: 64 channels × 64 pixels of the result, 16 of the sum at a time; one invocation, 4 × 4 results.
// Grid: (tiles of pixels, tiles of channels, rows of tiles where there are more than 32,768).
// forward writes =, backward_input = or += (params.accumulate). Workgroup memory: 8.5 KiB.

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
    accumulate: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<Stored>;
@group(0) @binding(5) var<storage, read> dy: array<Stored>;
@group(0) @binding(6) var<storage, read_write> dx: array<Stored>;

const PITCH = 17u;  // vec4f of a row of 64 numbers and 4 of padding, against bank conflicts

var<workgroup> weights: array<vec4f, 272>;  // [16][17]: four channels of the result
var<workgroup> columns: array<vec4f, 272>;  // [16][17]: four pixels

// The row (or column) that a padded map shows at `at`, or −1 for a zero.
fn shown(at: i32, extent: u32, padding: u32) -> i32 {
    let last = i32(extent) - 1;
    let mirrored = select(abs(at), 2 * last - at, at > last);
    let within = select(clamp(at, 0, last), mirrored, padding == REFLECT);
    let other = select(0, i32(extent), at < 0) - select(0, i32(extent), at > last);
    let beyond = (at < 0) | (at > last);
    return select(select(within, at + other, padding == WRAP), -1, beyond & (padding == 0u));
}

// What the k-th column of the sum has at a pixel of y.
fn input_at(k: u32, pixel: u32) -> f32 {
    let taps = params.kernel * params.kernel;
    let p = min(pixel, params.out_height * params.out_width - 1u);
    let i = shown(i32(p / params.out_width * params.stride + k / params.kernel % params.kernel) - i32(params.pad), params.height, params.padding_y);
    let j = shown(i32(p % params.out_width * params.stride + k % params.kernel) - i32(params.pad), params.width, params.padding_x);
    let c = min(k / taps, params.in_channels - 1u);
    let v = f32(x[(c * params.height + u32(max(i, 0))) * params.width + u32(max(j, 0))]);
    return select(0.0, v, (i >= 0) & (j >= 0));
}

// The same of dy, at a pixel of dx.
fn upstream_at(k: u32, pixel: u32) -> f32 {
    let taps = params.kernel * params.kernel;
    let q = min(pixel, params.height * params.width - 1u);
    let i = i32(q / params.width + params.pad) - i32(k / params.kernel % params.kernel);
    let j = i32(q % params.width + params.pad) - i32(k % params.kernel);
    let a = max(i, 0) / i32(params.stride);
    let b = max(j, 0) / i32(params.stride);
    let whole = (a * i32(params.stride) == i) & (b * i32(params.stride) == j);
    let there = whole & (a < i32(params.out_height)) & (b < i32(params.out_width));
    let o = min(k / taps, params.out_channels - 1u);
    let row = min(u32(a), params.out_height - 1u);
    let v = f32(dy[(o * params.out_height + row) * params.out_width + min(u32(b), params.out_width - 1u)]);
    return select(0.0, v, there);
}

// Weights of four channels of y, 0 beyond the sum.
fn weights_forward(o: u32, k: u32, depth: u32) -> vec4f {
    let at = min(vec4u(o) + vec4u(0u, 1u, 2u, 3u), vec4u(params.out_channels - 1u)) * depth + min(k, depth - 1u);
    return select(vec4f(), vec4f(weight[at.x], weight[at.y], weight[at.z], weight[at.w]), k < depth);
}

// Of four channels of dx.
fn weights_backward(c: u32, k: u32, depth: u32) -> vec4f {
    let taps = params.kernel * params.kernel;
    let channel = min(vec4u(c) + vec4u(0u, 1u, 2u, 3u), vec4u(params.in_channels - 1u));
    let last = min(k, depth - 1u);
    let at = (vec4u(last / taps * params.in_channels) + channel) * taps + last % taps;
    return select(vec4f(), vec4f(weight[at.x], weight[at.y], weight[at.z], weight[at.w]), k < depth);
}

struct Sums { a: vec4f, b: vec4f, c: vec4f, d: vec4f }

// Sixteen of the sum, from workgroup memory.
fn multiplied(sums: Sums, row: u32, column: u32) -> Sums {
    var s = sums;
    for (var k = 0u; k < 16u; k++) {
        let a = weights[k * PITCH + row];
        let b = columns[k * PITCH + column];
        s.a += a.x * b;
        s.b += a.y * b;
        s.c += a.z * b;
        s.d += a.w * b;
    }
    return s;
}

fn store_y(o: u32, p: u32, v: vec4f) {
    let pixels = params.out_height * params.out_width;
    if o < params.out_channels {
        let sum = v + bias[o];
        let s = select(sum, max(sum, vec4f()), params.relu != 0u);
        for (var n = 0u; n < min(pixels - min(p, pixels), 4u); n++) {
            y[o * pixels + p + n] = Stored(select(select(s.x, s.y, n == 1u), select(s.z, s.w, n == 3u), n > 1u));
        }
    }
}

fn store_dx(c: u32, q: u32, s: vec4f) {
    let pixels = params.height * params.width;
    if c < params.in_channels {
        for (var n = 0u; n < min(pixels - min(q, pixels), 4u); n++) {
            let at = c * pixels + q + n;
            let before = select(0.0, f32(dx[at]), params.accumulate != 0u);
            dx[at] = Stored(before + select(select(s.x, s.y, n == 1u), select(s.z, s.w, n == 3u), n > 1u));
        }
    }
}

@compute @workgroup_size(256)
fn forward(
    @builtin(local_invocation_index) thread: u32,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
) {
    let low = thread & 15u;
    let high = thread >> 4u;
    let first = (group.z * groups.x + group.x) * 64u;
    let o = group.y * 64u;
    let depth = params.in_channels * params.kernel * params.kernel;
    var sums = Sums();
    // The last term is 0: it keeps lavapipe from compiling a copy of the kernel for every layer.
    for (var k = 0u; k < depth + (group.y >> 16u); k += 16u) {
        workgroupBarrier();
        weights[low * PITCH + high] = weights_forward(o + high * 4u, k + low, depth);
        let p = first + low * 4u;
        columns[high * PITCH + low] = vec4f(
            input_at(k + high, p), input_at(k + high, p + 1u), input_at(k + high, p + 2u), input_at(k + high, p + 3u),
        );
        workgroupBarrier();
        sums = multiplied(sums, high, low);
    }
    store_y(o + high * 4u, first + low * 4u, sums.a);
    store_y(o + high * 4u + 1u, first + low * 4u, sums.b);
    store_y(o + high * 4u + 2u, first + low * 4u, sums.c);
    store_y(o + high * 4u + 3u, first + low * 4u, sums.d);
}

@compute @workgroup_size(256)
fn backward_input(
    @builtin(local_invocation_index) thread: u32,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
) {
    let low = thread & 15u;
    let high = thread >> 4u;
    let first = (group.z * groups.x + group.x) * 64u;
    let c = group.y * 64u;
    let depth = params.out_channels * params.kernel * params.kernel;
    var sums = Sums();
    for (var k = 0u; k < depth + (group.y >> 16u); k += 16u) {
        workgroupBarrier();
        weights[low * PITCH + high] = weights_backward(c + high * 4u, k + low, depth);
        let q = first + low * 4u;
        columns[high * PITCH + low] = vec4f(
            upstream_at(k + high, q), upstream_at(k + high, q + 1u), upstream_at(k + high, q + 2u), upstream_at(k + high, q + 3u),
        );
        workgroupBarrier();
        sums = multiplied(sums, high, low);
    }
    store_dx(c + high * 4u, first + low * 4u, sums.a);
    store_dx(c + high * 4u + 1u, first + low * 4u, sums.b);
    store_dx(c + high * 4u + 2u, first + low * 4u, sums.c);
    store_dx(c + high * 4u + 3u, first + low * 4u, sums.d);
}
