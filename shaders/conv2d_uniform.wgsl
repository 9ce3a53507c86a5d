// conv2d 3x3, stride 1, padding 1, for adapters that run shaders on the CPU (lavapipe).
//
//   y[o, r, c] = act( [y[o, r, c]] + [bias[o]] + sum over i, ky, kx of w[o, i, ky, kx] * x[i, r+ky-1, c+kx-1] )
//
// x, y: planar C x H x W, f32, rows without padding. W must be a multiple of 4, and both bindings
//   16-byte aligned (any other width: conv2d_uniform_any.wgsl). `x` and `x4` are the same buffer.
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
    padding: u32,       // 0 zeros, 1 reflect (H, W >= 2), 2 replicate
    accumulate: u32,    // 1: add to what y holds
    add_bias: u32,
    relu: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> x4: array<Stored4>;
@group(0) @binding(3) var<uniform> weight: array<vec4f, 4096>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<Stored4>;

// Ten pixels of one row: columns -1 | 0..3 | 4..7 | 8 of the tile.
struct Row { left: f32, a: vec4f, b: vec4f, right: f32 }
// Four rows of eight sums.
struct Tile { a0: vec4f, b0: vec4f, a1: vec4f, b1: vec4f, a2: vec4f, b2: vec4f, a3: vec4f, b3: vec4f }

fn load(base: i32, column: vec4i, blank: bool, blank_left: bool, blank_right: bool, past: bool) -> Row {
    let left = select(f32(x[base + column.x]), 0.0, blank | blank_left);
    let right = select(f32(x[base + column.w]), 0.0, blank | blank_right);
    let a = select(vec4f(x4[(base + column.y) >> 2u]), vec4f(0.0), blank);
    let b = select(vec4f(x4[(base + column.z) >> 2u]), vec4f(0.0), blank);
    return Row(left, a, select(b, vec4f(right), past), right);
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

fn store(at: i32, live: bool, accumulate: bool, sum: vec4f, b: f32) {
    if live {
        var s = sum + b;
        if accumulate {
            s += vec4f(y[at]);
        }
        y[at] = Stored4(select(s, max(s, vec4f(0.0)), params.relu != 0u));
    }
}

fn store_tile(channel: u32, steer: u32, x0: i32, y0: i32, t: Tile) {
    if channel < params.out_channels {
        let accumulate = params.accumulate + steer != 0u;
        var b = 0.0;
        if params.add_bias + steer != 0u {
            b = bias[channel];
        }
        let row = params.width / 4;
        let at = (i32(channel) * params.height + y0) * row + x0 / 4;
        let wide = x0 + 4 < params.width;
        let rows = params.height - y0;
        store(at, true, accumulate, t.a0, b);
        store(at + 1, wide, accumulate, t.b0, b);
        store(at + row, rows > 1, accumulate, t.a1, b);
        store(at + row + 1, rows > 1 && wide, accumulate, t.b1, b);
        store(at + 2 * row, rows > 2, accumulate, t.a2, b);
        store(at + 2 * row + 1, rows > 2 && wide, accumulate, t.b2, b);
        store(at + 3 * row, rows > 3, accumulate, t.a3, b);
        store(at + 3 * row + 1, rows > 3 && wide, accumulate, t.b3, b);
    }
}

@compute @workgroup_size(8)
fn convolve(@builtin(global_invocation_id) id: vec3u) {
    let tile = min(id.x, params.tiles - 1u);
    let x0 = i32(tile % params.tiles_x) * 8;
    let y0 = i32(tile / params.tiles_x) * 4;
    let w = params.width;
    let h = params.height;
    let past = x0 + 4 >= w;
    let end = min(x0 + 8, w);
    let column = vec4i(source(x0 - 1, w, params.padding), x0, min(x0 + 4, w - 4), source(end, w, params.padding));
    let blank_left = outside(x0 - 1, w, params.padding);
    let blank_right = outside(end, w, params.padding);

    var base = i32(params.first_in) * h * w;
    var at = id.y * params.chunk * 24u;
    var t0 = Tile();
    var t1 = Tile();
    var t2 = Tile();
    var t3 = Tile();
    var t4 = Tile();
    var t5 = Tile();
    var t6 = Tile();
    var t7 = Tile();
    for (var i = 0u; i < params.chunk + id.z; i++) {
        let p = load(base + source(y0 - 1, h, params.padding) * w, column, outside(y0 - 1, h, params.padding), blank_left, blank_right, past);
        let q = load(base + source(y0, h, params.padding) * w, column, outside(y0, h, params.padding), blank_left, blank_right, past);
        let r = load(base + source(y0 + 1, h, params.padding) * w, column, outside(y0 + 1, h, params.padding), blank_left, blank_right, past);
        let s = load(base + source(y0 + 2, h, params.padding) * w, column, outside(y0 + 2, h, params.padding), blank_left, blank_right, past);
        let u = load(base + source(y0 + 3, h, params.padding) * w, column, outside(y0 + 3, h, params.padding), blank_left, blank_right, past);
        let v = load(base + source(y0 + 4, h, params.padding) * w, column, outside(y0 + 4, h, params.padding), blank_left, blank_right, past);
        t0 = taps(t0, at, p, q, r, s, u, v);
        t1 = taps(t1, at + 3u, p, q, r, s, u, v);
        t2 = taps(t2, at + 6u, p, q, r, s, u, v);
        t3 = taps(t3, at + 9u, p, q, r, s, u, v);
        t4 = taps(t4, at + 12u, p, q, r, s, u, v);
        t5 = taps(t5, at + 15u, p, q, r, s, u, v);
        t6 = taps(t6, at + 18u, p, q, r, s, u, v);
        t7 = taps(t7, at + 21u, p, q, r, s, u, v);
        base += h * w;
        at += 24u;
    }
    if id.x < params.tiles {
        let o = params.first_out + id.y * 8u;
        store_tile(o, id.z, x0, y0, t0);
        store_tile(o + 1u, id.z, x0, y0, t1);
        store_tile(o + 2u, id.z, x0, y0, t2);
        store_tile(o + 3u, id.z, x0, y0, t3);
        store_tile(o + 4u, id.z, x0, y0, t4);
        store_tile(o + 5u, id.z, x0, y0, t5);
        store_tile(o + 6u, id.z, x0, y0, t6);
        store_tile(o + 7u, id.z, x0, y0, t7);
    }
}
