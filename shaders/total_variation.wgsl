// How much neighbouring pixels differ, a single number: a weighted sum of powers of the
// steps from a pixel to the next one,
//   y = across * sum of |x[c, i, j+1] - x[c, i, j]|^k + down * sum of |x[c, i+1, j] - x[c, i, j]|^k,
// k = 2, or 1 with ABSOLUTE; with NINE (k = 2) the diagonals, too, and along the four edges what a map in which the
// outermost pixels are repeated has of them: edge * the steps along an edge + diagonal * the steps from pixel to
// pixel.
//
// x: C×H×W, a part of a larger picture, or all of it. Only steps that belong to a pixel inside the window count:
// those to the right, below and in the square between them. Edges are those of the larger picture.
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
    edge: f32,
    diagonal: f32,
    accumulate: u32,
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
fn along(weight: f32, at: f32, count: f32) -> f32 {
    if NINE {
        return weight + params.edge * (f32(at == 0.0) + f32(at + 1.0 == count));
    }
    return weight;
}

/// The weights of steps across along a row, and of steps down along a column.
fn across(row: u32) -> f32 {
    return along(params.across, f32(row) + frame[1].y, frame[1].w);
}

fn down(column: u32) -> f32 {
    return along(params.down, f32(column) + frame[1].x, frame[1].z);
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
        let right = column + 1u < params.width;
        var own = 0.0;
        if right {
            own += measured(across(row), x[i + 1u] - x[i]);
        }
        if row + 1u < params.height {
            let below = i + params.width;
            own += measured(down(column), x[below] - x[i]);
            if NINE && right {
                own += measured(params.diagonal, x[below + 1u] - x[i]);
                own += measured(params.diagonal, x[below] - x[i + 1u]);
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
    var slope = 0.0;
    let right = column + 1u < params.width;
    let below = row + 1u < params.height;
    let own = x[i];
    let here = counts(column, row);
    var left_counts = 0.0;
    var above_counts = 0.0;
    if column > 0u {
        left_counts = counts(column - 1u, row);
        slope += left_counts * pull(across(row), own - x[i - 1u]);
    }
    if right {
        slope += here * pull(across(row), own - x[i + 1u]);
    }
    if row > 0u {
        above_counts = counts(column, row - 1u);
        slope += above_counts * pull(down(column), own - x[i - params.width]);
    }
    if below {
        slope += here * pull(down(column), own - x[i + params.width]);
    }
    if NINE {
        if row > 0u && column > 0u {
            let corner = counts(column - 1u, row - 1u);
            slope += corner * pull(params.diagonal, own - x[i - params.width - 1u]);
        }
        if row > 0u && right {
            slope += above_counts * pull(params.diagonal, own - x[i - params.width + 1u]);
        }
        if below && column > 0u {
            slope += left_counts * pull(params.diagonal, own - x[i + params.width - 1u]);
        }
        if below && right {
            slope += here * pull(params.diagonal, own - x[i + params.width + 1u]);
        }
    }
    let before = select(0.0, dx[i], params.accumulate != 0u);
    dx[i] = before + 2.0 * dy[0] * slope;
}
