// conv2d 3x3, stride 1, padding 1, by Winograd's minimal filtering F(4x4, 3x3): its transforms.
// (Lavin, Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016; interpolation points 0, ±1/√2, ±√2, ∞,
// which lose half as many digits as Lavin's 0, ±1, ±2, ∞.)
//
//   y = Aᵀ [ sum over i of (G w Gᵀ) · (Bᵀ x B) ] A        for every tile of 4 x 4 pixels of y, 6 x 6 of x
//
// transform_input: v = Bᵀ x B.  Then 36 matrix products (product_broadcast.wgsl or product_uniform.wgsl).  transform_output: y = Aᵀ m A.
// x, y: planar C x H x W and O x H x W, `Stored`, any size. transform_output writes `=`, or `+=` where params.accumulate is set.
// gate: of y's shape; where params.mask is set, results count only where it is above 0 (the ReLU of a gradient's place).
//
// For wide maps the tiles are the products' pixels, m[k] = u[k] · v[k]:
//   v, m: 36 x T / 128 x channels x 128, T tiles in runs of 128: a band of the map's, from `first_tile` on, in row-major order;
//   what lies beyond the map's last tile is neither written nor read.
//   One invocation: 4 tiles (a vec4f's lanes) of one channel. Grid: (4 channels, runs, 1): channels before runs, because that is
//   how v and m lie in memory (runs first: twice the time).
//   The `_aligned` forms load and store rows of four pixels at once: for W a multiple of 4 and 16-byte aligned bindings; `x4` is `x`.
// For deep maps, which have more channels than tiles, the output channels are, m[k] = v[k]ᵀ · u[k]ᵀ (`_deep`):
//   v: 36 packed matrices of a row for each tile, as these read them: blocks of 32 tiles x C / 4 x 32 x 4 channels.
//   m: 36 x O / 128 x tiles x 128 channels. C a multiple of 4, one band.
//   One invocation: one tile of 4 channels (a vec4f's lanes). Grid: (C, blocks, 1) and (4 tiles, runs of 128 channels, 1).
// One workgroup: 8 neighbours.
//
// Wins: software drivers, 64 channels or more, 16 where conv2d_broadcast.wgsl does not run (a quarter of the multiplications).
// `id.z` is always 0: it keeps lavapipe from compiling a copy of the kernel for every value of a uniform.

