// A matrix times a map: convolution 1x1, step 2 of 2 of the Gram matrix's gradient, and, for a batch of matrices, step 2 of 3
// of a Winograd convolution; for adapters that run shaders on the CPU with subgroups of 8 (lavapipe).
//
//   y[b, o, p] = act( [y[b, o, p]] + [bias[o]] + sum over i of m[b, o, i] * x[b, i, p] )
//
// x, y: `Stored`, N a multiple of 4, bindings 16-byte aligned (any N: product_uniform.wgsl). Either planar, C x N and O x N, or
//   a batch in runs of 128 pixels, B x N / 128 x C x 128. The strides in `params` say which.
// m: the packed matrices, one after the other: [block of 32 rows][i / 4][row of 32] -> vec4f of four i, zeros beyond C.
// One invocation: 4 rows x 64 pixels. One workgroup: 32 rows x 64 pixels, a lane for every four rows.
// Grid: (ceil(N / 64), blocks of all matrices, 1), 65,535 each at most.
// gate: of y's shape; where params.mask is set, results count only where it is above 0 (the ReLU of a gradient's place).
// Writes `=`, or `+=` where params.accumulate is set.
// Why: as in conv2d_broadcast.wgsl: no pixel is loaded by more than one lane.
//   The matrix from windows of uniform memory, whose loads cost a third of a storage buffer's, was slower or as fast
//   everywhere: a dispatch costs lavapipe 33 us, and a window of 64 KiB is soon through.
// `id.z` is always 0: it keeps lavapipe from compiling a copy of the kernel for every value of a uniform.

