// conv2d 3x3, stride 1, padding 1, for adapters that run shaders on the CPU with subgroups of 8 (lavapipe).
//
//   y[o, r, c] = act( [y[o, r, c]] + [bias[o]] + sum over i, ky, kx of w[o, i, ky, kx] * x[i, r+ky-1, c+kx-1] )
//
// x, y: planar C x H x W, `Stored`, rows without padding. convolve_aligned: W is a multiple of 4 and y 16-byte aligned;
//   convolve: any W.
// weight: packed, [block of 32 output channels][input channel][tap of 9][lane] -> the lane's four output channels.
// One invocation: four output channels x a tile of 8 x 8 pixels. One workgroup: 32 output channels x the tile, one lane
//   for every four channels. Grid: (ceil(W / 8), ceil(H / 8), blocks).
// gate: of y's shape; where params.mask is set, results count only where it is above 0 (the ReLU of a gradient's place).
// Writes `=`, or `+=` where params.accumulate is set.
// Why: lavapipe loads from storage buffers in a loop over the lanes, about 20 cycles each, so no number is loaded by more
//   than one lane: every lane brings 13 of the tile's 10 x 10 pixels, and broadcasts, a permutation each, hand them to
//   all.
// `zero` is always 0: added to a uniform that steers control flow, it keeps lavapipe from compiling a
//   copy of the kernel for every value of that uniform (its uniform inlining, one compilation a dispatch).

