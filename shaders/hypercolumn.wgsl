// y[offset + c, i, j] = x[c, ·, ·] sampled bilinearly at the middle of cell (i, j) of a grid over the picture, of whose pixels a
// pixel of the map covers params.stride along each side. A pixel's middle is at half a pixel, so row i of a grid of cells of
// K px lies at row t = (i + ½)·K/stride − ½ of the map, held within it. t is a quotient of whole numbers, taken exactly.
//
// x: C×H×W, `Stored`. y: D×rows×columns, in f32; C of its D channels from `offset` on.
// forward: one invocation computes one element of y, y =.
// backward: one invocation computes one element of dx; dx = or += (params.accumulate).
// The grid's sides in pixels must stay below 2³⁰.

struct Params {
    count: u32,
    height: u32,
    width: u32,
    rows: u32,
    columns: u32,
    cell_height: u32,
    cell_width: u32,
    stride: u32,
    offset: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<Stored>;
@group(0) @binding(4) var<uniform> params: Params;

/// Where a cell lies: between two pixels, and how near to the second.
struct Place {
    low: u32,
    high: u32,
    share: f32,
}

/// Of cell `i`, which is `cell` px long, in a line of `pixels`.
fn place(i: u32, cell: u32, pixels: u32) -> Place {
    let at = (2u * i + 1u) * cell;
    let twice = at - min(at, params.stride);
    let low = min(twice / (2u * params.stride), pixels - 1u);
    let share = f32(twice % (2u * params.stride)) / f32(2u * params.stride);
    return Place(low, min(low + 1u, pixels - 1u), select(share, 0.0, low == pixels - 1u));
}

/// The cells, of so many, that may see pixel `r`: the first, and the one after the last.
fn seen(r: u32, cell: u32, cells: u32, pixels: u32) -> vec2u {
    let start = params.stride * (2u * max(r, 1u) - 1u);
    let end = params.stride * (2u * r + 3u);
    let both = (vec2u(start, end) - min(vec2u(start, end), vec2u(cell)) + 2u * cell - 1u) / (2u * cell);
    let first = select(both.x, 0u, r == 0u);
    return min(vec2u(first, select(both.y, cells, r == pixels - 1u)), vec2u(cells));
}

/// How much cell `i` takes of pixel `r`.
fn weight(i: u32, cell: u32, r: u32, pixels: u32) -> f32 {
    let p = place(i, cell, pixels);
    return select(0.0, 1.0 - p.share, p.low == r) + select(0.0, p.share, p.high == r);
}

@compute @workgroup_size(LANES)
fn forward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i >= params.count {
        return;
    }
    let column = place(i % params.columns, params.cell_width, params.width);
    let row = place(i / params.columns % params.rows, params.cell_height, params.height);
    let plane = i / params.columns / params.rows * params.height;
    let upper = (plane + row.low) * params.width;
    let lower = (plane + row.high) * params.width;
    let above = mix(f32(x[upper + column.low]), f32(x[upper + column.high]), column.share);
    let below = mix(f32(x[lower + column.low]), f32(x[lower + column.high]), column.share);
    y[params.offset * params.rows * params.columns + i] = mix(above, below, row.share);
}

@compute @workgroup_size(LANES)
fn backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i >= params.count {
        return;
    }
    let column = i % params.width;
    let row = i / params.width % params.height;
    let channel = i / params.width / params.height;
    let columns = seen(column, params.cell_width, params.columns, params.width);
    let rows = seen(row, params.cell_height, params.rows, params.height);
    let plane = (params.offset + channel) * params.rows;
    var sum = 0.0;
    for (var r = rows.x; r < rows.y; r++) {
        let down = weight(r, params.cell_height, row, params.height);
        let line = (plane + r) * params.columns;
        for (var c = columns.x; c < columns.y; c++) {
            sum += down * weight(c, params.cell_width, column, params.width) * dy[line + c];
        }
    }
    let before = select(0.0, f32(dx[i]), params.accumulate != 0u);
    dx[i] = Stored(before + sum);
}
