// A matrix times a map: convolution 1x1, and step 2 of 2 of the Gram matrix's gradient; for adapters that run shaders
// on the CPU (lavapipe).
//
//   y[o, p] = act( [y[o, p]] + [bias[o]] + sum over i of m[o, i] * x[i, p] )
//
// x: planar C x N, y: planar O x N, f32, N a multiple of 4, bindings 16-byte aligned (any N: product_uniform_any.wgsl).
// m: a window of 64 KiB of the packed matrix, from the block of 16 rows where this dispatch starts (offset 64 * P bytes a
//   block, P = ceil(C / 4) * 4: always a multiple of 256): [block of 16 rows][i / 4][row of 16] -> vec4f of four i. C <= 1024.
// One invocation: 16 pixels x 16 channels. One workgroup: 8 neighbouring runs of 16 pixels (one lane each).
// Grid: (ceil(N / 128), blocks, 1) with at most floor(1024 / P) blocks a dispatch; N <= 8.3 million.
// Writes `=`, or `+=` where params.accumulate is set.
// `id.z` is always 0: it keeps lavapipe from compiling a copy of the kernel for every value of a uniform.

struct Params {
    in_channels: u32,
    out_channels: u32,
    pixels: u32,
    first_out: u32,     // first output channel of the window
    accumulate: u32,    // 1: add to what y holds
    add_bias: u32,
    relu: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<uniform> m: array<vec4f, 4096>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

// Sixteen pixels.
struct Run { a: vec4f, b: vec4f, c: vec4f, d: vec4f }

fn load(channel: u32, quad: u32) -> Run {
    let quads = params.pixels / 4u;
    let at = min(channel, params.in_channels - 1u) * quads;
    let last = quads - 1u;
    let none = channel >= params.in_channels;
    return Run(
        select(x[at + min(quad, last)], vec4f(0.0), none),
        select(x[at + min(quad + 1u, last)], vec4f(0.0), none),
        select(x[at + min(quad + 2u, last)], vec4f(0.0), none),
        select(x[at + min(quad + 3u, last)], vec4f(0.0), none),
    );
}

fn rows(r: Run, at: u32, u: Run, v: Run, w: Run, t: Run) -> Run {
    let k = m[at];
    return Run(
        r.a + k.x * u.a + k.y * v.a + k.z * w.a + k.w * t.a,
        r.b + k.x * u.b + k.y * v.b + k.z * w.b + k.w * t.b,
        r.c + k.x * u.c + k.y * v.c + k.z * w.c + k.w * t.c,
        r.d + k.x * u.d + k.y * v.d + k.z * w.d + k.w * t.d,
    );
}

// Where an invocation's results go.
struct Out { channel: u32, quad: u32, accumulate: bool, add_bias: bool }

fn store_quad(at: u32, live: bool, accumulate: bool, sum: vec4f) {
    if live {
        var v = sum;
        if accumulate {
            v += y[at];
        }
        y[at] = select(v, max(v, vec4f()), params.relu != 0u);
    }
}

fn store(out: Out, row: u32, r: Run) {
    let channel = out.channel + row;
    let quads = params.pixels / 4u;
    let at = channel * quads + out.quad;
    let live = channel < params.out_channels;
    let b = select(0.0, bias[select(0u, channel, live & out.add_bias)], out.add_bias);
    store_quad(at, live && out.quad < quads, out.accumulate, r.a + b);
    store_quad(at + 1u, live && out.quad + 1u < quads, out.accumulate, r.b + b);
    store_quad(at + 2u, live && out.quad + 2u < quads, out.accumulate, r.c + b);
    store_quad(at + 3u, live && out.quad + 3u < quads, out.accumulate, r.d + b);
}

@compute @workgroup_size(8)
fn multiply(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x * 4u;
    let steps = (params.in_channels + 3u) / 4u + id.z;
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
    let add_bias = params.add_bias + id.z != 0u;
    let out = Out(params.first_out + id.y * 16u, quad, accumulate, add_bias);
    store(out, 0u, r0);
    store(out, 1u, r1);
    store(out, 2u, r2);
    store(out, 3u, r3);
    store(out, 4u, r4);
    store(out, 5u, r5);
    store(out, 6u, r6);
    store(out, 7u, r7);
    store(out, 8u, r8);
    store(out, 9u, r9);
    store(out, 10u, r10);
    store(out, 11u, r11);
    store(out, 12u, r12);
    store(out, 13u, r13);
    store(out, 14u, r14);
    store(out, 15u, r15);
}
