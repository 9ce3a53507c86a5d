// The nearest of many vectors by centred cosine: for every place n the vector p with the largest
//   (x[·, n] − mean)·(pool[·, p] − pool_mean) / (‖x[·, n] − mean‖·‖pool[·, p] − pool_mean‖).
// The products are those of product.wgsl, for a chunk of the pool at a time; what is kept of a chunk is the maximum.
//
// x: C×N. mean: C. inverse: N, 1/‖x[·, n] − mean‖, or 0 for vectors shorter than `floor`.
// packed: a chunk of the pool, centred, of length 1, as product.wgsl takes it: [block of 32 vectors][C / 4][vector of 32]
//   -> vec4f of four channels, zeros where there is nothing. shift: for each of its vectors −mean·vector.
// scores: chunk×N. y: 2×N, number and score of the best. label, pool_label: one number a vector; only equals match.
// invert: one invocation a vector, inverse =.   pack: one an element, packed =.   offset: one workgroup a vector, shift =.
// start: one invocation an element, y = nothing (−1, −2).   fold: one invocation a place, y = the better one.

struct Params {
    count: u32,
    channels: u32,
    vectors: u32,       // of x: N
    first: u32,         // the chunk's first vector in its pool, and how many there are
    rows: u32,
    floor: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read_write> inverse: array<f32>;
@group(0) @binding(3) var<storage, read_write> packed: array<f32>;
@group(0) @binding(4) var<storage, read_write> shift: array<f32>;
@group(0) @binding(5) var<storage, read> scores: array<f32>;
@group(0) @binding(6) var<storage, read> label: array<f32>;
@group(0) @binding(7) var<storage, read> pool_label: array<f32>;
@group(0) @binding(8) var<storage, read_write> y: array<f32>;
@group(0) @binding(9) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn invert(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = folded(group, groups, lane);
    if n >= params.vectors {
        return;
    }
    var sum = 0.0;
    // The last term is 0: it keeps lavapipe from compiling a copy of the kernel for every C.
    for (var c = 0u; c < params.channels + group.z; c++) {
        let v = x[c * params.vectors + n] - mean[c];
        sum += v * v;
    }
    inverse[n] = select(0.0, 1.0 / sqrt(max(sum, 1e-30)), sum >= params.floor * params.floor);
}

@compute @workgroup_size(LANES)
fn pack(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let element = folded(group, groups, lane);
    if element >= params.count {
        return;
    }
    let quads = (params.channels + 3u) / 4u;
    let c = element / 128u % quads * 4u + element % 4u;
    let row = element / 128u / quads * 32u + element / 4u % 32u;
    let channel = min(c, params.channels - 1u);
    let vector = params.first + min(row, params.rows - 1u);
    let v = (x[channel * params.vectors + vector] - mean[channel]) * inverse[vector];
    packed[element] = select(0.0, v, (c < params.channels) & (row < params.rows));
}

@compute @workgroup_size(LANES)
fn offset(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let row = group.x;
    let quads = (params.channels + 3u) / 4u;
    var sum = 0.0;
    for (var c = lane; c < params.channels; c += LANES) {
        sum += mean[c] * packed[((row / 32u * quads + c / 4u) * 32u + row % 32u) * 4u + c % 4u];
    }
    let total = workgroup_sum(sum, lane);
    if lane == 0u {
        shift[row] = -total;
    }
}

@compute @workgroup_size(LANES)
fn start(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i < 2u * params.vectors {
        y[i] = select(-2.0, -1.0, i < params.vectors);
    }
}

@compute @workgroup_size(LANES)
fn fold(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = folded(group, groups, lane);
    if n >= params.vectors {
        return;
    }
    var number = y[n];
    var best = y[params.vectors + n];
    let scale = inverse[n];
    let own = label[n];
    for (var i = 0u; i < params.rows + group.z; i++) {
        let score = scores[i * params.vectors + n] * scale;
        // The first of equals stays.
        let better = (score > best) & (pool_label[params.first + i] == own);
        best = select(best, score, better);
        number = select(number, f32(params.first + i), better);
    }
    y[n] = number;
    y[params.vectors + n] = best;
}
