// The gradient of a convolution to its weights, dw[o, c, r, s] = Σ over i, j of dy[o, i, j] · x[c, i·stride + r − pad, j·stride + s − pad],
// as an implicit matrix product through workgroup memory; x beyond its edges is 0, mirrored or repeated, or x from its other edge (params.padding_x
// and _y).
//
// x: C×H×W, dy: O×OH×OW, of any size, stride and padding. partials: [share][o, c, r, s], f32 as all sums are.
//   conv2d_shares.wgsl adds the shares up.
// partial_products: one workgroup of 256, 64 channels o × 64 of the C·K·K columns (c, r, s), over `share` pixels, 16 at a time; one
//   invocation, 4 × 4 weights. Grid: (shares, tiles of o, tiles of columns). Writes =.
// No atomics: the order of the sums is fixed. Workgroup memory: 8.5 KiB.

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
    share: u32,     // pixels, a multiple of 16
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> dy: array<Stored>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

const PITCH = 17u;  // vec4f of one pixel's row: 64 numbers and 4 of padding, against bank conflicts

var<workgroup> upstream: array<vec4f, 272>;
var<workgroup> columns: array<vec4f, 272>;

// The row (or column) that a padded map shows at `at`, or −1 for a zero. Without `&&` and branches: see common.wgsl.
fn shown(at: i32, extent: u32, padding: u32) -> i32 {
    let last = i32(extent) - 1;
    let mirrored = select(abs(at), 2 * last - at, at > last);
    let within = select(clamp(at, 0, last), mirrored, padding == REFLECT);
    let other = select(0, i32(extent), at < 0) - select(0, i32(extent), at > last);
    let beyond = (at < 0) | (at > last);
    return select(select(within, at + other, padding == WRAP), -1, beyond & (padding == 0u));
}

// A column of the product at an output's pixel.
fn column_at(column: u32, row: u32, place: u32, live: bool) -> f32 {
    let taps = params.kernel * params.kernel;
    let c = min(column / taps, params.in_channels - 1u);
    let r = column / params.kernel % params.kernel;
    let s = column % params.kernel;
    let i = shown(i32(row * params.stride + r) - i32(params.pad), params.height, params.padding_y);
    let j = shown(i32(place * params.stride + s) - i32(params.pad), params.width, params.padding_x);
    let there = live & (i >= 0) & (j >= 0);
    return select(0.0, f32(x[(c * params.height + u32(max(i, 0))) * params.width + u32(max(j, 0))]), there);
}

fn fetch_columns(first: u32, pixel: u32, end: u32) -> vec4f {
    let p = min(pixel, params.out_height * params.out_width - 1u);
    let row = p / params.out_width;
    let place = p % params.out_width;
    let live = pixel < end;
    return vec4f(
        column_at(first, row, place, live), column_at(first + 1u, row, place, live),
        column_at(first + 2u, row, place, live), column_at(first + 3u, row, place, live),
    );
}

fn fetch_upstream(first: u32, pixel: u32, end: u32) -> vec4f {
    let pixels = params.out_height * params.out_width;
    let at = min(vec4u(first) + vec4u(0u, 1u, 2u, 3u), vec4u(params.out_channels - 1u)) * pixels + min(pixel, pixels - 1u);
    let v = vec4f(f32(dy[at.x]), f32(dy[at.y]), f32(dy[at.z]), f32(dy[at.w]));
    return select(vec4f(), v, pixel < end);
}

fn store(share: u32, o: u32, column: u32, v: vec4f) {
    let all = params.in_channels * params.kernel * params.kernel;
    if o < params.out_channels {
        let at = (share * params.out_channels + o) * all + column;
        if column < all {
            partials[at] = v.x;
        }
        if column + 1u < all {
            partials[at + 1u] = v.y;
        }
        if column + 2u < all {
            partials[at + 2u] = v.z;
        }
        if column + 3u < all {
            partials[at + 3u] = v.w;
        }
    }
}

@compute @workgroup_size(256)
fn partial_products(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u) {
    let p = thread & 15u;   // neighbours fetch neighbouring pixels
    let quad = thread >> 4u;
    let row = thread >> 4u;
    let column = thread & 15u;
    let start = group.x * params.share;
    let end = min(start + params.share, params.out_height * params.out_width);
    let o = group.y * 64u;
    let first = group.z * 64u;

    var s0 = vec4f();
    var s1 = vec4f();
    var s2 = vec4f();
    var s3 = vec4f();
    var next_upstream = fetch_upstream(o + quad * 4u, start + p, end);
    var next_columns = fetch_columns(first + quad * 4u, start + p, end);
    for (var at = start; at < end; at += 16u) {
        workgroupBarrier();
        upstream[p * PITCH + quad] = next_upstream;
        columns[p * PITCH + quad] = next_columns;
        workgroupBarrier();
        next_upstream = fetch_upstream(o + quad * 4u, at + 16u + p, end);
        next_columns = fetch_columns(first + quad * 4u, at + 16u + p, end);
        for (var k = 0u; k < 16u; k++) {
            let a = upstream[k * PITCH + row];
            let b = columns[k * PITCH + column];
            s0 += a.x * b;
            s1 += a.y * b;
            s2 += a.z * b;
            s3 += a.w * b;
        }
    }
    store(group.x, o + row * 4u, first + column * 4u, s0);
    store(group.x, o + row * 4u + 1u, first + column * 4u, s1);
    store(group.x, o + row * 4u + 2u, first + column * 4u, s2);
    store(group.x, o + row * 4u + 3u, first + column * 4u, s3);
}