struct Params {
    width: i32,
    height: i32,
    out_channels: u32,  // channels of y
    in_channels: u32,   // of x
    padding_x: u32,     // 0 zeros, 1 reflect (W >= 2), 2 replicate, 3 from the other edge
    padding_y: u32,
    accumulate: u32,    // 1: add to what y holds
    add_bias: u32,
    relu: u32,
    mask: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<Stored>;
@group(0) @binding(5) var<storage, read_write> y4: array<Stored4>;
@group(0) @binding(6) var<storage, read> gate: array<Stored>;
@group(0) @binding(7) var<storage, read> gate4: array<Stored4>;

// Ten pixels of a row of the window.
struct Row { a: vec4f, b: vec4f, c: vec2f }
// Four channels' weights.
struct Taps { a: vec4f, b: vec4f, c: vec4f, d: vec4f, e: vec4f, f: vec4f, g: vec4f, h: vec4f, i: vec4f }
// Four channels' sums at eight pixels of a row.
struct Line { a: vec4f, b: vec4f, c: vec4f, d: vec4f, e: vec4f, f: vec4f, g: vec4f, h: vec4f }
struct Tile { a: Line, b: Line, c: Line, d: Line, e: Line, f: Line, g: Line, h: Line }

// Where the window's pixel (row, column) lies in a channel, or -1 where it is 0.
fn place(corner: vec2i, row: u32, column: u32) -> i32 {
    let r = corner.y - 1 + i32(row);
    let c = corner.x - 1 + i32(column);
    let at = source(r, params.height, params.padding_y) * params.width + source(c, params.width, params.padding_x);
    return select(at, -1, outside(r, params.height, params.padding_y) | outside(c, params.width, params.padding_x));
}

fn load(base: i32, at: i32) -> f32 {
    return select(f32(x[base + max(at, 0)]), 0.0, at < 0);
}

// A row of the window from the lanes' first eight pixels and two others.
fn row_of(v: f32, c: vec2f) -> Row {
    return Row(
        vec4f(subgroupBroadcast(v, 0u), subgroupBroadcast(v, 1u), subgroupBroadcast(v, 2u), subgroupBroadcast(v, 3u)),
        vec4f(subgroupBroadcast(v, 4u), subgroupBroadcast(v, 5u), subgroupBroadcast(v, 6u), subgroupBroadcast(v, 7u)),
        c,
    );
}

fn pixel(sum: vec4f, p: vec3f, q: vec3f, r: vec3f, w: Taps) -> vec4f {
    return sum + w.a * p.x + w.b * p.y + w.c * p.z + w.d * q.x + w.e * q.y + w.f * q.z + w.g * r.x + w.h * r.y + w.i * r.z;
}

fn line(t: Line, p: Row, q: Row, r: Row, w: Taps) -> Line {
    return Line(
        pixel(t.a, p.a.xyz, q.a.xyz, r.a.xyz, w),
        pixel(t.b, p.a.yzw, q.a.yzw, r.a.yzw, w),
        pixel(t.c, vec3f(p.a.zw, p.b.x), vec3f(q.a.zw, q.b.x), vec3f(r.a.zw, r.b.x), w),
        pixel(t.d, vec3f(p.a.w, p.b.xy), vec3f(q.a.w, q.b.xy), vec3f(r.a.w, r.b.xy), w),
        pixel(t.e, p.b.xyz, q.b.xyz, r.b.xyz, w),
        pixel(t.f, p.b.yzw, q.b.yzw, r.b.yzw, w),
        pixel(t.g, vec3f(p.b.zw, p.c.x), vec3f(q.b.zw, q.c.x), vec3f(r.b.zw, r.c.x), w),
        pixel(t.h, vec3f(p.b.w, p.c), vec3f(q.b.w, q.c), vec3f(r.b.w, r.c), w),
    );
}

fn sums(group: vec3u, lane: u32, zero: u32) -> Tile {
    let corner = vec2i(group.xy) * 8;
    let at0 = place(corner, 0u, lane);
    let at1 = place(corner, 1u, lane);
    let at2 = place(corner, 2u, lane);
    let at3 = place(corner, 3u, lane);
    let at4 = place(corner, 4u, lane);
    let at5 = place(corner, 5u, lane);
    let at6 = place(corner, 6u, lane);
    let at7 = place(corner, 7u, lane);
    let at8 = place(corner, 8u, lane);
    let at9 = place(corner, 9u, lane);
    let at10 = place(corner, min(0u + lane / 2u, 9u), 8u + lane % 2u);
    let at11 = place(corner, min(4u + lane / 2u, 9u), 8u + lane % 2u);
    let at12 = place(corner, min(8u + lane / 2u, 9u), 8u + lane % 2u);
    var t = Tile();
    var base = 0;
    var at = group.z * params.in_channels * 72u + lane;
    for (var i = 0u; i < params.in_channels + zero; i++) {
        let e0 = load(base, at10);
        let e1 = load(base, at11);
        let e2 = load(base, at12);
        let r0 = row_of(load(base, at0), vec2f(subgroupBroadcast(e0, 0u), subgroupBroadcast(e0, 1u)));
        let r1 = row_of(load(base, at1), vec2f(subgroupBroadcast(e0, 2u), subgroupBroadcast(e0, 3u)));
        let r2 = row_of(load(base, at2), vec2f(subgroupBroadcast(e0, 4u), subgroupBroadcast(e0, 5u)));
        let r3 = row_of(load(base, at3), vec2f(subgroupBroadcast(e0, 6u), subgroupBroadcast(e0, 7u)));
        let r4 = row_of(load(base, at4), vec2f(subgroupBroadcast(e1, 0u), subgroupBroadcast(e1, 1u)));
        let r5 = row_of(load(base, at5), vec2f(subgroupBroadcast(e1, 2u), subgroupBroadcast(e1, 3u)));
        let r6 = row_of(load(base, at6), vec2f(subgroupBroadcast(e1, 4u), subgroupBroadcast(e1, 5u)));
        let r7 = row_of(load(base, at7), vec2f(subgroupBroadcast(e1, 6u), subgroupBroadcast(e1, 7u)));
        let r8 = row_of(load(base, at8), vec2f(subgroupBroadcast(e2, 0u), subgroupBroadcast(e2, 1u)));
        let r9 = row_of(load(base, at9), vec2f(subgroupBroadcast(e2, 2u), subgroupBroadcast(e2, 3u)));
        let w = Taps(weight[at], weight[at + 8u], weight[at + 16u], weight[at + 24u], weight[at + 32u], weight[at + 40u], weight[at + 48u], weight[at + 56u], weight[at + 64u]);
        t.a = line(t.a, r0, r1, r2, w);
        t.b = line(t.b, r1, r2, r3, w);
        t.c = line(t.c, r2, r3, r4, w);
        t.d = line(t.d, r3, r4, r5, w);
        t.e = line(t.e, r4, r5, r6, w);
        t.f = line(t.f, r5, r6, r7, w);
        t.g = line(t.g, r6, r7, r8, w);
        t.h = line(t.h, r7, r8, r9, w);
        base += params.height * params.width;
        at += 72u;
    }
    return t;
}

// Four channels from `channel`, at most `live` of them, get eight pixels from column x0.
struct Target { channel: u32, live: u32, x0: i32, steer: u32 }

fn target_of(group: vec3u, lane: u32, steer: u32) -> Target {
    let channel = group.z * 32u + lane * 4u;
    return Target(channel, params.out_channels - min(channel, params.out_channels), i32(group.x) * 8, steer);
}

fn bias_of(to: Target, offset: u32) -> f32 {
    var b = 0.0;
    if params.add_bias + to.steer != 0u {
        b = bias[to.channel + offset];
    }
    return b;
}

fn store_quad(at: i32, live: bool, steer: u32, sum: vec4f) {
    if live {
        var s = sum;
        if params.accumulate + steer != 0u {
            s += vec4f(y4[at]);
        }
        if params.mask + steer != 0u {
            s = select(vec4f(), s, vec4f(gate4[at]) > vec4f());
        }
        y4[at] = Stored4(select(s, max(s, vec4f()), params.relu != 0u));
    }
}

fn store_channel_aligned(to: Target, row: i32, offset: u32, a: vec4f, b: vec4f) {
    if (row < params.height) & (offset < to.live) {
        let more = bias_of(to, offset);
        let at = ((i32(to.channel + offset) * params.height + row) * params.width + to.x0) / 4;
        store_quad(at, true, to.steer, a + more);
        store_quad(at + 1, to.x0 + 4 < params.width, to.steer, b + more);
    }
}

fn store_line_aligned(to: Target, row: i32, t: Line) {
    store_channel_aligned(to, row, 0u, vec4f(t.a.x, t.b.x, t.c.x, t.d.x), vec4f(t.e.x, t.f.x, t.g.x, t.h.x));
    store_channel_aligned(to, row, 1u, vec4f(t.a.y, t.b.y, t.c.y, t.d.y), vec4f(t.e.y, t.f.y, t.g.y, t.h.y));
    store_channel_aligned(to, row, 2u, vec4f(t.a.z, t.b.z, t.c.z, t.d.z), vec4f(t.e.z, t.f.z, t.g.z, t.h.z));
    store_channel_aligned(to, row, 3u, vec4f(t.a.w, t.b.w, t.c.w, t.d.w), vec4f(t.e.w, t.f.w, t.g.w, t.h.w));
}

fn store_number(at: i32, live: bool, steer: u32, sum: f32) {
    if live {
        var s = sum;
        if params.accumulate + steer != 0u {
            s += f32(y[at]);
        }
        if params.mask + steer != 0u {
            s = select(0.0, s, f32(gate[at]) > 0.0);
        }
        y[at] = Stored(select(s, max(s, 0.0), params.relu != 0u));
    }
}

fn store_channel(to: Target, row: i32, offset: u32, a: vec4f, b: vec4f) {
    if (row < params.height) & (offset < to.live) {
        let more = bias_of(to, offset);
        let at = (i32(to.channel + offset) * params.height + row) * params.width + to.x0;
        let columns = params.width - to.x0;
        store_number(at, true, to.steer, a.x + more);
        store_number(at + 1, columns > 1, to.steer, a.y + more);
        store_number(at + 2, columns > 2, to.steer, a.z + more);
        store_number(at + 3, columns > 3, to.steer, a.w + more);
        store_number(at + 4, columns > 4, to.steer, b.x + more);
        store_number(at + 5, columns > 5, to.steer, b.y + more);
        store_number(at + 6, columns > 6, to.steer, b.z + more);
        store_number(at + 7, columns > 7, to.steer, b.w + more);
    }
}

fn store_line(to: Target, row: i32, t: Line) {
    store_channel(to, row, 0u, vec4f(t.a.x, t.b.x, t.c.x, t.d.x), vec4f(t.e.x, t.f.x, t.g.x, t.h.x));
    store_channel(to, row, 1u, vec4f(t.a.y, t.b.y, t.c.y, t.d.y), vec4f(t.e.y, t.f.y, t.g.y, t.h.y));
    store_channel(to, row, 2u, vec4f(t.a.z, t.b.z, t.c.z, t.d.z), vec4f(t.e.z, t.f.z, t.g.z, t.h.z));
    store_channel(to, row, 3u, vec4f(t.a.w, t.b.w, t.c.w, t.d.w), vec4f(t.e.w, t.f.w, t.g.w, t.h.w));
}

@compute @workgroup_size(8)
fn convolve_aligned(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(global_invocation_id) id: vec3u) {
    let zero = id.z >> 16u;
    let t = sums(group, lane, zero);
    let to = target_of(group, lane, zero);
    let row = i32(group.y) * 8;
    store_line_aligned(to, row, t.a);
    store_line_aligned(to, row + 1, t.b);
    store_line_aligned(to, row + 2, t.c);
    store_line_aligned(to, row + 3, t.d);
    store_line_aligned(to, row + 4, t.e);
    store_line_aligned(to, row + 5, t.f);
    store_line_aligned(to, row + 6, t.g);
    store_line_aligned(to, row + 7, t.h);
}

@compute @workgroup_size(8)
fn convolve(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(global_invocation_id) id: vec3u) {
    let zero = id.z >> 16u;
    let t = sums(group, lane, zero);
    let to = target_of(group, lane, zero);
    let row = i32(group.y) * 8;
    store_line(to, row, t.a);
    store_line(to, row + 1, t.b);
    store_line(to, row + 2, t.c);
    store_line(to, row + 3, t.d);
    store_line(to, row + 4, t.e);
    store_line(to, row + 5, t.f);
    store_line(to, row + 6, t.g);
    store_line(to, row + 7, t.h);
}
