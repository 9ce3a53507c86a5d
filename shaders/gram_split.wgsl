// Gram matrix, stage 1 of 2, for adapters that run shaders on the CPU (lavapipe): sums over a part of the pixels.
//
//   partials[s, t, i, j] = sum over the pixels p of split s of x[16 ti + i, p] * x[16 tj + j, p]
//
// x: planar C x N, `Stored`. `x` and `x4` are the same buffer. With ALIGNED, N is a multiple of 4 and the
//   binding 16-byte aligned; without, any N >= 1, at about half the speed.
// partials: [split][tile pair t][16][16], as vec4f. t counts the pairs (ti, tj) with tj >= ti, row by row:
//   G is symmetric. What belongs to channels that do not exist is garbage; stage 2 leaves it out.
// One invocation: 16 x 16 pairs of channels over its own pixels: quads s, s + splits, s + 2 splits, ...
// One workgroup: 8 neighbouring splits (one lane each) of one tile pair. Grid: (splits / 8, pairs, 1).
// Writes `=`. No atomics: the order of the sums is fixed. At most 65535 pairs.
// `id.z` is always 0: it keeps lavapipe from compiling a copy of the kernel for every value of a uniform.

struct Params {
    channels: u32,
    pixels: u32,
    splits: u32,    // a multiple of 8
    pairs: u32,     // T (T + 1) / 2 with T = ceil(channels / 16)
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> x4: array<Stored4>;
@group(0) @binding(3) var<storage, read_write> partials: array<vec4f>;

override ALIGNED: bool = true;

// Sixteen channels' values at four pixels; sixteen channels' sums with one channel.
struct Quads { a: vec4f, b: vec4f, c: vec4f, d: vec4f, e: vec4f, f: vec4f, g: vec4f, h: vec4f,
               i: vec4f, j: vec4f, k: vec4f, l: vec4f, m: vec4f, n: vec4f, o: vec4f, p: vec4f }
struct Sums { a: vec4f, b: vec4f, c: vec4f, d: vec4f }

fn load(channel: u32, quad: u32) -> vec4f {
    let at = min(channel, params.channels - 1u) * params.pixels;
    if ALIGNED {
        let v = vec4f(x4[at / 4u + min(quad, params.pixels / 4u - 1u)]);
        return select(v, vec4f(0.0), quad * 4u >= params.pixels);
    }
    let p = vec4u(quad * 4u) + vec4u(0u, 1u, 2u, 3u);
    let q = at + min(p, vec4u(params.pixels - 1u));
    let v = vec4f(f32(x[q.x]), f32(x[q.y]), f32(x[q.z]), f32(x[q.w]));
    return select(v, vec4f(0.0), p >= vec4u(params.pixels));
}

fn load_all(c: u32, q: u32) -> Quads {
    return Quads(
        load(c, q), load(c + 1u, q), load(c + 2u, q), load(c + 3u, q),
        load(c + 4u, q), load(c + 5u, q), load(c + 6u, q), load(c + 7u, q),
        load(c + 8u, q), load(c + 9u, q), load(c + 10u, q), load(c + 11u, q),
        load(c + 12u, q), load(c + 13u, q), load(c + 14u, q), load(c + 15u, q),
    );
}

fn products(s: Sums, u: vec4f, v: Quads) -> Sums {
    return Sums(
        s.a + vec4f(dot(u, v.a), dot(u, v.b), dot(u, v.c), dot(u, v.d)),
        s.b + vec4f(dot(u, v.e), dot(u, v.f), dot(u, v.g), dot(u, v.h)),
        s.c + vec4f(dot(u, v.i), dot(u, v.j), dot(u, v.k), dot(u, v.l)),
        s.d + vec4f(dot(u, v.m), dot(u, v.n), dot(u, v.o), dot(u, v.p)),
    );
}

fn store(at: u32, s: Sums) {
    partials[at] = s.a;
    partials[at + 1u] = s.b;
    partials[at + 2u] = s.c;
    partials[at + 3u] = s.d;
}

@compute @workgroup_size(8)
fn partial_products(@builtin(global_invocation_id) id: vec3u) {
    let tiles = (params.channels + 15u) / 16u;
    var ti = 0u;
    var rest = id.y;
    while rest >= tiles - ti {
        rest -= tiles - ti;
        ti++;
    }
    let first_i = ti * 16u;
    let first_j = (ti + rest) * 16u;

    var s0 = Sums();
    var s1 = Sums();
    var s2 = Sums();
    var s3 = Sums();
    var s4 = Sums();
    var s5 = Sums();
    var s6 = Sums();
    var s7 = Sums();
    var s8 = Sums();
    var s9 = Sums();
    var s10 = Sums();
    var s11 = Sums();
    var s12 = Sums();
    var s13 = Sums();
    var s14 = Sums();
    var s15 = Sums();
    let steps = ((params.pixels + 3u) / 4u + params.splits - 1u) / params.splits + id.z;
    var quad = id.x;
    for (var step = 0u; step < steps; step++) {
        let u = load_all(first_i, quad);
        let v = load_all(first_j, quad);
        s0 = products(s0, u.a, v);
        s1 = products(s1, u.b, v);
        s2 = products(s2, u.c, v);
        s3 = products(s3, u.d, v);
        s4 = products(s4, u.e, v);
        s5 = products(s5, u.f, v);
        s6 = products(s6, u.g, v);
        s7 = products(s7, u.h, v);
        s8 = products(s8, u.i, v);
        s9 = products(s9, u.j, v);
        s10 = products(s10, u.k, v);
        s11 = products(s11, u.l, v);
        s12 = products(s12, u.m, v);
        s13 = products(s13, u.n, v);
        s14 = products(s14, u.o, v);
        s15 = products(s15, u.p, v);
        quad += params.splits;
    }
    let at = (id.x * params.pairs + id.y) * 64u;
    store(at, s0);
    store(at + 4u, s1);
    store(at + 8u, s2);
    store(at + 12u, s3);
    store(at + 16u, s4);
    store(at + 20u, s5);
    store(at + 24u, s6);
    store(at + 28u, s7);
    store(at + 32u, s8);
    store(at + 36u, s9);
    store(at + 40u, s10);
    store(at + 44u, s11);
    store(at + 48u, s12);
    store(at + 52u, s13);
    store(at + 56u, s14);
    store(at + 60u, s15);
}
