// Gram matrix of a feature map (Gatys et al. 2016, eq. 3, over N), and its gradient:
//   y[i, j] = sum over p of x[i, p] * x[j, p] / N
//   dx[i, p] = [dx[i, p]] + sum over j of s[i, j] * x[j, p], s[i, j] = (dy[i, j] + dy[j, i]) / N
//
// The baseline, made for GPUs: products through workgroup memory, in tiles. gram_split.wgsl and
// gram_uniform.wgsl replace partial_products and backward on software drivers.
//
// x, dx: planar C x N, f32, any C and N >= 1. y, dy: C x C.
// partials: [split][tile pair t][tile][tile]. t counts the pairs (ti, tj) with tj >= ti, row by row: y is
//   symmetric. What belongs to channels that do not exist is never read.
// packed, s (one buffer): [block of 16 rows i][j / 4][row of 16] -> vec4f of four j; zeros where a channel
//   does not exist; ceil(C / 16) * 16 rows of ceil(C / 4) * 4.
//
// partial_products: one workgroup of 256, a pair of 64-channel tiles over `span` pixels, 16 at a time; one
//   invocation, 4 x 4 pairs of channels (i = 4 row.., j = 4 column..). Grid: (splits, pairs, 1). Writes =.
// finish, symmetrize: one invocation an element; 256 a workgroup, folded. Both write =.
// backward: one workgroup of 256, 64 channels x 128 pixels, 16 channels j deep; one invocation, 4 channels
//   x 8 pixels (columns 4 c.. and 64 + 4 c..). Grid: (ceil(N / 128) folded at 32768 into z, ceil(C / 64), z).
//   Writes =, or += where params.accumulate is set.
// No atomics: the order of the sums is fixed. Workgroup memory: 8.5 KiB and 12 KiB.

