// Gram matrix, gradient, step 2 of 2, for adapters that run shaders on the CPU (lavapipe).
//
//   dx[i, p] = [dx[i, p]] + sum over j of s[i, j] * x[j, p]
//
// x, dx: planar C x N, f32, N a multiple of 4, bindings 16-byte aligned (any N: gram_uniform_any.wgsl).
// s: a window of 64 KiB of what symmetrize in gram.wgsl writes, from the block of 16 rows where this dispatch starts
//   (offset 64 * P bytes a block, P = ceil(C / 4) * 4: always a multiple of 256). C <= 1024.
// One invocation: 16 pixels x 16 channels. One workgroup: 8 neighbouring runs of 16 pixels (one lane each).
// Grid: (ceil(N / 128), blocks, 1) with at most floor(1024 / P) blocks a dispatch; N <= 8.3 million.
// Writes `=`, or `+=` where params.accumulate is set.
// `id.z` is always 0: it keeps lavapipe from compiling a copy of the kernel for every value of a uniform.

struct Params {
    channels: u32,
    pixels: u32,
    first_out: u32,     // first channel of the window
    accumulate: u32,    // 1: add to what dx holds
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<uniform> s: array<vec4f, 4096>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4f>;

// Sixteen pixels.
struct Run { a: vec4f, b: vec4f, c: vec4f, d: vec4f }

fn load(channel: u32, quad: u32) -> Run {
    let quads = params.pixels / 4u;
    let at = min(channel, params.channels - 1u) * quads;
    let last = quads - 1u;
    let none = channel >= params.channels;
    return Run(
        select(x[at + min(quad, last)], vec4f(0.0), none),
        select(x[at + min(quad + 1u, last)], vec4f(0.0), none),
        select(x[at + min(quad + 2u, last)], vec4f(0.0), none),
        select(x[at + min(quad + 3u, last)], vec4f(0.0), none),
    );
}

fn rows(r: Run, at: u32, u: Run, v: Run, w: Run, t: Run) -> Run {
    let k = s[at];
    return Run(
        r.a + k.x * u.a + k.y * v.a + k.z * w.a + k.w * t.a,
        r.b + k.x * u.b + k.y * v.b + k.z * w.b + k.w * t.b,
        r.c + k.x * u.c + k.y * v.c + k.z * w.c + k.w * t.c,
        r.d + k.x * u.d + k.y * v.d + k.z * w.d + k.w * t.d,
    );
}

fn store_quad(at: u32, live: bool, accumulate: bool, value: vec4f) {
    if live {
        var v = value;
        if accumulate {
            v += dx[at];
        }
        dx[at] = v;
    }
}

fn store(channel: u32, quad: u32, accumulate: bool, r: Run) {
    let quads = params.pixels / 4u;
    let at = channel * quads + quad;
    let live = channel < params.channels;
    store_quad(at, live && quad < quads, accumulate, r.a);
    store_quad(at + 1u, live && quad + 1u < quads, accumulate, r.b);
    store_quad(at + 2u, live && quad + 2u < quads, accumulate, r.c);
    store_quad(at + 3u, live && quad + 3u < quads, accumulate, r.d);
}

@compute @workgroup_size(8)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x * 4u;
    let steps = (params.channels + 3u) / 4u + id.z;
    var r0 = Run();
    var r1 = Run();
    var r2 = Run();
    var r3 = Run();
    var r4 = Run();
    var r5 = Run();
    var r6 = Run();
    var r7 = Run();
    var r8 = Run();
    var r9 = Run();
    var r10 = Run();
    var r11 = Run();
    var r12 = Run();
    var r13 = Run();
    var r14 = Run();
    var r15 = Run();
    var at = id.y * steps * 16u;
    for (var step = 0u; step < steps; step++) {
        let u = load(step * 4u, quad);
        let v = load(step * 4u + 1u, quad);
        let w = load(step * 4u + 2u, quad);
        let t = load(step * 4u + 3u, quad);
        r0 = rows(r0, at, u, v, w, t);
        r1 = rows(r1, at + 1u, u, v, w, t);
        r2 = rows(r2, at + 2u, u, v, w, t);
        r3 = rows(r3, at + 3u, u, v, w, t);
        r4 = rows(r4, at + 4u, u, v, w, t);
        r5 = rows(r5, at + 5u, u, v, w, t);
        r6 = rows(r6, at + 6u, u, v, w, t);
        r7 = rows(r7, at + 7u, u, v, w, t);
        r8 = rows(r8, at + 8u, u, v, w, t);
        r9 = rows(r9, at + 9u, u, v, w, t);
        r10 = rows(r10, at + 10u, u, v, w, t);
        r11 = rows(r11, at + 11u, u, v, w, t);
        r12 = rows(r12, at + 12u, u, v, w, t);
        r13 = rows(r13, at + 13u, u, v, w, t);
        r14 = rows(r14, at + 14u, u, v, w, t);
        r15 = rows(r15, at + 15u, u, v, w, t);
        at += 16u;
    }
    let accumulate = params.accumulate + id.z != 0u;
    let first = params.first_out + id.y * 16u;
    store(first, quad, accumulate, r0);
    store(first + 1u, quad, accumulate, r1);
    store(first + 2u, quad, accumulate, r2);
    store(first + 3u, quad, accumulate, r3);
    store(first + 4u, quad, accumulate, r4);
    store(first + 5u, quad, accumulate, r5);
    store(first + 6u, quad, accumulate, r6);
    store(first + 7u, quad, accumulate, r7);
    store(first + 8u, quad, accumulate, r8);
    store(first + 9u, quad, accumulate, r9);
    store(first + 10u, quad, accumulate, r10);
    store(first + 11u, quad, accumulate, r11);
    store(first + 12u, quad, accumulate, r12);
    store(first + 13u, quad, accumulate, r13);
    store(first + 14u, quad, accumulate, r14);
    store(first + 15u, quad, accumulate, r15);
}
