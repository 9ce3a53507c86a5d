// A matrix times a map: convolution 1x1, and step 2 of 2 of the Gram matrix's gradient; for GPUs, through workgroup memory.
//
//   y[o, p] = act( [y[o, p]] + [bias[o]] + sum over i of m[o, i] * x[i, p] )
//
// x: planar C x N, y: planar O x N, `Stored`, any C, O and N >= 1.
// m: [block of 32 rows o][i / 4][row of 32] -> vec4f of four i; zeros where a channel does not exist; ceil(O / 32) * 32 rows
//   of ceil(C / 4) * 4.
// One workgroup of 256: 64 output channels x 128 pixels, 16 input channels deep. One invocation: 4 channels x 8 pixels
//   (columns 4 c.. and 64 + 4 c..). Grid: (ceil(N / 128) folded at 32768 into z, ceil(O / 64), z).
// Writes =, or += where params.accumulate is set. Workgroup memory: 12 KiB.

struct Params {
    in_channels: u32,
    out_channels: u32,
    pixels: u32,
    accumulate: u32,    // 1: add to what y holds
    add_bias: u32,
    relu: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> m: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<Stored>;

var<workgroup> panel: array<vec4f, 512>;    // [16 inputs][32 quads of pixels]
var<workgroup> matrix: array<vec4f, 256>;   // [4 quads of inputs][64 rows]

fn fetch_pixels(j: u32, pixel: u32) -> vec4f {
    let p = vec4u(pixel) + vec4u(0u, 1u, 2u, 3u);
    let at = min(j, params.in_channels - 1u) * params.pixels + min(p, vec4u(params.pixels - 1u));
    let v = vec4f(f32(x[at.x]), f32(x[at.y]), f32(x[at.z]), f32(x[at.w]));
    return select(v, vec4f(0.0), vec4<bool>(j >= params.in_channels));
}

fn fetch_matrix(row: u32, quad: u32) -> vec4f {
    let quads = (params.in_channels + 3u) / 4u;
    let none = row >= params.out_channels || quad >= quads;
    let at = (min(row, params.out_channels - 1u) / 32u * quads + min(quad, quads - 1u)) * 32u + row % 32u;
    return select(m[at], vec4f(0.0), none);
}

fn store_pixel(at: u32, live: bool, sum: f32) {
    if live {
        let v = sum + select(0.0, f32(y[at]), params.accumulate != 0u);
        y[at] = Stored(select(v, max(v, 0.0), params.relu != 0u));
    }
}

fn store(row: u32, pixel: u32, sums: vec4f) {
    let at = row * params.pixels + pixel;
    let live = row < params.out_channels;
    let add_bias = params.add_bias != 0u;
    let v = sums + select(0.0, bias[select(0u, row, live & add_bias)], add_bias);
    store_pixel(at, live && pixel < params.pixels, v.x);
    store_pixel(at + 1u, live && pixel + 1u < params.pixels, v.y);
    store_pixel(at + 2u, live && pixel + 2u < params.pixels, v.z);
    store_pixel(at + 3u, live && pixel + 3u < params.pixels, v.w);
}

@compute @workgroup_size(256)
fn multiply(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u) {
    let pixel = (group.z * 32768u + group.x) * 128u;
    let first = group.y * 64u;
    let quad = thread & 31u;    // this invocation's share of the panel: rows j0 and j0 + 8
    let j0 = thread >> 5u;
    let column = thread & 15u;  // its results
    let row = thread >> 4u;
    // The last term is 0: it keeps lavapipe from compiling a copy of the kernel for every C.
    let steps = (params.in_channels + 15u) / 16u + (group.x >> 16u);

    var a0 = vec4f();
    var a1 = vec4f();
    var a2 = vec4f();
    var a3 = vec4f();
    var b0 = vec4f();
    var b1 = vec4f();
    var b2 = vec4f();
    var b3 = vec4f();
    var next0 = fetch_pixels(j0, pixel + quad * 4u);
    var next1 = fetch_pixels(j0 + 8u, pixel + quad * 4u);
    var next_matrix = fetch_matrix(first + (thread & 63u), thread >> 6u);
    for (var step = 0u; step < steps; step++) {
        workgroupBarrier();
        panel[thread] = next0;
        panel[thread + 256u] = next1;
        matrix[thread] = next_matrix;
        workgroupBarrier();
        let j = (step + 1u) * 16u;
        next0 = fetch_pixels(j + j0, pixel + quad * 4u);
        next1 = fetch_pixels(j + j0 + 8u, pixel + quad * 4u);
        next_matrix = fetch_matrix(first + (thread & 63u), j / 4u + (thread >> 6u));
        for (var q = 0u; q < 4u; q++) {
            let m0 = matrix[q * 64u + row * 4u];
            let m1 = matrix[q * 64u + row * 4u + 1u];
            let m2 = matrix[q * 64u + row * 4u + 2u];
            let m3 = matrix[q * 64u + row * 4u + 3u];
            let l0 = panel[q * 128u + 0u + column];
            let r0 = panel[q * 128u + 16u + column];
            a0 += m0.x * l0;
            b0 += m0.x * r0;
            a1 += m1.x * l0;
            b1 += m1.x * r0;
            a2 += m2.x * l0;
            b2 += m2.x * r0;
            a3 += m3.x * l0;
            b3 += m3.x * r0;
            let l1 = panel[q * 128u + 32u + column];
            let r1 = panel[q * 128u + 48u + column];
            a0 += m0.y * l1;
            b0 += m0.y * r1;
            a1 += m1.y * l1;
            b1 += m1.y * r1;
            a2 += m2.y * l1;
            b2 += m2.y * r1;
            a3 += m3.y * l1;
            b3 += m3.y * r1;
            let l2 = panel[q * 128u + 64u + column];
            let r2 = panel[q * 128u + 80u + column];
            a0 += m0.z * l2;
            b0 += m0.z * r2;
            a1 += m1.z * l2;
            b1 += m1.z * r2;
            a2 += m2.z * l2;
            b2 += m2.z * r2;
            a3 += m3.z * l2;
            b3 += m3.z * r2;
            let l3 = panel[q * 128u + 96u + column];
            let r3 = panel[q * 128u + 112u + column];
            a0 += m0.w * l3;
            b0 += m0.w * r3;
            a1 += m1.w * l3;
            b1 += m1.w * r3;
            a2 += m2.w * l3;
            b2 += m2.w * r3;
            a3 += m3.w * l3;
            b3 += m3.w * r3;
        }
    }
    let out = first + row * 4u;
    store(out, pixel + column * 4u, a0);
    store(out + 1u, pixel + column * 4u, a1);
    store(out + 2u, pixel + column * 4u, a2);
    store(out + 3u, pixel + column * 4u, a3);
    store(out, pixel + 64u + column * 4u, b0);
    store(out + 1u, pixel + 64u + column * 4u, b1);
    store(out + 2u, pixel + 64u + column * 4u, b2);
    store(out + 3u, pixel + 64u + column * 4u, b3);
}
