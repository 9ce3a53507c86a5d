// y[offset + c, i, j] = x[c, ·, ·] sampled bilinearly at the middle of cell (i, j) of a grid over the whole map. A pixel's
// middle is at half a pixel, so row i of a grid of G rows lies at row t = (i + ½)·H/G − ½ of H, held within the map. t is
// a quotient of whole numbers, which is taken exactly.
//
// x: C×H×W, `Stored`. y: D×R×grid_width, R rows of the grid from `first` on, in f32; C of its D channels from `offset` on.
// forward: one invocation computes one element of y, y =.
// backward: one invocation computes one element of dx, in `some` rows of x from `top` on; dx = or += (params.accumulate).
// The grid's sides times the map's must stay below 2³⁰.

struct Params {
    count: u32,
    height: u32,
    width: u32,
    grid_height: u32,
    grid_width: u32,
    first: u32,
    rows: u32,
    offset: u32,
    top: u32,
    some: u32,
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

/// Of cell `i` of `cells`, in a line of `pixels`.
fn place(i: u32, pixels: u32, cells: u32) -> Place {
    let at = (2u * i + 1u) * pixels;
    let twice = at - min(at, cells);
    let low = min(twice / (2u * cells), pixels - 1u);
    let share = f32(twice % (2u * cells)) / f32(2u * cells);
    return Place(low, min(low + 1u, pixels - 1u), select(share, 0.0, low == pixels - 1u));
}

/// The cells that may see pixel `r`: the first, and the one after the last.
fn seen(r: u32, pixels: u32, cells: u32) -> vec2u {
    let start = cells * (2u * max(r, 1u) - 1u);
    let end = cells * (2u * r + 3u);
    let both = (vec2u(start, end) - min(vec2u(start, end), vec2u(pixels)) + 2u * pixels - 1u) / (2u * pixels);
    let first = select(both.x, 0u, r == 0u);
    return min(vec2u(first, select(both.y, cells, r == pixels - 1u)), vec2u(cells));
}

/// How much cell `i` takes of pixel `r`.
fn weight(i: u32, r: u32, pixels: u32, cells: u32) -> f32 {
    let p = place(i, pixels, cells);
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
    let column = place(i % params.grid_width, params.width, params.grid_width);
    let row = place(params.first + i / params.grid_width % params.rows, params.height, params.grid_height);
    let plane = i / params.grid_width / params.rows * params.height;
    let upper = (plane + row.low) * params.width;
    let lower = (plane + row.high) * params.width;
    let above = mix(f32(x[upper + column.low]), f32(x[upper + column.high]), column.share);
    let below = mix(f32(x[lower + column.low]), f32(x[lower + column.high]), column.share);
    y[params.offset * params.rows * params.grid_width + i] = mix(above, below, row.share);
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
    let row = params.top + i / params.width % params.some;
    let channel = i / params.width / params.some;
    let columns = seen(column, params.width, params.grid_width);
    let all = seen(row, params.height, params.grid_height);
    let rows = clamp(all, vec2u(params.first), vec2u(params.first + params.rows));
    let plane = (params.offset + channel) * params.rows;
    var sum = 0.0;
    for (var r = rows.x; r < rows.y; r++) {
        let down = weight(r, row, params.height, params.grid_height);
        let line = (plane + r - params.first) * params.grid_width;
        for (var c = columns.x; c < columns.y; c++) {
            sum += down * weight(c, column, params.width, params.grid_width) * dy[line + c];
        }
    }
    let at = (channel * params.height + row) * params.width + column;
    let before = select(0.0, f32(dx[at]), params.accumulate != 0u);
    dx[at] = Stored(before + sum);
}