struct Params {
    channels: u32,
    pixels: u32,
    span: u32,      // pixels of a split, a multiple of 16
    pairs: u32,     // T (T + 1) / 2 with T = ceil(channels / tile)
    tile: u32,      // channels of a tile: 64, or 16 after gram_split.wgsl
    splits: u32,
    accumulate: u32,
    scale: f32,     // 1 / N
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> partials: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> packed: array<f32>;
@group(0) @binding(6) var<storage, read> s: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> dx: array<f32>;

const PITCH = 17u;  // vec4f of one pixel's row: 64 channels and 4 of padding, against bank conflicts

var<workgroup> panel_i: array<vec4f, 272>;
var<workgroup> panel_j: array<vec4f, 272>;

// One pixel of four channels: a vec4f of a panel.
fn fetch_channels(channel: u32, pixel: u32, end: u32) -> vec4f {
    let c = vec4u(channel) + vec4u(0u, 1u, 2u, 3u);
    let at = min(c, vec4u(params.channels - 1u)) * params.pixels + min(pixel, params.pixels - 1u);
    let v = vec4f(x[at.x], x[at.y], x[at.z], x[at.w]);
    return select(v, vec4f(0.0), (c >= vec4u(params.channels)) | vec4<bool>(pixel >= end));
}

@compute @workgroup_size(256)
fn partial_products(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u) {
    let tiles = (params.channels + 63u) / 64u;
    var ti = 0u;
    var rest = group.y;
    while rest >= tiles - ti {
        rest -= tiles - ti;
        ti++;
    }
    let p = thread & 15u;   // neighbours fetch neighbouring pixels
    let quad = thread >> 4u;
    let channel_i = ti * 64u + quad * 4u;
    let channel_j = (ti + rest) * 64u + quad * 4u;
    let column = thread & 15u;
    let row = thread >> 4u;
    let start = group.x * params.span;
    let end = min(start + params.span, params.pixels);

    var s0 = vec4f();
    var s1 = vec4f();
    var s2 = vec4f();
    var s3 = vec4f();
    var next_i = fetch_channels(channel_i, start + p, end);
    var next_j = fetch_channels(channel_j, start + p, end);
    for (var at = start; at < end; at += 16u) {
        workgroupBarrier();
        panel_i[p * PITCH + quad] = next_i;
        panel_j[p * PITCH + quad] = next_j;
        workgroupBarrier();
        next_i = fetch_channels(channel_i, at + 16u + p, end);
        next_j = fetch_channels(channel_j, at + 16u + p, end);
        for (var k = 0u; k < 16u; k++) {
            let a = panel_i[k * PITCH + row];
            let b = panel_j[k * PITCH + column];
            s0 += a.x * b;
            s1 += a.y * b;
            s2 += a.z * b;
            s3 += a.w * b;
        }
    }
    let out = ((group.x * params.pairs + group.y) * 64u + row * 4u) * 16u + column;
    partials[out] = s0;
    partials[out + 16u] = s1;
    partials[out + 32u] = s2;
    partials[out + 48u] = s3;
}

@compute @workgroup_size(LANES)
fn finish(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let element = folded(group, groups, lane);
    let n = params.channels;
    if element >= n * n {
        return;
    }
    let i = min(element / n, element % n);
    let j = max(element / n, element % n);
    let t = params.tile;
    let tiles = (n + t - 1u) / t;
    let ti = i / t;
    let pair = ti * tiles - ti * (ti + 1u) / 2u + j / t;
    var at = (pair * t + i % t) * t + j % t;
    // The last term is 0: it keeps lavapipe from compiling a copy of the kernel for every count.
    let splits = params.splits + (group.x >> 16u);
    var sum = 0.0;
    for (var split = 0u; split < splits; split++) {
        sum += partials[at / 4u][at % 4u];
        at += params.pairs * t * t;
    }
    y[element] = sum * params.scale;
}

@compute @workgroup_size(LANES)
fn symmetrize(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let element = folded(group, groups, lane);
    let n = params.channels;
    let quads = (n + 3u) / 4u;
    if element >= (n + 15u) / 16u * quads * 64u {
        return;
    }
    let j = element / 64u % quads * 4u + element % 4u;
    let i = element / 64u / quads * 16u + element / 4u % 16u;
    let a = dy[min(i, n - 1u) * n + min(j, n - 1u)];
    let b = dy[min(j, n - 1u) * n + min(i, n - 1u)];
    packed[element] = select(0.0, (a + b) * params.scale, i < n && j < n);
}

var<workgroup> panel: array<vec4f, 512>;    // [16 j][32 quads of pixels]
var<workgroup> matrix: array<vec4f, 256>;   // [4 quads of j][64 rows]

fn fetch_pixels(j: u32, pixel: u32) -> vec4f {
    let p = vec4u(pixel) + vec4u(0u, 1u, 2u, 3u);
    let at = min(j, params.channels - 1u) * params.pixels + min(p, vec4u(params.pixels - 1u));
    let v = vec4f(x[at.x], x[at.y], x[at.z], x[at.w]);
    return select(v, vec4f(0.0), vec4<bool>(j >= params.channels));
}

fn fetch_matrix(row: u32, quad: u32) -> vec4f {
    let quads = (params.channels + 3u) / 4u;
    let none = row >= params.channels || quad >= quads;
    let at = (min(row, params.channels - 1u) / 16u * quads + min(quad, quads - 1u)) * 16u + row % 16u;
    return select(s[at], vec4f(0.0), none);
}

fn store_pixel(at: u32, live: bool, v: f32) {
    if live {
        dx[at] = v + select(0.0, dx[at], params.accumulate != 0u);
    }
}

fn store(row: u32, pixel: u32, v: vec4f) {
    let at = row * params.pixels + pixel;
    let live = row < params.channels;
    store_pixel(at, live && pixel < params.pixels, v.x);
    store_pixel(at + 1u, live && pixel + 1u < params.pixels, v.y);
    store_pixel(at + 2u, live && pixel + 2u < params.pixels, v.z);
    store_pixel(at + 3u, live && pixel + 3u < params.pixels, v.w);
}

@compute @workgroup_size(256)
fn backward(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u) {
    let pixel = (group.z * 32768u + group.x) * 128u;
    let first = group.y * 64u;
    let quad = thread & 31u;    // this invocation's share of the panel: rows j0 and j0 + 8
    let j0 = thread >> 5u;
    let column = thread & 15u;  // its results
    let row = thread >> 4u;
    // The last term is 0: it keeps lavapipe from compiling a copy of the kernel for every C.
    let steps = (params.channels + 15u) / 16u + (group.x >> 16u);

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
