// How much neighbouring pixels differ, a single number: a weighted sum of powers of the
// steps from a pixel to the next one,
//   y = across * sum of |x[c, i, j+1] - x[c, i, j]|^k + down * sum of |x[c, i+1, j] - x[c, i, j]|^k,
// k = 2, or 1 with ABSOLUTE; with NINE (k = 2) the diagonals, too, and along the four edges what a map in which the
// outermost pixels are repeated has of them: edge * the steps along an edge + diagonal * the steps from pixel to
// pixel.
//
// x: C×H×W, a part of a larger picture, or all of it. Only steps that belong to a pixel inside the window count:
// those to the right, below and in the square between them. Edges are those of the larger picture.
// With params.wrap_x or _y, of a whole picture, its edges meet: the pixel after the last is the first.
//
// frame: the window's left, top, right and bottom; how far the part lies right of and below the larger picture's
// corner, and its width and height. partials: one for each workgroup.
// partial_sums: a workgroup of 256 sums a contiguous share of the elements, each lane every 256th.
// finish: one workgroup sums the partials and writes y =.
// backward: one invocation an element, dx = or += (params.accumulate).

override ABSOLUTE: bool = false;
override NINE: bool = false;

struct Params {
    count: u32,
    height: u32,
    width: u32,
    share: u32,
    partials: u32,
    across: f32,
    down: f32,
    edge_across: f32,
    edge_down: f32,
    diagonal: f32,
    accumulate: u32,
    wrap_x: u32,
    wrap_y: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> partials: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;
@group(0) @binding(6) var<uniform> frame: array<vec4f, 2>;

/// 1 where the pixel's steps count, otherwise 0.
fn counts(column: u32, row: u32) -> f32 {
    let at = vec2f(f32(column), f32(row));
    return f32(all(at >= frame[0].xy) && all(at < frame[0].zw));
}

/// What a step counts.
fn measured(weight: f32, step: f32) -> f32 {
    if ABSOLUTE {
        return weight * abs(step);
    }
    return weight * step * step;
}

/// Half the derivative of that.
fn pull(weight: f32, step: f32) -> f32 {
    if ABSOLUTE {
        return 0.5 * weight * sign(step);
    }
    return weight * step;
}

/// The weight of a step along a line of the larger picture, the first of `count` or not.
fn along(weight: f32, edge: f32, at: f32, count: f32) -> f32 {
    if NINE {
        return weight + edge * (f32(at == 0.0) + f32(at + 1.0 == count));
    }
    return weight;
}

/// The weights of steps across along a row, and of steps down along a column.
fn across(row: u32) -> f32 {
    return along(params.across, params.edge_across, f32(row) + frame[1].y, frame[1].w);
}

fn down(column: u32) -> f32 {
    return along(params.down, params.edge_down, f32(column) + frame[1].x, frame[1].z);
}

/// From a pixel to the one after it, or before, in a line of `length`; the index grows by `pitch`.
fn after(at: u32, length: u32, pitch: u32) -> i32 {
    return select(i32(pitch), -i32((length - 1u) * pitch), at + 1u == length);
}

fn before(at: u32, length: u32, pitch: u32) -> i32 {
    return select(-i32(pitch), i32((length - 1u) * pitch), at == 0u);
}

@compute @workgroup_size(LANES)
fn partial_sums(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let end = min(params.count, (group.x + 1u) * params.share);
    var sum = 0.0;
    for (var i = group.x * params.share + lane; i < end; i += LANES) {
        let column = i % params.width;
        let row = i / params.width % params.height;
        let is_right = (column + 1u < params.width) | (params.wrap_x != 0u);
        let right = after(column, params.width, 1u);
        let below = i32(i) + after(row, params.height, params.width);
        var own = 0.0;
        if is_right {
            own += measured(across(row), x[i32(i) + right] - x[i]);
        }
        if (row + 1u < params.height) | (params.wrap_y != 0u) {
            own += measured(down(column), x[below] - x[i]);
            if NINE && is_right {
                own += measured(params.diagonal, x[below + right] - x[i]);
                own += measured(params.diagonal, x[below] - x[i32(i) + right]);
            }
        }
        sum += counts(column, row) * own;
    }
    let total = workgroup_sum(sum, lane);
    if lane == 0u {
        partials[group.x] = total;
    }
}

@compute @workgroup_size(LANES)
fn finish(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < params.partials; i += LANES) {
        sum += partials[i];
    }
    let total = workgroup_sum(sum, lane);
    if lane == 0u {
        y[0] = total;
    }
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
    // Neighbours, and whether they are there.
    let left = before(column, params.width, 1u);
    let right = after(column, params.width, 1u);
    let above = before(row, params.height, params.width);
    let below = after(row, params.height, params.width);
    let is_left = (column > 0u) | (params.wrap_x != 0u);
    let is_right = (column + 1u < params.width) | (params.wrap_x != 0u);
    let is_above = (row > 0u) | (params.wrap_y != 0u);
    let is_below = (row + 1u < params.height) | (params.wrap_y != 0u);
    let at = i32(i);
    let own = x[i];
    // Steps belong to the pixel at their left or above them.
    let left_column = u32(i32(column) + left);
    let above_row = u32(i32(row) + before(row, params.height, 1u));
    let here = counts(column, row);
    let left_counts = select(0.0, counts(left_column, row), is_left);
    let above_counts = select(0.0, counts(column, above_row), is_above);
    var slope = 0.0;
    if is_left {
        slope += left_counts * pull(across(row), own - x[at + left]);
    }
    if is_right {
        slope += here * pull(across(row), own - x[at + right]);
    }
    if is_above {
        slope += above_counts * pull(down(column), own - x[at + above]);
    }
    if is_below {
        slope += here * pull(down(column), own - x[at + below]);
    }
    if NINE {
        if is_above && is_left {
            slope += counts(left_column, above_row) * pull(params.diagonal, own - x[at + above + left]);
        }
        if is_above && is_right {
            slope += above_counts * pull(params.diagonal, own - x[at + above + right]);
        }
        if is_below && is_left {
            slope += left_counts * pull(params.diagonal, own - x[at + below + left]);
        }
        if is_below && is_right {
            slope += here * pull(params.diagonal, own - x[at + below + right]);
        }
    }
    let had = select(0.0, dx[i], params.accumulate != 0u);
    dx[i] = had + 2.0 * dy[0] * slope;
}
