// Gram matrix of a feature map (Gatys et al. 2016, eq. 3, over N), and its gradient:
//   y[i, j] = sum over p of x[i, p] * x[j, p] / N
//   dx[i, p] = [dx[i, p]] + sum over j of s[i, j] * x[j, p], s[i, j] = (dy[i, j] + dy[j, i]) / N
// The last product is product.wgsl's or product_uniform.wgsl's; symmetrize packs s for them.
//
// The baseline, made for GPUs: products through workgroup memory, in tiles. gram_split.wgsl replaces
// partial_products on software drivers.
//
// x: planar C x N, `Stored`, any C and N >= 1. y, dy: C x C.
// partials: [split][tile pair t][tile][tile]. t counts the pairs (ti, tj) with tj >= ti, row by row: y is
//   symmetric. What belongs to channels that do not exist is never read.
// packed: [block of 32 rows i][j / 4][row of 32] -> vec4f of four j; zeros where a channel
//   does not exist; ceil(C / 32) * 32 rows of ceil(C / 4) * 4.
//
// partial_products: one workgroup of 256, a pair of 64-channel tiles over `span` pixels, 16 at a time; one
//   invocation, 4 x 4 pairs of channels (i = 4 row.., j = 4 column..). Grid: (splits, pairs, 1). Writes =.
// finish, symmetrize: one invocation an element; 256 a workgroup, folded. Both write =.
// No atomics: the order of the sums is fixed. Workgroup memory: 8.5 KiB.

struct Params {
    channels: u32,
    pixels: u32,
    span: u32,      // pixels of a split, a multiple of 16
    pairs: u32,     // T (T + 1) / 2 with T = ceil(channels / tile)
    tile: u32,      // channels of a tile: 64, or 16 after gram_split.wgsl
    splits: u32,
    scale: f32,     // 1 / N
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read_write> partials: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> packed: array<f32>;

const PITCH = 17u;  // vec4f of one pixel's row: 64 channels and 4 of padding, against bank conflicts

var<workgroup> panel_i: array<vec4f, 272>;
var<workgroup> panel_j: array<vec4f, 272>;

// One pixel of four channels: a vec4f of a panel.
fn fetch_channels(channel: u32, pixel: u32, end: u32) -> vec4f {
    let c = vec4u(channel) + vec4u(0u, 1u, 2u, 3u);
    let at = min(c, vec4u(params.channels - 1u)) * params.pixels + min(pixel, params.pixels - 1u);
    let v = vec4f(f32(x[at.x]), f32(x[at.y]), f32(x[at.z]), f32(x[at.w]));
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
    if element >= (n + 31u) / 32u * quads * 128u {
        return;
    }
    let j = element / 128u % quads * 4u + element % 4u;
    let i = element / 128u / quads * 32u + element / 4u % 32u;
    let a = dy[min(i, n - 1u) * n + min(j, n - 1u)];
    let b = dy[min(j, n - 1u) * n + min(i, n - 1u)];
    packed[element] = select(0.0, (a + b) * params.scale, i < n && j < n);
}
