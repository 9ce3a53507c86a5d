// conv2d 3x3, stride 1, padding 1, for adapters that run shaders on the CPU (lavapipe), any width.
//
//   y[o, r, c] = act( [y[o, r, c]] + [bias[o]] + sum over i, ky, kx of w[o, i, ky, kx] * x[i, r+ky-1, c+kx-1] )
//
// x, y: planar C x H x W, f32, any H and W >= 1.
// weight: a window of at most 64 KiB of the packed weights, at a 256-byte aligned offset:
//   [block of 8 output channels][input channel of this dispatch][output channel of 8][ky] -> (kx0, kx1, kx2, 0).
// One invocation: 4 x 4 pixels x 8 output channels, from a 6 x 6 patch in registers.
// One workgroup: 8 neighbouring tiles (one lane each). Grid: (ceil(tiles / 8), blocks, 1);
//   at most 65535 * 8 tiles. `id.y` counts the window's blocks of output channels.
// Writes `=`, or `+=` where params.accumulate is set. A layer larger than a window is several
//   dispatches over chunks of input channels: bias on the first, `+=` from the second, relu on the last.
//
// Why a sibling of conv2d_uniform.wgsl: rows of any width are not aligned to vec4f.
// `id.z` is always 0: added to a uniform that steers control flow, it keeps lavapipe from compiling a
//   copy of the kernel for every value of that uniform (its uniform inlining, one compilation a dispatch).

struct Params {
    width: i32,
    height: i32,
    tiles_x: u32,       // ceil(width / 4)
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
@group(0) @binding(3) var<uniform> weight: array<vec4f, 4096>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<Stored>;

// Six pixels of one row: columns -1..2 | 3..4 of the tile.
struct Row { a: vec4f, b: vec2f }
// Four rows of four sums.
struct Tile { a: vec4f, b: vec4f, c: vec4f, d: vec4f }
// Where the six columns are read, and which of them are blank.
struct Columns { a: vec4i, b: vec2i, blank_a: vec4<bool>, blank_b: vec2<bool> }

fn columns(x0: i32) -> Columns {
    let w = params.width;
    return Columns(
        vec4i(source(x0 - 1, w, params.padding), source(x0, w, params.padding), source(x0 + 1, w, params.padding), source(x0 + 2, w, params.padding)),
        vec2i(source(x0 + 3, w, params.padding), source(x0 + 4, w, params.padding)),
        vec4<bool>(outside(x0 - 1, w, params.padding), outside(x0, w, params.padding), outside(x0 + 1, w, params.padding), outside(x0 + 2, w, params.padding)),
        vec2<bool>(outside(x0 + 3, w, params.padding), outside(x0 + 4, w, params.padding)),
    );
}

fn load(base: i32, row: i32, c: Columns) -> Row {
    let at = base + source(row, params.height, params.padding) * params.width;
    let blank = outside(row, params.height, params.padding);
    let a = vec4f(f32(x[at + c.a.x]), f32(x[at + c.a.y]), f32(x[at + c.a.z]), f32(x[at + c.a.w]));
    let b = vec2f(f32(x[at + c.b.x]), f32(x[at + c.b.y]));
    return Row(
        select(a, vec4f(0.0), c.blank_a | vec4<bool>(blank)),
        select(b, vec2f(0.0), c.blank_b | vec2<bool>(blank)),
    );
}

fn row_sum(sum: vec4f, p: Row, w: vec4f) -> vec4f {
    return sum + w.x * p.a + w.y * vec4f(p.a.yzw, p.b.x) + w.z * vec4f(p.a.zw, p.b);
}

// One input channel's share of one output channel.
fn taps(t: Tile, at: u32, p: Row, q: Row, r: Row, s: Row, u: Row, v: Row) -> Tile {
    let w0 = weight[at];
    let w1 = weight[at + 1u];
    let w2 = weight[at + 2u];
    return Tile(
        row_sum(row_sum(row_sum(t.a, p, w0), q, w1), r, w2),
        row_sum(row_sum(row_sum(t.b, q, w0), r, w1), s, w2),
        row_sum(row_sum(row_sum(t.c, r, w0), s, w1), u, w2),
        row_sum(row_sum(row_sum(t.d, s, w0), u, w1), v, w2),
    );
}

fn store(at: i32, live: bool, accumulate: bool, sum: f32) {
    if live {
        var s = sum;
        if accumulate {
            s += f32(y[at]);
        }
        y[at] = Stored(select(s, max(s, 0.0), params.relu != 0u));
    }
}

fn store_row(at: i32, live: bool, accumulate: bool, n: i32, s: vec4f) {
    store(at, live, accumulate, s.x);
    store(at + 1, live && n > 1, accumulate, s.y);
    store(at + 2, live && n > 2, accumulate, s.z);
    store(at + 3, live && n > 3, accumulate, s.w);
}

fn store_tile(channel: u32, steer: u32, x0: i32, y0: i32, t: Tile) {
    if channel < params.out_channels {
        let accumulate = params.accumulate + steer != 0u;
        var b = vec4f(0.0);
        if params.add_bias + steer != 0u {
            b = vec4f(bias[channel]);
        }
        let w = params.width;
        let at = (i32(channel) * params.height + y0) * w + x0;
        let rows = params.height - y0;
        store_row(at, true, accumulate, w - x0, t.a + b);
        store_row(at + w, rows > 1, accumulate, w - x0, t.b + b);
        store_row(at + 2 * w, rows > 2, accumulate, w - x0, t.c + b);
        store_row(at + 3 * w, rows > 3, accumulate, w - x0, t.d + b);
    }
}

@compute @workgroup_size(8)
fn convolve(@builtin(global_invocation_id) id: vec3u) {
    let tile = min(id.x, params.tiles - 1u);
    let x0 = i32(tile % params.tiles_x) * 4;
    let y0 = i32(tile / params.tiles_x) * 4;
    let plane = params.height * params.width;
    let c = columns(x0);

    var base = i32(params.first_in) * plane;
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
        let p = load(base, y0 - 1, c);
        let q = load(base, y0, c);
        let r = load(base, y0 + 1, c);
        let s = load(base, y0 + 2, c);
        let u = load(base, y0 + 3, c);
        let v = load(base, y0 + 4, c);
        t0 = taps(t0, at, p, q, r, s, u, v);
        t1 = taps(t1, at + 3u, p, q, r, s, u, v);
        t2 = taps(t2, at + 6u, p, q, r, s, u, v);
        t3 = taps(t3, at + 9u, p, q, r, s, u, v);
        t4 = taps(t4, at + 12u, p, q, r, s, u, v);
        t5 = taps(t5, at + 15u, p, q, r, s, u, v);
        t6 = taps(t6, at + 18u, p, q, r, s, u, v);
        t7 = taps(t7, at + 21u, p, q, r, s, u, v);
        base += plane;
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