struct Params {
    width: i32,
    height: i32,
    tiles_x: u32,       // ceil(width / 4)
    tiles: u32,         // tiles_x * ceil(height / 4)
    first_tile: u32,    // where the band starts
    columns: u32,       // quads of tiles in the band; deep: tiles, or quads of y's channels
    middle: u32,        // channels of x or y; deep: quads of x's channels, or tiles
    plane: u32,         // vec4f of one of the 36
    channels: u32,      // of y
    padding_x: u32,     // 0 zeros, 1 reflect (W >= 2), 2 replicate, 3 from the other edge
    padding_y: u32,
    accumulate: u32,    // 1: add to what y holds
    add_bias: u32,
    relu: u32,
    mask: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read_write> v: array<vec4f>;
@group(0) @binding(3) var<storage, read> m: array<vec4f>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<Stored>;
@group(0) @binding(6) var<storage, read> x4: array<Stored4>;
@group(0) @binding(7) var<storage, read_write> y4: array<Stored4>;
@group(0) @binding(8) var<storage, read> gate: array<Stored>;
@group(0) @binding(9) var<storage, read> gate4: array<Stored4>;

const ROOT = 1.41421356237;      // √2
const HALF_ROOT = 0.70710678119; // 1/√2

// A line of six numbers, for four tiles.
struct Six { a: vec4f, b: vec4f, c: vec4f, d: vec4f, e: vec4f, f: vec4f }
struct Four { a: vec4f, b: vec4f, c: vec4f, d: vec4f }

// Bᵀ times a column.
fn spread(p: Six) -> Six {
    let near = p.e - 2.0 * p.c;
    let near_odd = HALF_ROOT * p.d - ROOT * p.b;
    let far = p.e - 0.5 * p.c;
    let far_odd = ROOT * p.d - HALF_ROOT * p.b;
    return Six(
        p.a - 2.5 * p.c + p.e,
        near + near_odd, near - near_odd,
        far + far_odd, far - far_odd,
        p.b - 2.5 * p.d + p.f,
    );
}

// Aᵀ times a column.
fn gather(p: Six) -> Four {
    let near = p.b + p.c;
    let near_odd = p.b - p.c;
    let far = p.d + p.e;
    let far_odd = p.d - p.e;
    return Four(
        p.a + near + far,
        HALF_ROOT * near_odd + ROOT * far_odd,
        0.5 * near + 2.0 * far,
        0.5 * HALF_ROOT * near_odd + 2.0 * ROOT * far_odd + p.f,
    );
}

// The four tiles of an invocation: where they start.
struct Tiles { x0: vec4i, y0: vec4i }

fn starts(numbers: vec4u) -> Tiles {
    let tile = min(numbers, vec4u(params.tiles - 1u));
    return Tiles(vec4i(tile % params.tiles_x) * 4, vec4i(tile / params.tiles_x) * 4);
}

fn tiles_of(quad: u32) -> Tiles {
    return starts(vec4u(params.first_tile + quad * 4u) + vec4u(0u, 1u, 2u, 3u));
}

// The same tile four times.
fn one_tile(number: u32) -> Tiles {
    return starts(vec4u(number));
}

fn pixels(at: vec4i, blank: vec4<bool>) -> vec4f {
    return select(vec4f(f32(x[at.x]), f32(x[at.y]), f32(x[at.z]), f32(x[at.w])), vec4f(), blank);
}

// Where four columns (or rows) are read, and whether they are blank: `source` and `outside` of common.wgsl, by fours.
fn source4(i: vec4i, n: i32, padding: u32) -> vec4i {
    return vec4i(source(i.x, n, padding), source(i.y, n, padding), source(i.z, n, padding), source(i.w, n, padding));
}

fn outside4(i: vec4i, n: i32, padding: u32) -> vec4<bool> {
    return (vec4u(padding) == vec4u()) & ((i < vec4i()) | (i >= vec4i(n)));
}

// Columns x0 - 1 … x0 + 4 of the tiles' row number r, transformed.
fn row(r: i32, plane: vec4i, t: Tiles) -> Six {
    let at = t.y0 + r - 1;
    let base = plane + source4(at, params.height, params.padding_y) * params.width;
    let blank = outside4(at, params.height, params.padding_y);
    let w = params.width;
    let c0 = t.x0 - 1;
    let c4 = t.x0 + 3;
    let c5 = t.x0 + 4;
    return spread(Six(
        pixels(base + source4(c0, w, params.padding_x), blank | outside4(c0, w, params.padding_x)),
        pixels(base + source4(t.x0, w, params.padding_x), blank),
        pixels(base + source4(t.x0 + 1, w, params.padding_x), blank | outside4(t.x0 + 1, w, params.padding_x)),
        pixels(base + source4(t.x0 + 2, w, params.padding_x), blank | outside4(t.x0 + 2, w, params.padding_x)),
        pixels(base + source4(c4, w, params.padding_x), blank | outside4(c4, w, params.padding_x)),
        pixels(base + source4(c5, w, params.padding_x), blank | outside4(c5, w, params.padding_x)),
    ));
}

// The same where the middle four columns of a tile are one aligned load.
fn row_aligned(r: i32, plane: vec4i, t: Tiles) -> Six {
    let at = t.y0 + r - 1;
    let base = plane + source4(at, params.height, params.padding_y) * params.width;
    let blank = outside4(at, params.height, params.padding_y);
    let w = params.width;
    let middle = (base + t.x0) >> vec4u(2u);
    let p = select(vec4f(x4[middle.x]), vec4f(), blank.x);
    let q = select(vec4f(x4[middle.y]), vec4f(), blank.y);
    let u = select(vec4f(x4[middle.z]), vec4f(), blank.z);
    let k = select(vec4f(x4[middle.w]), vec4f(), blank.w);
    return spread(Six(
        pixels(base + source4(t.x0 - 1, w, params.padding_x), blank | outside4(t.x0 - 1, w, params.padding_x)),
        vec4f(p.x, q.x, u.x, k.x),
        vec4f(p.y, q.y, u.y, k.y),
        vec4f(p.z, q.z, u.z, k.z),
        vec4f(p.w, q.w, u.w, k.w),
        pixels(base + source4(t.x0 + 4, w, params.padding_x), blank | outside4(t.x0 + 4, w, params.padding_x)),
    ));
}

// Column j of the transformed tiles: their numbers j, 6 + j, 12 + j ….
fn store_column(at: u32, column: Six) {
    let plane = params.plane;
    let p = spread(column);
    v[at] = p.a;
    v[at + 6u * plane] = p.b;
    v[at + 12u * plane] = p.c;
    v[at + 18u * plane] = p.d;
    v[at + 24u * plane] = p.e;
    v[at + 30u * plane] = p.f;
}

fn store_columns(at: u32, live: bool, r0: Six, r1: Six, r2: Six, r3: Six, r4: Six, r5: Six) {
    if live {
        let plane = params.plane;
        store_column(at, Six(r0.a, r1.a, r2.a, r3.a, r4.a, r5.a));
        store_column(at + plane, Six(r0.b, r1.b, r2.b, r3.b, r4.b, r5.b));
        store_column(at + 2u * plane, Six(r0.c, r1.c, r2.c, r3.c, r4.c, r5.c));
        store_column(at + 3u * plane, Six(r0.d, r1.d, r2.d, r3.d, r4.d, r5.d));
        store_column(at + 4u * plane, Six(r0.e, r1.e, r2.e, r3.e, r4.e, r5.e));
        store_column(at + 5u * plane, Six(r0.f, r1.f, r2.f, r3.f, r4.f, r5.f));
    }
}

// An invocation's place: its column of 32, the row above it, where it stands in a plane of v or m.
struct Work { column: u32, row: u32, at: u32 }

fn work(id: vec3u) -> Work {
    return Work(id.y * 32u + id.x % 32u, id.x / 32u, id.y * params.middle * 32u + id.x);
}

// Where a channel of x begins.
fn planes(channel: vec4u) -> vec4i {
    return vec4i(channel) * params.width * params.height;
}

@compute @workgroup_size(8)
fn transform_input(@builtin(global_invocation_id) id: vec3u) {
    let own = work(id);
    let t = tiles_of(own.column);
    let p = planes(vec4u(own.row));
    store_columns(own.at, own.column < params.columns + id.z,
        row(0, p, t), row(1, p, t), row(2, p, t), row(3, p, t), row(4, p, t), row(5, p, t));
}

@compute @workgroup_size(8)
fn transform_input_aligned(@builtin(global_invocation_id) id: vec3u) {
    let own = work(id);
    let t = tiles_of(own.column);
    let p = planes(vec4u(own.row));
    store_columns(own.at, own.column < params.columns + id.z,
        row_aligned(0, p, t), row_aligned(1, p, t), row_aligned(2, p, t), row_aligned(3, p, t), row_aligned(4, p, t), row_aligned(5, p, t));
}

@compute @workgroup_size(8)
fn transform_input_deep(@builtin(global_invocation_id) id: vec3u) {
    let own = work(id);
    let t = one_tile(own.column);
    let p = planes(vec4u(own.row * 4u) + vec4u(0u, 1u, 2u, 3u));
    store_columns(own.at, own.column < params.columns + id.z,
        row(0, p, t), row(1, p, t), row(2, p, t), row(3, p, t), row(4, p, t), row(5, p, t));
}

// Column j of the products, transformed.
fn column(at: u32) -> Four {
    let plane = params.plane;
    return gather(Six(
        m[at], m[at + 6u * plane], m[at + 12u * plane], m[at + 18u * plane], m[at + 24u * plane], m[at + 30u * plane],
    ));
}

// Rows of the results of four tiles: a.b is column b of row a.
struct Results { a: Four, b: Four, c: Four, d: Four }

fn results(at: u32) -> Results {
    let plane = params.plane;
    let c0 = column(at);
    let c1 = column(at + plane);
    let c2 = column(at + 2u * plane);
    let c3 = column(at + 3u * plane);
    let c4 = column(at + 4u * plane);
    let c5 = column(at + 5u * plane);
    return Results(
        gather(Six(c0.a, c1.a, c2.a, c3.a, c4.a, c5.a)),
        gather(Six(c0.b, c1.b, c2.b, c3.b, c4.b, c5.b)),
        gather(Six(c0.c, c1.c, c2.c, c3.c, c4.c, c5.c)),
        gather(Six(c0.d, c1.d, c2.d, c3.d, c4.d, c5.d)),
    );
}

// The results of one tile, row by row.
fn tile(r: Results, n: u32) -> Four {
    return Four(
        vec4f(r.a.a[n], r.a.b[n], r.a.c[n], r.a.d[n]), vec4f(r.b.a[n], r.b.b[n], r.b.c[n], r.b.d[n]),
        vec4f(r.c.a[n], r.c.b[n], r.c.c[n], r.c.d[n]), vec4f(r.d.a[n], r.d.b[n], r.d.c[n], r.d.d[n]),
    );
}

// What an invocation's stores share.
struct Out { plane: i32, accumulate: bool, mask: bool, bias: f32 }

fn out_of(channel: u32, steer: u32) -> Out {
    let add_bias = params.add_bias + steer != 0u;
    let b = select(0.0, bias[select(0u, channel, add_bias)], add_bias);
    return Out(i32(channel) * params.height, params.accumulate + steer != 0u, params.mask + steer != 0u, b);
}

fn live_tiles(quad: u32) -> vec4<bool> {
    let tile = vec4u(params.first_tile + quad * 4u) + vec4u(0u, 1u, 2u, 3u);
    return (tile < vec4u(params.tiles)) & vec4<bool>(quad < params.columns);
}

fn store(at: i32, live: bool, out: Out, sum: f32) {
    if live {
        var s = sum + out.bias;
        if out.accumulate {
            s += f32(y[at]);
        }
        if out.mask {
            s = select(0.0, s, f32(gate[at]) > 0.0);
        }
        y[at] = Stored(select(s, max(s, 0.0), params.relu != 0u));
    }
}

// A row of one tile; `left`: how many of its pixels lie on the map.
fn store_row(at: i32, left: i32, out: Out, p: vec4f) {
    store(at, left > 0, out, p.x);
    store(at + 1, left > 1, out, p.y);
    store(at + 2, left > 2, out, p.z);
    store(at + 3, left > 3, out, p.w);
}

fn store_tile(x0: i32, y0: i32, live: bool, out: Out, p: Four) {
    let at = (out.plane + y0) * params.width + x0;
    let columns = select(0, params.width - x0, live);
    let rows = params.height - y0;
    store_row(at, columns, out, p.a);
    store_row(at + params.width, select(0, columns, rows > 1), out, p.b);
    store_row(at + 2 * params.width, select(0, columns, rows > 2), out, p.c);
    store_row(at + 3 * params.width, select(0, columns, rows > 3), out, p.d);
}

fn store_row_aligned(at: i32, live: bool, out: Out, p: vec4f) {
    if live {
        var s = p + out.bias;
        if out.accumulate {
            s += vec4f(y4[at]);
        }
        if out.mask {
            s = select(vec4f(), s, vec4f(gate4[at]) > vec4f());
        }
        y4[at] = Stored4(select(s, max(s, vec4f()), params.relu != 0u));
    }
}

fn store_tile_aligned(x0: i32, y0: i32, live: bool, out: Out, p: Four) {
    let at = ((out.plane + y0) * params.width + x0) / 4;
    let rows = select(0, params.height - y0, live);
    let next = params.width / 4;
    store_row_aligned(at, rows > 0, out, p.a);
    store_row_aligned(at + next, rows > 1, out, p.b);
    store_row_aligned(at + 2 * next, rows > 2, out, p.c);
    store_row_aligned(at + 3 * next, rows > 3, out, p.d);
}

@compute @workgroup_size(8)
fn transform_output(@builtin(global_invocation_id) id: vec3u) {
    let own = work(id);
    let r = results(own.at);
    let t = tiles_of(own.column);
    let live = live_tiles(own.column);
    let out = out_of(own.row, id.z);
    store_tile(t.x0.x, t.y0.x, live.x, out, tile(r, 0u));
    store_tile(t.x0.y, t.y0.y, live.y, out, tile(r, 1u));
    store_tile(t.x0.z, t.y0.z, live.z, out, tile(r, 2u));
    store_tile(t.x0.w, t.y0.w, live.w, out, tile(r, 3u));
}

@compute @workgroup_size(8)
fn transform_output_aligned(@builtin(global_invocation_id) id: vec3u) {
    let own = work(id);
    let r = results(own.at);
    let t = tiles_of(own.column);
    let live = live_tiles(own.column);
    let out = out_of(own.row, id.z);
    store_tile_aligned(t.x0.x, t.y0.x, live.x, out, tile(r, 0u));
    store_tile_aligned(t.x0.y, t.y0.y, live.y, out, tile(r, 1u));
    store_tile_aligned(t.x0.z, t.y0.z, live.z, out, tile(r, 2u));
    store_tile_aligned(t.x0.w, t.y0.w, live.w, out, tile(r, 3u));
}

fn store_channel(channel: u32, steer: u32, t: Tiles, p: Four) {
    let live = channel < params.channels;
    store_tile(t.x0.x, t.y0.x, live, out_of(min(channel, params.channels - 1u), steer), p);
}

@compute @workgroup_size(8)
fn transform_output_deep(@builtin(global_invocation_id) id: vec3u) {
    let own = work(id);
    let r = results(own.at);
    let t = one_tile(own.row);
    store_channel(own.column * 4u, id.z, t, tile(r, 0u));
    store_channel(own.column * 4u + 1u, id.z, t, tile(r, 1u));
    store_channel(own.column * 4u + 2u, id.z, t, tile(r, 2u));
    store_channel(own.column * 4u + 3u, id.z, t, tile(r, 3u));
}
