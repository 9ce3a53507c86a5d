// The gradient of a 3x3 convolution, stride 1, padding 1, to its weights, for adapters that run shaders on the CPU with subgroups
// of 8 (lavapipe).
//
//   partials[share, o, i, ky, kx] = sum over the share's pixels (r, c) of dy[o, r, c] * x[i, r+ky-1, c+kx-1]
//
// x, dy: planar C x H x W and O x H x W, rows without padding. sums_aligned: W is a multiple of 4 and dy 16-byte aligned; sums: any W.
// partials: [share][o][i][tap], f32; conv2d_shares.wgsl adds the shares up.
// One invocation: four output channels x eight input channels x nine taps. One workgroup: 32 output channels, one lane for every
//   four. A share is some units; a unit is a strip of eight columns, `rows` rows of it. Grid: (shares, ceil(O / 32), ceil(C / 8)).
// Writes `=`.
// Why: as in conv2d_broadcast.wgsl: no pixel of x is loaded by more than one lane. Three rows of x stay in registers and move up
//   with the row of dy, so that a row of eight pixels costs ten loads of x and eight of dy (vec4), for 2304 products a lane.
// `zero` is always 0: it keeps lavapipe from compiling a copy of the kernel for every value of a uniform.

struct Params {
    width: i32,
    height: i32,
    in_channels: u32,
    out_channels: u32,
    padding_x: u32,     // 0 zeros, 1 reflect (W >= 2), 2 replicate, 3 from the other edge
    padding_y: u32,
    rows: u32,          // of a unit, at most
    runs: u32,          // units of a strip
    units: u32,
    share: u32,         // units of a share
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> dy: array<Stored>;
@group(0) @binding(3) var<storage, read> dy4: array<Stored4>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;

// A row of the window, ten pixels of eight input channels, as the lanes hold it: of each channel the first eight pixels, a lane
// each; then the ninth and the tenth, a lane for each channel.
struct Held { a: f32, b: f32, c: f32, d: f32, e: f32, f: f32, g: f32, h: f32, ninth: f32, tenth: f32 }
// Ten pixels of one channel.
struct Row { a: vec4f, b: vec4f, c: vec2f }
// Eight pixels of dy: a component for each of the lane's output channels.
struct Line { a: vec4f, b: vec4f, c: vec4f, d: vec4f, e: vec4f, f: vec4f, g: vec4f, h: vec4f }
struct Taps { a: vec4f, b: vec4f, c: vec4f, d: vec4f, e: vec4f, f: vec4f, g: vec4f, h: vec4f, i: vec4f }
// Of eight input channels.
struct Sums { a: Taps, b: Taps, c: Taps, d: Taps, e: Taps, f: Taps, g: Taps, h: Taps }

// Where a lane finds its pixels: in each channel's row, and, of the last two columns, its channel.
struct Place { column: i32, ninth: i32, tenth: i32, channel: i32, blank: bool, blank_ninth: bool, blank_tenth: bool }

fn place_of(x0: i32, first_in: u32, lane: u32) -> Place {
    let w = params.width;
    let c = x0 - 1 + i32(lane);
    return Place(
        source(c, w, params.padding_x), source(x0 + 7, w, params.padding_x), source(x0 + 8, w, params.padding_x),
        i32(min(first_in + lane, params.in_channels - 1u)),
        outside(c, w, params.padding_x), outside(x0 + 7, w, params.padding_x), outside(x0 + 8, w, params.padding_x),
    );
}

fn load(channel: u32, row: i32, column: i32, blank: bool) -> f32 {
    let plane = i32(min(channel, params.in_channels - 1u)) * params.height;
    return select(f32(x[(plane + row) * params.width + column]), 0.0, blank);
}

fn hold(p: Place, first_in: u32, r: i32) -> Held {
    let row = source(r, params.height, params.padding_y);
    let above = outside(r, params.height, params.padding_y);
    let blank = above | p.blank;
    let own = u32(p.channel);
    return Held(
        load(first_in, row, p.column, blank), load(first_in + 1u, row, p.column, blank),
        load(first_in + 2u, row, p.column, blank), load(first_in + 3u, row, p.column, blank),
        load(first_in + 4u, row, p.column, blank), load(first_in + 5u, row, p.column, blank),
        load(first_in + 6u, row, p.column, blank), load(first_in + 7u, row, p.column, blank),
        load(own, row, p.ninth, above | p.blank_ninth), load(own, row, p.tenth, above | p.blank_tenth),
    );
}

fn row_of(v: f32, c: vec2f) -> Row {
    return Row(
        vec4f(subgroupBroadcast(v, 0u), subgroupBroadcast(v, 1u), subgroupBroadcast(v, 2u), subgroupBroadcast(v, 3u)),
        vec4f(subgroupBroadcast(v, 4u), subgroupBroadcast(v, 5u), subgroupBroadcast(v, 6u), subgroupBroadcast(v, 7u)),
        c,
    );
}

fn left(sum: vec4f, d: Line, p: Row) -> vec4f {
    return sum + d.a * p.a.x + d.b * p.a.y + d.c * p.a.z + d.d * p.a.w + d.e * p.b.x + d.f * p.b.y + d.g * p.b.z + d.h * p.b.w;
}

fn middle(sum: vec4f, d: Line, p: Row) -> vec4f {
    return sum + d.a * p.a.y + d.b * p.a.z + d.c * p.a.w + d.d * p.b.x + d.e * p.b.y + d.f * p.b.z + d.g * p.b.w + d.h * p.c.x;
}

fn right(sum: vec4f, d: Line, p: Row) -> vec4f {
    return sum + d.a * p.a.z + d.b * p.a.w + d.c * p.b.x + d.d * p.b.y + d.e * p.b.z + d.f * p.b.w + d.g * p.c.x + d.h * p.c.y;
}

fn taps(t: Taps, d: Line, p: Row, q: Row, r: Row) -> Taps {
    return Taps(
        left(t.a, d, p), middle(t.b, d, p), right(t.c, d, p),
        left(t.d, d, q), middle(t.e, d, q), right(t.f, d, q),
        left(t.g, d, r), middle(t.h, d, r), right(t.i, d, r),
    );
}

// One row of dy with the rows of x above, beside and below it.
fn add_row(s: Sums, d: Line, p: Held, q: Held, r: Held) -> Sums {
    return Sums(
        taps(
            s.a, d, row_of(p.a, vec2f(subgroupBroadcast(p.ninth, 0u), subgroupBroadcast(p.tenth, 0u))),
            row_of(q.a, vec2f(subgroupBroadcast(q.ninth, 0u), subgroupBroadcast(q.tenth, 0u))),
            row_of(r.a, vec2f(subgroupBroadcast(r.ninth, 0u), subgroupBroadcast(r.tenth, 0u))),
        ),
        taps(
            s.b, d, row_of(p.b, vec2f(subgroupBroadcast(p.ninth, 1u), subgroupBroadcast(p.tenth, 1u))),
            row_of(q.b, vec2f(subgroupBroadcast(q.ninth, 1u), subgroupBroadcast(q.tenth, 1u))),
            row_of(r.b, vec2f(subgroupBroadcast(r.ninth, 1u), subgroupBroadcast(r.tenth, 1u))),
        ),
        taps(
            s.c, d, row_of(p.c, vec2f(subgroupBroadcast(p.ninth, 2u), subgroupBroadcast(p.tenth, 2u))),
            row_of(q.c, vec2f(subgroupBroadcast(q.ninth, 2u), subgroupBroadcast(q.tenth, 2u))),
            row_of(r.c, vec2f(subgroupBroadcast(r.ninth, 2u), subgroupBroadcast(r.tenth, 2u))),
        ),
        taps(
            s.d, d, row_of(p.d, vec2f(subgroupBroadcast(p.ninth, 3u), subgroupBroadcast(p.tenth, 3u))),
            row_of(q.d, vec2f(subgroupBroadcast(q.ninth, 3u), subgroupBroadcast(q.tenth, 3u))),
            row_of(r.d, vec2f(subgroupBroadcast(r.ninth, 3u), subgroupBroadcast(r.tenth, 3u))),
        ),
        taps(
            s.e, d, row_of(p.e, vec2f(subgroupBroadcast(p.ninth, 4u), subgroupBroadcast(p.tenth, 4u))),
            row_of(q.e, vec2f(subgroupBroadcast(q.ninth, 4u), subgroupBroadcast(q.tenth, 4u))),
            row_of(r.e, vec2f(subgroupBroadcast(r.ninth, 4u), subgroupBroadcast(r.tenth, 4u))),
        ),
        taps(
            s.f, d, row_of(p.f, vec2f(subgroupBroadcast(p.ninth, 5u), subgroupBroadcast(p.tenth, 5u))),
            row_of(q.f, vec2f(subgroupBroadcast(q.ninth, 5u), subgroupBroadcast(q.tenth, 5u))),
            row_of(r.f, vec2f(subgroupBroadcast(r.ninth, 5u), subgroupBroadcast(r.tenth, 5u))),
        ),
        taps(
            s.g, d, row_of(p.g, vec2f(subgroupBroadcast(p.ninth, 6u), subgroupBroadcast(p.tenth, 6u))),
            row_of(q.g, vec2f(subgroupBroadcast(q.ninth, 6u), subgroupBroadcast(q.tenth, 6u))),
            row_of(r.g, vec2f(subgroupBroadcast(r.ninth, 6u), subgroupBroadcast(r.tenth, 6u))),
        ),
        taps(
            s.h, d, row_of(p.h, vec2f(subgroupBroadcast(p.ninth, 7u), subgroupBroadcast(p.tenth, 7u))),
            row_of(q.h, vec2f(subgroupBroadcast(q.ninth, 7u), subgroupBroadcast(q.tenth, 7u))),
            row_of(r.h, vec2f(subgroupBroadcast(r.ninth, 7u), subgroupBroadcast(r.tenth, 7u))),
        ),
    );
}

// Eight pixels of four channels, turned.
fn turned(a: vec4f, b: vec4f, c: vec4f, d: vec4f, e: vec4f, f: vec4f, g: vec4f, h: vec4f) -> Line {
    return Line(
        vec4f(a.x, c.x, e.x, g.x), vec4f(a.y, c.y, e.y, g.y), vec4f(a.z, c.z, e.z, g.z), vec4f(a.w, c.w, e.w, g.w),
        vec4f(b.x, d.x, f.x, h.x), vec4f(b.y, d.y, f.y, h.y), vec4f(b.z, d.z, f.z, h.z), vec4f(b.w, d.w, f.w, h.w),
    );
}

fn quad_aligned(channel: u32, row: i32, column: i32) -> vec4f {
    let at = (i32(min(channel, params.out_channels - 1u)) * params.height + row) * params.width + min(column, params.width - 4);
    return select(vec4f(dy4[at / 4]), vec4f(), column >= params.width);
}

fn quad(channel: u32, row: i32, column: i32) -> vec4f {
    let at = (i32(min(channel, params.out_channels - 1u)) * params.height + row) * params.width;
    let c = vec4i(column) + vec4i(0, 1, 2, 3);
    let m = at + min(c, vec4i(params.width - 1));
    return select(vec4f(f32(dy[m.x]), f32(dy[m.y]), f32(dy[m.z]), f32(dy[m.w])), vec4f(), c >= vec4i(params.width));
}

fn line_aligned(o: u32, row: i32, x0: i32) -> Line {
    return turned(
        quad_aligned(o, row, x0), quad_aligned(o, row, x0 + 4), quad_aligned(o + 1u, row, x0), quad_aligned(o + 1u, row, x0 + 4),
        quad_aligned(o + 2u, row, x0), quad_aligned(o + 2u, row, x0 + 4), quad_aligned(o + 3u, row, x0), quad_aligned(o + 3u, row, x0 + 4),
    );
}

fn line(o: u32, row: i32, x0: i32) -> Line {
    return turned(
        quad(o, row, x0), quad(o, row, x0 + 4), quad(o + 1u, row, x0), quad(o + 1u, row, x0 + 4),
        quad(o + 2u, row, x0), quad(o + 2u, row, x0 + 4), quad(o + 3u, row, x0), quad(o + 3u, row, x0 + 4),
    );
}

// Where a lane's sums go: the first of its output channels, at most `live` of which are there.
struct Target { at: u32, live: u32, first_in: u32 }

fn store_tap(to: Target, tap: u32, v: vec4f) {
    let step = params.in_channels * 9u;
    let at = to.at + tap;
    if to.live > 0u {
        partials[at] = v.x;
    }
    if to.live > 1u {
        partials[at + step] = v.y;
    }
    if to.live > 2u {
        partials[at + 2u * step] = v.z;
    }
    if to.live > 3u {
        partials[at + 3u * step] = v.w;
    }
}

fn store(to: Target, input: u32, t: Taps) {
    if to.first_in + input < params.in_channels {
        store_tap(to, input * 9u, t.a);
        store_tap(to, input * 9u + 1u, t.b);
        store_tap(to, input * 9u + 2u, t.c);
        store_tap(to, input * 9u + 3u, t.d);
        store_tap(to, input * 9u + 4u, t.e);
        store_tap(to, input * 9u + 5u, t.f);
        store_tap(to, input * 9u + 6u, t.g);
        store_tap(to, input * 9u + 7u, t.h);
        store_tap(to, input * 9u + 8u, t.i);
    }
}

fn store_all(group: vec3u, lane: u32, s: Sums) {
    let o = group.y * 32u + lane * 4u;
    let first_in = group.z * 8u;
    let at = ((group.x * params.out_channels + o) * params.in_channels + first_in) * 9u;
    let to = Target(at, params.out_channels - min(o, params.out_channels), first_in);
    store(to, 0u, s.a);
    store(to, 1u, s.b);
    store(to, 2u, s.c);
    store(to, 3u, s.d);
    store(to, 4u, s.e);
    store(to, 5u, s.f);
    store(to, 6u, s.g);
    store(to, 7u, s.h);
}

// A unit's first column, its first row and the one behind its last.
struct Unit { x0: i32, row: i32, end: i32 }

fn unit_of(unit: u32) -> Unit {
    let row = i32(unit % params.runs * params.rows);
    return Unit(i32(unit / params.runs) * 8, row, min(row + i32(params.rows), params.height));
}

@compute @workgroup_size(8)
fn sums_aligned(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(global_invocation_id) id: vec3u) {
    let zero = id.z >> 16u;
    let first_in = group.z * 8u;
    var s = Sums();
    for (var unit = group.x * params.share; unit < min((group.x + 1u) * params.share, params.units) + zero; unit++) {
        let part = unit_of(unit);
        let place = place_of(part.x0, first_in, lane);
        var p = hold(place, first_in, part.row - 1);
        var q = hold(place, first_in, part.row);
        for (var row = part.row; row < part.end; row++) {
            let r = hold(place, first_in, row + 1);
            s = add_row(s, line_aligned(group.y * 32u + lane * 4u, row, part.x0), p, q, r);
            p = q;
            q = r;
        }
    }
    store_all(group, lane, s);
}

@compute @workgroup_size(8)
fn sums(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(global_invocation_id) id: vec3u) {
    let zero = id.z >> 16u;
    let first_in = group.z * 8u;
    var s = Sums();
    for (var unit = group.x * params.share; unit < min((group.x + 1u) * params.share, params.units) + zero; unit++) {
        let part = unit_of(unit);
        let place = place_of(part.x0, first_in, lane);
        var p = hold(place, first_in, part.row - 1);
        var q = hold(place, first_in, part.row);
        for (var row = part.row; row < part.end; row++) {
            let r = hold(place, first_in, row + 1);
            s = add_row(s, line(group.y * 32u + lane * 4u, row, part.x0), p, q, r);
            p = q;
            q = r;
        }
    }
    store_all(group, lane, s);
}
