// A matrix times a map: convolution 1x1, step 2 of 2 of the Gram matrix's gradient, and, for a batch of matrices, step 2 of 3
// of a Winograd convolution; for adapters that run shaders on the CPU (lavapipe).
//
//   y[b, o, p] = act( [y[b, o, p]] + [bias[o]] + sum over i of m[b, o, i] * x[b, i, p] )
//
// x, y: `Stored`, planar, C x N and O x N, or a batch in runs of 128 pixels, B x N / 128 x C x 128: a workgroup reads and writes
//   one after the other, which is half as fast again where rows are long. The strides in `params` say which.
//   `x` and `x4` are the same buffer. multiply_aligned, with ALIGNED: N is a multiple of 4 and the bindings 16-byte
//   aligned; multiply, without: any N >= 1, at about half the speed.
// m: a window of 64 KiB of the packed matrix, from the block of 32 rows where this dispatch starts (offset 128 * P bytes a
//   block, P = ceil(C / 4) * 4: always a multiple of 256): [block of 32 rows][i / 4][row of 32] -> vec4f of four i, zeros beyond C. C <= 512.
// One invocation: 16 pixels x 32 channels. One workgroup: 8 neighbouring runs of 16 pixels (one lane each).
// Grid: (ceil(N / 128), blocks, 1) with at most floor(512 / P) blocks a dispatch; N <= 8.3 million.
// Writes `=`, or `+=` where params.accumulate is set.
// `id.z` is always 0: it keeps lavapipe from compiling a copy of the kernel for every value of a uniform.

