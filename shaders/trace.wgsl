// Copies the four losses of a step into its place in a ring, from which the host reads in batches.
//
// ring: rows of 4 numbers: total, content, style, total variation. clock: the step in clock[0].
// One invocation; writes one row =.

struct Params {
    rows: u32,
}

@group(0) @binding(0) var<storage, read> total: array<f32>;
@group(0) @binding(1) var<storage, read> content: array<f32>;
@group(0) @binding(2) var<storage, read> style: array<f32>;
@group(0) @binding(3) var<storage, read> variation: array<f32>;
@group(0) @binding(4) var<storage, read> clock: array<f32>;
@group(0) @binding(5) var<storage, read_write> ring: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(1)
fn write() {
    let row = 4u * (u32(clock[0]) % params.rows);
    ring[row] = total[0];
    ring[row + 1u] = content[0];
    ring[row + 2u] = style[0];
    ring[row + 3u] = variation[0];
}
