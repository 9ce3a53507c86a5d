// conv2d 3x3, stride 1, padding 1, for adapters that run shaders on the CPU (lavapipe).
//
//   y[o, r, c] = act( [y[o, r, c]] + [bias[o]] + sum over i, ky, kx of w[o, i, ky, kx] * x[i, r+ky-1, c+kx-1] )
//
// x, y: planar C x H x W, `Stored`, rows without padding. `x` and `x4` are the same buffer. convolve_aligned, with ALIGNED:
//   W is a multiple of 4 and the bindings 16-byte aligned; convolve, without: any W >= 1, at about half the speed.
// weight: a window of at most 64 KiB of the packed weights, at a 256-byte aligned offset:
//   [block of 8 output channels][input channel of this dispatch][output channel of 8][ky] -> (kx0, kx1, kx2, 0).
// One invocation: 8 x 4 pixels x 8 output channels, from a 10 x 6 patch in registers.
// One workgroup: 8 neighbouring tiles (one lane each). Grid: (ceil(tiles / 8), blocks, 1);
//   at most 65535 * 8 tiles. `id.y` counts the window's blocks of output channels.
// Writes `=`, or `+=` where params.accumulate is set. A layer larger than a window is several
//   dispatches over chunks of input channels: bias on the first, `+=` from the second, relu on the last.
//
// Why: lavapipe loads from storage buffers lane by lane, so a lane's loads are few, wide, and used
// for 8 channels; a uniform buffer's loads have no branches and cost a third of a storage buffer's.
// `id.z` is always 0: added to a uniform that steers control flow, it keeps lavapipe from compiling a
//   copy of the kernel for every value of that uniform (its uniform inlining, one compilation a dispatch).