struct Params {
    in_channels: u32,
    out_channels: u32,
    pixels: u32,
    row: u32,           // numbers from a channel to the next: N, or 128 in runs
    run_in: u32,        // numbers from a workgroup's pixels to the next one's, of x: 128, or 128 C
    run_out: u32,       // of y: 128, or 128 O
    first: u32,         // block of 32 rows of the window's first, counted through all matrices
    blocks: u32,        // of one matrix: ceil(O / 32)
    accumulate: u32,    // 1: add to what y holds
    add_bias: u32,
    relu: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> x4: array<Stored4>;
@group(0) @binding(3) var<uniform> m: array<vec4f, 4096>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<Stored>;
@group(0) @binding(6) var<storage, read_write> y4: array<Stored4>;

override ALIGNED: bool = true;

// Sixteen pixels of a channel; of four rows; of thirty-two.
struct Run { a: vec4f, b: vec4f, c: vec4f, d: vec4f }
struct Rows { a: Run, b: Run, c: Run, d: Run }
struct Block { a: Rows, b: Rows, c: Rows, d: Rows, e: Rows, f: Rows, g: Rows, h: Rows }

// Four pixels from `pixel` of a workgroup's run that has `left` until the map ends; `row`: where the run starts.
fn load_quad(row: u32, pixel: u32, left: u32) -> vec4f {
    if ALIGNED {
        return vec4f(x4[(row + min(pixel, left - 4u)) / 4u]);
    }
    let p = row + min(vec4u(pixel) + vec4u(0u, 1u, 2u, 3u), vec4u(left - 1u));
    return vec4f(f32(x[p.x]), f32(x[p.y]), f32(x[p.z]), f32(x[p.w]));
}

fn load(start: u32, channel: u32, pixel: u32, left: u32) -> Run {
    let row = start + min(channel, params.in_channels - 1u) * params.row;
    return Run(
        load_quad(row, pixel, left), load_quad(row, pixel + 4u, left),
        load_quad(row, pixel + 8u, left), load_quad(row, pixel + 12u, left),
    );
}

fn product(r: Run, at: u32, u: Run, v: Run, w: Run, t: Run) -> Run {
    let k = m[at];
    return Run(
        r.a + k.x * u.a + k.y * v.a + k.z * w.a + k.w * t.a,
        r.b + k.x * u.b + k.y * v.b + k.z * w.b + k.w * t.b,
        r.c + k.x * u.c + k.y * v.c + k.z * w.c + k.w * t.c,
        r.d + k.x * u.d + k.y * v.d + k.z * w.d + k.w * t.d,
    );
}

fn products(r: Rows, at: u32, u: Run, v: Run, w: Run, t: Run) -> Rows {
    return Rows(
        product(r.a, at, u, v, w, t), product(r.b, at + 1u, u, v, w, t),
        product(r.c, at + 2u, u, v, w, t), product(r.d, at + 3u, u, v, w, t),
    );
}

fn sums(id: vec3u) -> Block {
    let run = id.x / 8u;
    let pixel = id.x % 8u * 16u;
    let left = params.pixels - run * 128u;
    let batch = (params.first + id.y) / params.blocks;
    let start = batch * params.pixels * params.in_channels + run * params.run_in;
    let steps = (params.in_channels + 3u) / 4u + id.z;
    var s = Block();
    var at = id.y * steps * 32u;
    for (var step = 0u; step < steps; step++) {
        let u = load(start, step * 4u, pixel, left);
        let v = load(start, step * 4u + 1u, pixel, left);
        let w = load(start, step * 4u + 2u, pixel, left);
        let t = load(start, step * 4u + 3u, pixel, left);
        s.a = products(s.a, at, u, v, w, t);
        s.b = products(s.b, at + 4u, u, v, w, t);
        s.c = products(s.c, at + 8u, u, v, w, t);
        s.d = products(s.d, at + 12u, u, v, w, t);
        s.e = products(s.e, at + 16u, u, v, w, t);
        s.f = products(s.f, at + 20u, u, v, w, t);
        s.g = products(s.g, at + 24u, u, v, w, t);
        s.h = products(s.h, at + 28u, u, v, w, t);
        at += 32u;
    }
    return s;
}

// Where an invocation's results go; `left`: pixels from its first to the map's last.
struct Target { at: u32, channel: u32, left: i32, accumulate: bool, add_bias: bool }

fn target_of(id: vec3u) -> Target {
    let run = id.x / 8u;
    let pixel = id.x % 8u * 16u;
    let batch = (params.first + id.y) / params.blocks;
    let at = batch * params.pixels * params.out_channels + run * params.run_out + pixel;
    let channel = (params.first + id.y) % params.blocks * 32u;
    let left = i32(params.pixels) - i32(run * 128u + pixel);
    return Target(at, channel, left, params.accumulate + id.z != 0u, params.add_bias + id.z != 0u);
}

// Pixels to be stored of a row.
fn left_of(to: Target, row: u32) -> i32 {
    return select(0, to.left, to.channel + row < params.out_channels);
}

fn bias_of(to: Target, row: u32) -> f32 {
    return select(0.0, bias[select(0u, to.channel + row, (left_of(to, row) > 0) & to.add_bias)], to.add_bias);
}

fn store_quad_aligned(at: u32, live: bool, accumulate: bool, sum: vec4f) {
    if live {
        var v = sum;
        if accumulate {
            v += vec4f(y4[at]);
        }
        y4[at] = Stored4(select(v, max(v, vec4f()), params.relu != 0u));
    }
}

fn store_row_aligned(to: Target, row: u32, r: Run) {
    let at = (to.at + (to.channel + row) * params.row) / 4u;
    let left = left_of(to, row);
    let b = bias_of(to, row);
    store_quad_aligned(at, left > 0, to.accumulate, r.a + b);
    store_quad_aligned(at + 1u, left > 4, to.accumulate, r.b + b);
    store_quad_aligned(at + 2u, left > 8, to.accumulate, r.c + b);
    store_quad_aligned(at + 3u, left > 12, to.accumulate, r.d + b);
}

fn store_rows_aligned(to: Target, row: u32, r: Rows) {
    store_row_aligned(to, row, r.a);
    store_row_aligned(to, row + 1u, r.b);
    store_row_aligned(to, row + 2u, r.c);
    store_row_aligned(to, row + 3u, r.d);
}

fn store_number(at: u32, live: bool, accumulate: bool, sum: f32) {
    if live {
        var v = sum;
        if accumulate {
            v += f32(y[at]);
        }
        y[at] = Stored(select(v, max(v, 0.0), params.relu != 0u));
    }
}

fn store_quad(at: u32, left: i32, accumulate: bool, v: vec4f) {
    store_number(at, left > 0, accumulate, v.x);
    store_number(at + 1u, left > 1, accumulate, v.y);
    store_number(at + 2u, left > 2, accumulate, v.z);
    store_number(at + 3u, left > 3, accumulate, v.w);
}

fn store_row(to: Target, row: u32, r: Run) {
    let at = to.at + (to.channel + row) * params.row;
    let left = left_of(to, row);
    let b = bias_of(to, row);
    store_quad(at, left, to.accumulate, r.a + b);
    store_quad(at + 4u, left - 4, to.accumulate, r.b + b);
    store_quad(at + 8u, left - 8, to.accumulate, r.c + b);
    store_quad(at + 12u, left - 12, to.accumulate, r.d + b);
}

fn store_rows(to: Target, row: u32, r: Rows) {
    store_row(to, row, r.a);
    store_row(to, row + 1u, r.b);
    store_row(to, row + 2u, r.c);
    store_row(to, row + 3u, r.d);
}

@compute @workgroup_size(8)
fn multiply_aligned(@builtin(global_invocation_id) id: vec3u) {
    let s = sums(id);
    let to = target_of(id);
    store_rows_aligned(to, 0u, s.a);
    store_rows_aligned(to, 4u, s.b);
    store_rows_aligned(to, 8u, s.c);
    store_rows_aligned(to, 12u, s.d);
    store_rows_aligned(to, 16u, s.e);
    store_rows_aligned(to, 20u, s.f);
    store_rows_aligned(to, 24u, s.g);
    store_rows_aligned(to, 28u, s.h);
}

@compute @workgroup_size(8)
fn multiply(@builtin(global_invocation_id) id: vec3u) {
    let s = sums(id);
    let to = target_of(id);
    store_rows(to, 0u, s.a);
    store_rows(to, 4u, s.b);
    store_rows(to, 8u, s.c);
    store_rows(to, 12u, s.d);
    store_rows(to, 16u, s.e);
    store_rows(to, 20u, s.f);
    store_rows(to, 24u, s.g);
    store_rows(to, 28u, s.h);
}
