// conv2d 3x3, stride 1, padding 1, for GPUs with cooperative matrices: implicit GEMM of f16 factors with f32 sums.
//
//   y[o, r, c] = act( [y[o, r, c]] + [bias[o]] + sum over i, ky, kx of w[o, i, ky, kx] * x[i, r+ky-1, c+kx-1] )
//
// x, y: planar C x H x W, f16, any H and W >= 1. Sums are rounded to f16 once, where they are stored.
// weight: packed [SIDE outputs][SIDE inputs][tap][output][input], f16, outputs padded to 4 SIDE and inputs to SIDE with zeros.
// SIDE, Left, Right and Sums come with the module: fragments of 16 x 16 (or 8 x 8, where the adapter has those).
// One workgroup, one subgroup: 4 rows of SIDE pixels x 4 SIDE output channels, SIDE input channels deep. Their patch lies in
//   workgroup memory with the channels of a pixel side by side, so that a fragment of any tap is a load with a stride.
// Grid: (ceil(W / SIDE), ceil(H / 4), ceil(out_channels / 4 SIDE)).
// naga does not mark accesses to workgroup memory as visible to others, which modules with cooperative matrices would have to by
// Vulkan's memory model; drivers are not known to make use of that, and the tuner replays a kernel several times before it takes it.
// Writes `=`, or `+=` where params.accumulate is set.
// Not measured on a GPU yet: correct on lavapipe of Mesa 26.2.6; the tuner takes it only where it is faster than `tiled`, and right.