struct Params {
    width: i32,
    height: i32,
    tiles_x: u32,       // ceil(width / 8)
    tiles: u32,         // tiles_x * ceil(height / 4)
    out_channels: u32,  // channels of y
    first_out: u32,     // output channel of the window's first block
    first_in: u32,      // input channel where this chunk starts
    chunk: u32,         // input channels in this dispatch
    padding_x: u32,     // 0 zeros, 1 reflect (W >= 2), 2 replicate, 3 from the other edge
    padding_y: u32,
    accumulate: u32,    // 1: add to what y holds
    add_bias: u32,
    relu: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> x4: array<Stored4>;
@group(0) @binding(3) var<uniform> weight: array<vec4f, 4096>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<Stored>;
@group(0) @binding(6) var<storage, read_write> y4: array<Stored4>;

override ALIGNED: bool = true;

// Ten pixels of one row: columns -1 | 0..3 | 4..7 | 8 of the tile.
struct Row { left: f32, a: vec4f, b: vec4f, right: f32 }
// Four rows of eight sums.
struct Tile { a0: vec4f, b0: vec4f, a1: vec4f, b1: vec4f, a2: vec4f, b2: vec4f, a3: vec4f, b3: vec4f }
// Eight output channels'.
struct Block { a: Tile, b: Tile, c: Tile, d: Tile, e: Tile, f: Tile, g: Tile, h: Tile }
// Where the ten columns are read, and which of them are zero. With ALIGNED, only the first of four counts.
struct Columns {
    left: i32, a: vec4i, b: vec4i, right: i32,
    blank_left: bool, blank_a: vec4<bool>, blank_b: vec4<bool>, blank_right: bool, past: bool,
}

fn sources(i: i32, n: i32) -> vec4i {
    return vec4i(
        source(i, n, params.padding_x), source(i + 1, n, params.padding_x), source(i + 2, n, params.padding_x), source(i + 3, n, params.padding_x),
    );
}

fn outsides(i: i32, n: i32) -> vec4<bool> {
    return vec4<bool>(
        outside(i, n, params.padding_x), outside(i + 1, n, params.padding_x), outside(i + 2, n, params.padding_x), outside(i + 3, n, params.padding_x),
    );
}

fn columns(x0: i32) -> Columns {
    let w = params.width;
    let end = min(x0 + 8, w);
    let blank_left = outside(x0 - 1, w, params.padding_x);
    let blank_right = outside(end, w, params.padding_x);
    return Columns(
        source(x0 - 1, w, params.padding_x), sources(x0, w), sources(x0 + 4, w), source(end, w, params.padding_x),
        blank_left, outsides(x0, w), outsides(x0 + 4, w), blank_right, x0 + 4 >= w,
    );
}

fn four(at: i32, c: vec4i) -> vec4f {
    return vec4f(f32(x[at + c.x]), f32(x[at + c.y]), f32(x[at + c.z]), f32(x[at + c.w]));
}

fn load(base: i32, row: i32, c: Columns) -> Row {
    let at = base + source(row, params.height, params.padding_y) * params.width;
    let blank = outside(row, params.height, params.padding_y);
    let left = select(f32(x[at + c.left]), 0.0, blank | c.blank_left);
    let right = select(f32(x[at + c.right]), 0.0, blank | c.blank_right);
    if ALIGNED {
        let a = select(vec4f(x4[(at + c.a.x) >> 2u]), vec4f(0.0), blank);
        let b = select(vec4f(x4[(at + min(c.b.x, params.width - 4)) >> 2u]), vec4f(0.0), blank);
        return Row(left, a, select(b, vec4f(right), c.past), right);
    }
    let a = select(four(at, c.a), vec4f(0.0), c.blank_a | vec4<bool>(blank));
    let b = select(four(at, c.b), vec4f(0.0), c.blank_b | vec4<bool>(blank));
    return Row(left, a, b, right);
}

fn left_half(sum: vec4f, p: Row, w: vec4f) -> vec4f {
    return sum + w.x * vec4f(p.left, p.a.xyz) + w.y * p.a + w.z * vec4f(p.a.yzw, p.b.x);
}

fn right_half(sum: vec4f, p: Row, w: vec4f) -> vec4f {
    return sum + w.x * vec4f(p.a.w, p.b.xyz) + w.y * p.b + w.z * vec4f(p.b.yzw, p.right);
}

fn left_sum(sum: vec4f, p: Row, q: Row, r: Row, w0: vec4f, w1: vec4f, w2: vec4f) -> vec4f {
    return left_half(left_half(left_half(sum, p, w0), q, w1), r, w2);
}

fn right_sum(sum: vec4f, p: Row, q: Row, r: Row, w0: vec4f, w1: vec4f, w2: vec4f) -> vec4f {
    return right_half(right_half(right_half(sum, p, w0), q, w1), r, w2);
}

// One input channel's share of one output channel.
fn taps(t: Tile, at: u32, p: Row, q: Row, r: Row, s: Row, u: Row, v: Row) -> Tile {
    let w0 = weight[at];
    let w1 = weight[at + 1u];
    let w2 = weight[at + 2u];
    return Tile(
        left_sum(t.a0, p, q, r, w0, w1, w2), right_sum(t.b0, p, q, r, w0, w1, w2),
        left_sum(t.a1, q, r, s, w0, w1, w2), right_sum(t.b1, q, r, s, w0, w1, w2),
        left_sum(t.a2, r, s, u, w0, w1, w2), right_sum(t.b2, r, s, u, w0, w1, w2),
        left_sum(t.a3, s, u, v, w0, w1, w2), right_sum(t.b3, s, u, v, w0, w1, w2),
    );
}

fn sums(id: vec3u, x0: i32, y0: i32) -> Block {
    let plane = params.height * params.width;
    let c = columns(x0);
    var base = i32(params.first_in) * plane;
    var at = id.y * params.chunk * 24u;
    var s = Block();
    for (var i = 0u; i < params.chunk + id.z; i++) {
        let p = load(base, y0 - 1, c);
        let q = load(base, y0, c);
        let r = load(base, y0 + 1, c);
        let t = load(base, y0 + 2, c);
        let u = load(base, y0 + 3, c);
        let v = load(base, y0 + 4, c);
        s.a = taps(s.a, at, p, q, r, t, u, v);
        s.b = taps(s.b, at + 3u, p, q, r, t, u, v);
        s.c = taps(s.c, at + 6u, p, q, r, t, u, v);
        s.d = taps(s.d, at + 9u, p, q, r, t, u, v);
        s.e = taps(s.e, at + 12u, p, q, r, t, u, v);
        s.f = taps(s.f, at + 15u, p, q, r, t, u, v);
        s.g = taps(s.g, at + 18u, p, q, r, t, u, v);
        s.h = taps(s.h, at + 21u, p, q, r, t, u, v);
        base += plane;
        at += 24u;
    }
    return s;
}

fn bias_of(channel: u32, steer: u32) -> f32 {
    var b = 0.0;
    if params.add_bias + steer != 0u {
        b = bias[channel];
    }
    return b;
}

fn store_quad_aligned(at: i32, live: bool, accumulate: bool, sum: vec4f) {
    if live {
        var s = sum;
        if accumulate {
            s += vec4f(y4[at]);
        }
        y4[at] = Stored4(select(s, max(s, vec4f(0.0)), params.relu != 0u));
    }
}

fn store_aligned(channel: u32, steer: u32, x0: i32, y0: i32, t: Tile) {
    if channel < params.out_channels {
        let accumulate = params.accumulate + steer != 0u;
        let b = bias_of(channel, steer);
        let row = params.width / 4;
        let at = (i32(channel) * params.height + y0) * row + x0 / 4;
        let wide = x0 + 4 < params.width;
        let rows = params.height - y0;
        store_quad_aligned(at, true, accumulate, t.a0 + b);
        store_quad_aligned(at + 1, wide, accumulate, t.b0 + b);
        store_quad_aligned(at + row, rows > 1, accumulate, t.a1 + b);
        store_quad_aligned(at + row + 1, rows > 1 && wide, accumulate, t.b1 + b);
        store_quad_aligned(at + 2 * row, rows > 2, accumulate, t.a2 + b);
        store_quad_aligned(at + 2 * row + 1, rows > 2 && wide, accumulate, t.b2 + b);
        store_quad_aligned(at + 3 * row, rows > 3, accumulate, t.a3 + b);
        store_quad_aligned(at + 3 * row + 1, rows > 3 && wide, accumulate, t.b3 + b);
    }
}

fn store_number(at: i32, live: bool, accumulate: bool, sum: f32) {
    if live {
        var s = sum;
        if accumulate {
            s += f32(y[at]);
        }
        y[at] = Stored(select(s, max(s, 0.0), params.relu != 0u));
    }
}

fn store_quad(at: i32, live: bool, accumulate: bool, n: i32, s: vec4f) {
    store_number(at, live && n > 0, accumulate, s.x);
    store_number(at + 1, live && n > 1, accumulate, s.y);
    store_number(at + 2, live && n > 2, accumulate, s.z);
    store_number(at + 3, live && n > 3, accumulate, s.w);
}

fn store(channel: u32, steer: u32, x0: i32, y0: i32, t: Tile) {
    if channel < params.out_channels {
        let accumulate = params.accumulate + steer != 0u;
        let b = bias_of(channel, steer);
        let w = params.width;
        let at = (i32(channel) * params.height + y0) * w + x0;
        let n = w - x0;
        let rows = params.height - y0;
        store_quad(at, true, accumulate, n, t.a0 + b);
        store_quad(at + 4, true, accumulate, n - 4, t.b0 + b);
        store_quad(at + w, rows > 1, accumulate, n, t.a1 + b);
        store_quad(at + w + 4, rows > 1, accumulate, n - 4, t.b1 + b);
        store_quad(at + 2 * w, rows > 2, accumulate, n, t.a2 + b);
        store_quad(at + 2 * w + 4, rows > 2, accumulate, n - 4, t.b2 + b);
        store_quad(at + 3 * w, rows > 3, accumulate, n, t.a3 + b);
        store_quad(at + 3 * w + 4, rows > 3, accumulate, n - 4, t.b3 + b);
    }
}

// The column and the row where an invocation's tile begins.
fn corner(id: vec3u) -> vec2i {
    let tile = min(id.x, params.tiles - 1u);
    return vec2i(i32(tile % params.tiles_x) * 8, i32(tile / params.tiles_x) * 4);
}

@compute @workgroup_size(8)
fn convolve_aligned(@builtin(global_invocation_id) id: vec3u) {
    let at = corner(id);
    let s = sums(id, at.x, at.y);
    if id.x < params.tiles {
        let o = params.first_out + id.y * 8u;
        store_aligned(o, id.z, at.x, at.y, s.a);
        store_aligned(o + 1u, id.z, at.x, at.y, s.b);
        store_aligned(o + 2u, id.z, at.x, at.y, s.c);
        store_aligned(o + 3u, id.z, at.x, at.y, s.d);
        store_aligned(o + 4u, id.z, at.x, at.y, s.e);
        store_aligned(o + 5u, id.z, at.x, at.y, s.f);
        store_aligned(o + 6u, id.z, at.x, at.y, s.g);
        store_aligned(o + 7u, id.z, at.x, at.y, s.h);
    }
}

@compute @workgroup_size(8)
fn convolve(@builtin(global_invocation_id) id: vec3u) {
    let at = corner(id);
    let s = sums(id, at.x, at.y);
    if id.x < params.tiles {
        let o = params.first_out + id.y * 8u;
        store(o, id.z, at.x, at.y, s.a);
        store(o + 1u, id.z, at.x, at.y, s.b);
        store(o + 2u, id.z, at.x, at.y, s.c);
        store(o + 3u, id.z, at.x, at.y, s.d);
        store(o + 4u, id.z, at.x, at.y, s.e);
        store(o + 5u, id.z, at.x, at.y, s.f);
        store(o + 6u, id.z, at.x, at.y, s.g);
        store(o + 7u, id.z, at.x, at.y, s.h);
    }
}
