// A matrix times a map: convolution 1x1, step 2 of 2 of the Gram matrix's gradient, and, for a batch of matrices, step 2 of 3
// of a Winograd convolution; for adapters that run shaders on the CPU (lavapipe).
//
//   y[b, o, p] = act( [y[b, o, p]] + [bias[o]] + sum over i of m[b, o, i] * x[b, i, p] )
//
// x, y: f32, N a multiple of 4, bindings 16-byte aligned (any N: product_uniform_any.wgsl). Either planar, C x N and O x N, or
//   a batch in runs of 128 pixels, B x N / 128 x C x 128: a workgroup reads and writes one after the other, which
//   is half as fast again where rows are long. The strides in `params` say which.
// m: a window of 64 KiB of the packed matrix, from the block of 32 rows where this dispatch starts (offset 128 * P bytes a
//   block, P = ceil(C / 4) * 4: always a multiple of 256): [block of 32 rows][i / 4][row of 32] -> vec4f of four i, zeros beyond C. C <= 512.
// One invocation: 16 pixels x 32 channels. One workgroup: 8 neighbouring runs of 16 pixels (one lane each).
// Grid: (ceil(N / 128), blocks, 1) with at most floor(512 / P) blocks a dispatch; N <= 8.3 million.
// Writes `=`, or `+=` where params.accumulate is set.
// `id.z` is always 0: it keeps lavapipe from compiling a copy of the kernel for every value of a uniform.

struct Params {
    in_channels: u32,
    out_channels: u32,
    pixels: u32,
    row: u32,           // vec4f from a channel to the next: N / 4, or 32 in runs
    run_in: u32,        // vec4f from a workgroup's pixels to the next one's, of x: 32, or 32 C
    run_out: u32,       // of y: 32, or 32 O
    first: u32,         // block of 32 rows of the window's first, counted through all matrices
    blocks: u32,        // of one matrix: ceil(O / 32)
    accumulate: u32,    // 1: add to what y holds
    add_bias: u32,
    relu: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored4>;
@group(0) @binding(2) var<uniform> m: array<vec4f, 4096>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<Stored4>;

// Sixteen pixels.
struct Run { a: vec4f, b: vec4f, c: vec4f, d: vec4f }

// A lane's four vec4f of a channel; `at`: where the workgroup's run of x starts, `quad`: the lane's first in it, `last`: the
// map's last.
fn load(at: u32, channel: u32, quad: u32, last: u32) -> Run {
    let row = at + min(channel, params.in_channels - 1u) * params.row;
    return Run(vec4f(x[row + min(quad, last)]), vec4f(x[row + min(quad + 1u, last)]), vec4f(x[row + min(quad + 2u, last)]), vec4f(x[row + min(quad + 3u, last)]));
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
struct Out { at: u32, channel: u32, quads: i32, accumulate: bool, add_bias: bool }

fn store_quad(at: u32, live: bool, accumulate: bool, sum: vec4f) {
    if live {
        var v = sum;
        if accumulate {
            v += vec4f(y[at]);
        }
        y[at] = Stored4(select(v, max(v, vec4f()), params.relu != 0u));
    }
}

fn store(out: Out, row: u32, r: Run) {
    let channel = out.channel + row;
    let at = out.at + channel * params.row;
    let quads = select(0, out.quads, channel < params.out_channels);
    let b = select(0.0, bias[select(0u, channel, (quads > 0) & out.add_bias)], out.add_bias);
    store_quad(at, quads > 0, out.accumulate, r.a + b);
    store_quad(at + 1u, quads > 1, out.accumulate, r.b + b);
    store_quad(at + 2u, quads > 2, out.accumulate, r.c + b);
    store_quad(at + 3u, quads > 3, out.accumulate, r.d + b);
}

@compute @workgroup_size(8)
fn multiply(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x % 8u * 4u;
    let run = id.x / 8u;
    let left = params.pixels / 4u - run * 32u;
    let batch = (params.first + id.y) / params.blocks;
    let batch_pixels = batch * params.pixels / 4u;
    let start = batch_pixels * params.in_channels + run * params.run_in;
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
    var r16 = Run();
    var r17 = Run();
    var r18 = Run();
    var r19 = Run();
    var r20 = Run();
    var r21 = Run();
    var r22 = Run();
    var r23 = Run();
    var r24 = Run();
    var r25 = Run();
    var r26 = Run();
    var r27 = Run();
    var r28 = Run();
    var r29 = Run();
    var r30 = Run();
    var r31 = Run();
    var at = id.y * steps * 32u;
    for (var step = 0u; step < steps; step++) {
        let u = load(start, step * 4u, quad, left - 1u);
        let v = load(start, step * 4u + 1u, quad, left - 1u);
        let w = load(start, step * 4u + 2u, quad, left - 1u);
        let t = load(start, step * 4u + 3u, quad, left - 1u);
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
        r16 = rows(r16, at + 16u, u, v, w, t);
        r17 = rows(r17, at + 17u, u, v, w, t);
        r18 = rows(r18, at + 18u, u, v, w, t);
        r19 = rows(r19, at + 19u, u, v, w, t);
        r20 = rows(r20, at + 20u, u, v, w, t);
        r21 = rows(r21, at + 21u, u, v, w, t);
        r22 = rows(r22, at + 22u, u, v, w, t);
        r23 = rows(r23, at + 23u, u, v, w, t);
        r24 = rows(r24, at + 24u, u, v, w, t);
        r25 = rows(r25, at + 25u, u, v, w, t);
        r26 = rows(r26, at + 26u, u, v, w, t);
        r27 = rows(r27, at + 27u, u, v, w, t);
        r28 = rows(r28, at + 28u, u, v, w, t);
        r29 = rows(r29, at + 29u, u, v, w, t);
        r30 = rows(r30, at + 30u, u, v, w, t);
        r31 = rows(r31, at + 31u, u, v, w, t);
        at += 32u;
    }
    let accumulate = params.accumulate + id.z != 0u;
    let add_bias = params.add_bias + id.z != 0u;
    let to = batch_pixels * params.out_channels + run * params.run_out + quad;
    let channel = (params.first + id.y) % params.blocks * 32u;
    let out = Out(to, channel, i32(left) - i32(quad), accumulate, add_bias);
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
    store(out, 16u, r16);
    store(out, 17u, r17);
    store(out, 18u, r18);
    store(out, 19u, r19);
    store(out, 20u, r20);
    store(out, 21u, r21);
    store(out, 22u, r22);
    store(out, 23u, r23);
    store(out, 24u, r24);
    store(out, 25u, r25);
    store(out, 26u, r26);
    store(out, 27u, r27);
    store(out, 28u, r28);
    store(out, 29u, r29);
    store(out, 30u, r30);
    store(out, 31u, r31);
}