struct Params {
    width: i32,
    height: i32,
    in_channels: u32,
    out_channels: u32,
    padding_x: u32,     // 0 zeros, 1 reflect (W >= 2), 2 replicate, 3 from the other edge
    padding_y: u32,
    accumulate: u32,    // 1: add to what y holds
    add_bias: u32,
    relu: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> weight: array<f16>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<Stored>;

override SUBGROUP: u32 = 32u;

const AREA = SIDE * SIDE;
const ROWS = 4u;
const COLUMNS = SIDE + 2u;
const PIXELS = (ROWS + 2u) * COLUMNS;

var<workgroup> tile: array<f16, PIXELS * SIDE>;    // [row][column][channel]
var<workgroup> sums: array<f32, AREA>;              // [channel][pixel]

// The patch of the channels from `first` on.
fn fetch(lane: u32, first: u32, row0: i32, column0: i32) {
    for (var i = lane; i < PIXELS * SIDE; i += SUBGROUP) {
        let channel = first + i / PIXELS;
        let pixel = i % PIXELS;
        let row = row0 - 1 + i32(pixel / COLUMNS);
        let column = column0 - 1 + i32(pixel % COLUMNS);
        let plane = i32(min(channel, params.in_channels - 1u)) * params.height;
        let at = (plane + source(row, params.height, params.padding_y)) * params.width + source(column, params.width, params.padding_x);
        let blank = outside(row, params.height, params.padding_y) | outside(column, params.width, params.padding_x) | (channel >= params.in_channels);
        tile[pixel * SIDE + i / PIXELS] = f16(select(f32(x[at]), 0.0, blank));
    }
}

// Writes a fragment of results: SIDE channels of SIDE pixels of a row.
fn store(lane: u32, fragment: Sums, first: u32, row: i32, column0: i32) {
    coopStoreT(fragment, &sums[0], SIDE);
    workgroupBarrier();
    for (var i = lane; i < AREA; i += SUBGROUP) {
        let channel = first + i / SIDE;
        let column = column0 + i32(i % SIDE);
        if (channel < params.out_channels) & (row < params.height) & (column < params.width) {
            let at = (i32(channel) * params.height + row) * params.width + column;
            var s = sums[i];
            if params.add_bias != 0u {
                s += bias[channel];
            }
            if params.accumulate != 0u {
                s += f32(y[at]);
            }
            y[at] = Stored(select(s, max(s, 0.0), params.relu != 0u));
        }
    }
    workgroupBarrier();
}

@compute @workgroup_size(SUBGROUP)
fn convolve(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let column0 = i32(group.x * SIDE);
    let row0 = i32(group.y * ROWS);
    let steps = (params.in_channels + SIDE - 1u) / SIDE;
    // Fragments of the matrix from one block of outputs to the next.
    let block = steps * 9u * AREA;
    let weights = group.z * 4u * block;

    // [channels][row]
    var c00 = Sums(); var c01 = Sums(); var c02 = Sums(); var c03 = Sums();
    var c10 = Sums(); var c11 = Sums(); var c12 = Sums(); var c13 = Sums();
    var c20 = Sums(); var c21 = Sums(); var c22 = Sums(); var c23 = Sums();
    var c30 = Sums(); var c31 = Sums(); var c32 = Sums(); var c33 = Sums();

    for (var step = 0u; step < steps; step++) {
        workgroupBarrier();
        fetch(lane, step * SIDE, row0, column0);
        workgroupBarrier();
        for (var tap = 0u; tap < 9u; tap++) {
            let w = weights + (step * 9u + tap) * AREA;
            let a0 = coopLoadT<Left>(&weight[w], SIDE);
            let a1 = coopLoadT<Left>(&weight[w + block], SIDE);
            let a2 = coopLoadT<Left>(&weight[w + 2u * block], SIDE);
            let a3 = coopLoadT<Left>(&weight[w + 3u * block], SIDE);
            let p = (tap / 3u * COLUMNS + tap % 3u) * SIDE;
            let b0 = coopLoad<Right>(&tile[p], SIDE);
            let b1 = coopLoad<Right>(&tile[p + COLUMNS * SIDE], SIDE);
            let b2 = coopLoad<Right>(&tile[p + 2u * COLUMNS * SIDE], SIDE);
            let b3 = coopLoad<Right>(&tile[p + 3u * COLUMNS * SIDE], SIDE);
            c00 = coopMultiplyAdd(a0, b0, c00);
            c01 = coopMultiplyAdd(a0, b1, c01);
            c02 = coopMultiplyAdd(a0, b2, c02);
            c03 = coopMultiplyAdd(a0, b3, c03);
            c10 = coopMultiplyAdd(a1, b0, c10);
            c11 = coopMultiplyAdd(a1, b1, c11);
            c12 = coopMultiplyAdd(a1, b2, c12);
            c13 = coopMultiplyAdd(a1, b3, c13);
            c20 = coopMultiplyAdd(a2, b0, c20);
            c21 = coopMultiplyAdd(a2, b1, c21);
            c22 = coopMultiplyAdd(a2, b2, c22);
            c23 = coopMultiplyAdd(a2, b3, c23);
            c30 = coopMultiplyAdd(a3, b0, c30);
            c31 = coopMultiplyAdd(a3, b1, c31);
            c32 = coopMultiplyAdd(a3, b2, c32);
            c33 = coopMultiplyAdd(a3, b3, c33);
        }
    }

    let o = group.z * 4u * SIDE;
    store(lane, c00, o, row0, column0);
    store(lane, c01, o, row0 + 1, column0);
    store(lane, c02, o, row0 + 2, column0);
    store(lane, c03, o, row0 + 3, column0);
    store(lane, c10, o + SIDE, row0, column0);
    store(lane, c11, o + SIDE, row0 + 1, column0);
    store(lane, c12, o + SIDE, row0 + 2, column0);
    store(lane, c13, o + SIDE, row0 + 3, column0);
    store(lane, c20, o + 2u * SIDE, row0, column0);
    store(lane, c21, o + 2u * SIDE, row0 + 1, column0);
    store(lane, c22, o + 2u * SIDE, row0 + 2, column0);
    store(lane, c23, o + 2u * SIDE, row0 + 3, column0);
    store(lane, c30, o + 3u * SIDE, row0, column0);
    store(lane, c31, o + 3u * SIDE, row0 + 1, column0);
    store(lane, c32, o + 3u * SIDE, row0 + 2, column0);
    store(lane, c33, o + 3u * SIDE, row0 + 3, column0);
}