struct Params {
    in_channels: u32,
    out_channels: u32,
    pixels: u32,
    row: u32,           // vec4f from a channel to the next: N / 4, or 32 in runs
    run_in: u32,        // vec4f from a run of 128 pixels to the next one, of x: 32, or 32 C
    run_out: u32,       // of y: 32, or 32 O
    blocks: u32,        // of one matrix: ceil(O / 32)
    accumulate: u32,    // 1: add to what y holds
    add_bias: u32,
    relu: u32,
    mask: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored4>;
@group(0) @binding(2) var<storage, read> m: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<Stored4>;
@group(0) @binding(5) var<storage, read> gate: array<Stored4>;

// Four rows' sums at four pixels: a component a row.
struct Quad { a: vec4f, b: vec4f, c: vec4f, d: vec4f }
// Thirty-two pixels, a quad for every lane that loaded it.
struct Half { a: Quad, b: Quad, c: Quad, d: Quad, e: Quad, f: Quad, g: Quad, h: Quad }

// A lane's vec4f of a channel; beyond the last channel the matrix is 0, beyond the last pixel nothing is stored.
fn load(start: u32, channel: u32, quad: u32, last: u32) -> vec4f {
    return vec4f(x[start + min(channel, params.in_channels - 1u) * params.row + min(quad, last)]);
}

// Four channels' weights of four rows, turned: a row of each channel.
fn turned(a: vec4f, b: vec4f, c: vec4f, d: vec4f) -> Quad {
    return Quad(vec4f(a.x, b.x, c.x, d.x), vec4f(a.y, b.y, c.y, d.y), vec4f(a.z, b.z, c.z, d.z), vec4f(a.w, b.w, c.w, d.w));
}

fn sums(q: Quad, w: Quad, u: vec4f, v: vec4f, s: vec4f, t: vec4f) -> Quad {
    return Quad(
        q.a + w.a * u.x + w.b * v.x + w.c * s.x + w.d * t.x,
        q.b + w.a * u.y + w.b * v.y + w.c * s.y + w.d * t.y,
        q.c + w.a * u.z + w.b * v.z + w.c * s.z + w.d * t.z,
        q.d + w.a * u.w + w.b * v.w + w.c * s.w + w.d * t.w,
    );
}

fn half_sums(h: Half, w: Quad, u: vec4f, v: vec4f, s: vec4f, t: vec4f) -> Half {
    return Half(
        sums(h.a, w, subgroupBroadcast(u, 0u), subgroupBroadcast(v, 0u), subgroupBroadcast(s, 0u), subgroupBroadcast(t, 0u)),
        sums(h.b, w, subgroupBroadcast(u, 1u), subgroupBroadcast(v, 1u), subgroupBroadcast(s, 1u), subgroupBroadcast(t, 1u)),
        sums(h.c, w, subgroupBroadcast(u, 2u), subgroupBroadcast(v, 2u), subgroupBroadcast(s, 2u), subgroupBroadcast(t, 2u)),
        sums(h.d, w, subgroupBroadcast(u, 3u), subgroupBroadcast(v, 3u), subgroupBroadcast(s, 3u), subgroupBroadcast(t, 3u)),
        sums(h.e, w, subgroupBroadcast(u, 4u), subgroupBroadcast(v, 4u), subgroupBroadcast(s, 4u), subgroupBroadcast(t, 4u)),
        sums(h.f, w, subgroupBroadcast(u, 5u), subgroupBroadcast(v, 5u), subgroupBroadcast(s, 5u), subgroupBroadcast(t, 5u)),
        sums(h.g, w, subgroupBroadcast(u, 6u), subgroupBroadcast(v, 6u), subgroupBroadcast(s, 6u), subgroupBroadcast(t, 6u)),
        sums(h.h, w, subgroupBroadcast(u, 7u), subgroupBroadcast(v, 7u), subgroupBroadcast(s, 7u), subgroupBroadcast(t, 7u)),
    );
}

// Where a row's results go.
struct Target { at: u32, last: u32, quad: u32, live: bool, steer: u32, bias: f32 }

fn store_quad(to: Target, offset: u32, sum: vec4f) {
    if to.live & (to.quad + offset <= to.last) {
        var v = sum + to.bias;
        if params.accumulate + to.steer != 0u {
            v += vec4f(y[to.at + offset]);
        }
        if params.mask + to.steer != 0u {
            v = select(vec4f(), v, vec4f(gate[to.at + offset]) > vec4f());
        }
        y[to.at + offset] = Stored4(select(v, max(v, vec4f()), params.relu != 0u));
    }
}

fn store_row_x(to: Target, h: Half) {
    store_quad(to, 0u, vec4f(h.a.a.x, h.a.b.x, h.a.c.x, h.a.d.x));
    store_quad(to, 1u, vec4f(h.b.a.x, h.b.b.x, h.b.c.x, h.b.d.x));
    store_quad(to, 2u, vec4f(h.c.a.x, h.c.b.x, h.c.c.x, h.c.d.x));
    store_quad(to, 3u, vec4f(h.d.a.x, h.d.b.x, h.d.c.x, h.d.d.x));
    store_quad(to, 4u, vec4f(h.e.a.x, h.e.b.x, h.e.c.x, h.e.d.x));
    store_quad(to, 5u, vec4f(h.f.a.x, h.f.b.x, h.f.c.x, h.f.d.x));
    store_quad(to, 6u, vec4f(h.g.a.x, h.g.b.x, h.g.c.x, h.g.d.x));
    store_quad(to, 7u, vec4f(h.h.a.x, h.h.b.x, h.h.c.x, h.h.d.x));
}

fn store_row_y(to: Target, h: Half) {
    store_quad(to, 0u, vec4f(h.a.a.y, h.a.b.y, h.a.c.y, h.a.d.y));
    store_quad(to, 1u, vec4f(h.b.a.y, h.b.b.y, h.b.c.y, h.b.d.y));
    store_quad(to, 2u, vec4f(h.c.a.y, h.c.b.y, h.c.c.y, h.c.d.y));
    store_quad(to, 3u, vec4f(h.d.a.y, h.d.b.y, h.d.c.y, h.d.d.y));
    store_quad(to, 4u, vec4f(h.e.a.y, h.e.b.y, h.e.c.y, h.e.d.y));
    store_quad(to, 5u, vec4f(h.f.a.y, h.f.b.y, h.f.c.y, h.f.d.y));
    store_quad(to, 6u, vec4f(h.g.a.y, h.g.b.y, h.g.c.y, h.g.d.y));
    store_quad(to, 7u, vec4f(h.h.a.y, h.h.b.y, h.h.c.y, h.h.d.y));
}

fn store_row_z(to: Target, h: Half) {
    store_quad(to, 0u, vec4f(h.a.a.z, h.a.b.z, h.a.c.z, h.a.d.z));
    store_quad(to, 1u, vec4f(h.b.a.z, h.b.b.z, h.b.c.z, h.b.d.z));
    store_quad(to, 2u, vec4f(h.c.a.z, h.c.b.z, h.c.c.z, h.c.d.z));
    store_quad(to, 3u, vec4f(h.d.a.z, h.d.b.z, h.d.c.z, h.d.d.z));
    store_quad(to, 4u, vec4f(h.e.a.z, h.e.b.z, h.e.c.z, h.e.d.z));
    store_quad(to, 5u, vec4f(h.f.a.z, h.f.b.z, h.f.c.z, h.f.d.z));
    store_quad(to, 6u, vec4f(h.g.a.z, h.g.b.z, h.g.c.z, h.g.d.z));
    store_quad(to, 7u, vec4f(h.h.a.z, h.h.b.z, h.h.c.z, h.h.d.z));
}

fn store_row_w(to: Target, h: Half) {
    store_quad(to, 0u, vec4f(h.a.a.w, h.a.b.w, h.a.c.w, h.a.d.w));
    store_quad(to, 1u, vec4f(h.b.a.w, h.b.b.w, h.b.c.w, h.b.d.w));
    store_quad(to, 2u, vec4f(h.c.a.w, h.c.b.w, h.c.c.w, h.c.d.w));
    store_quad(to, 3u, vec4f(h.d.a.w, h.d.b.w, h.d.c.w, h.d.d.w));
    store_quad(to, 4u, vec4f(h.e.a.w, h.e.b.w, h.e.c.w, h.e.d.w));
    store_quad(to, 5u, vec4f(h.f.a.w, h.f.b.w, h.f.c.w, h.f.d.w));
    store_quad(to, 6u, vec4f(h.g.a.w, h.g.b.w, h.g.c.w, h.g.d.w));
    store_quad(to, 7u, vec4f(h.h.a.w, h.h.b.w, h.h.c.w, h.h.d.w));
}

fn target_of(at: u32, last: u32, quad: u32, channel: u32, steer: u32) -> Target {
    var b = 0.0;
    if params.add_bias + steer != 0u {
        b = bias[min(channel, params.out_channels - 1u)];
    }
    return Target(at + channel * params.row, last, quad, channel < params.out_channels, steer, b);
}

fn store_half(at: u32, last: u32, quad: u32, channel: u32, steer: u32, h: Half) {
    store_row_x(target_of(at, last, quad, channel, steer), h);
    store_row_y(target_of(at, last, quad, channel + 1u, steer), h);
    store_row_z(target_of(at, last, quad, channel + 2u, steer), h);
    store_row_w(target_of(at, last, quad, channel + 3u, steer), h);
}

@compute @workgroup_size(8)
fn multiply(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(global_invocation_id) id: vec3u) {
    let run = group.x / 2u;
    let quad = group.x % 2u * 16u;
    let last = params.pixels / 4u - run * 32u - 1u;
    let batch = group.y / params.blocks;
    let batch_pixels = batch * params.pixels / 4u;
    let start = batch_pixels * params.in_channels + run * params.run_in;
    let steps = (params.in_channels + 3u) / 4u + id.z;
    var left = Half();
    var right = Half();
    var at = group.y * steps * 32u + lane * 4u;
    for (var step = 0u; step < steps; step++) {
        let i = step * 4u;
        let w = turned(m[at], m[at + 1u], m[at + 2u], m[at + 3u]);
        left = half_sums(left, w, load(start, i, quad + lane, last), load(start, i + 1u, quad + lane, last),
            load(start, i + 2u, quad + lane, last), load(start, i + 3u, quad + lane, last));
        right = half_sums(right, w, load(start, i, quad + 8u + lane, last), load(start, i + 1u, quad + 8u + lane, last),
            load(start, i + 2u, quad + 8u + lane, last), load(start, i + 3u, quad + 8u + lane, last));
        at += 32u;
    }
    let to = batch_pixels * params.out_channels + run * params.run_out + quad;
    let channel = group.y % params.blocks * 32u + lane * 4u;
    store_half(to, last, quad, channel, id.z, left);
    store_half(to + 8u, last, quad + 8u, channel, id.z, right);
}
