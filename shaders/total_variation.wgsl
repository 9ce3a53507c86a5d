// How much neighbouring pixels differ, a single number: a weighted sum of powers of the steps from a pixel to the next one,
//   y = across * sum of |x[c, i, j+1] - x[c, i, j]|^k + down * sum of |x[c, i+1, j] - x[c, i, j]|^k,
// k = 2, or 1 with ABSOLUTE; with NINE (k = 2) the diagonals, too, and along the four edges what a map in which the outermost
// pixels are repeated has of them: edge * the steps along an edge + diagonal * the steps from pixel to pixel.
//
// x: C×H×W. partials: one for each workgroup.
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

/// The weight of a step along the line `at` of `count`, which is an edge or is not.
fn along(weight: f32, at: u32, count: u32) -> f32 {
    if NINE {
        return weight + params.edge * (f32(at == 0u) + f32(at + 1u == count));
    }
    return weight;
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
        if right {
            sum += measured(along(params.across, row, params.height), x[i + 1u] - x[i]);
        }
        if row + 1u < params.height {
            let below = i + params.width;
            sum += measured(along(params.down, column, params.width), x[below] - x[i]);
            if NINE && right {
                sum += measured(params.diagonal, x[below + 1u] - x[i]);
                sum += measured(params.diagonal, x[below] - x[i + 1u]);
            }
        }
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
    let across = along(params.across, row, params.height);
    let down = along(params.down, column, params.width);
    let right = column + 1u < params.width;
    let below = row + 1u < params.height;
    let own = x[i];
    if column > 0u {
        slope += pull(across, own - x[i - 1u]);
    }
    if right {
        slope += pull(across, own - x[i + 1u]);
    }
    if row > 0u {
        slope += pull(down, own - x[i - params.width]);
    }
    if below {
        slope += pull(down, own - x[i + params.width]);
    }
    if NINE {
        if row > 0u && column > 0u {
            slope += pull(params.diagonal, own - x[i - params.width - 1u]);
        }
        if row > 0u && right {
            slope += pull(params.diagonal, own - x[i - params.width + 1u]);
        }
        if below && column > 0u {
            slope += pull(params.diagonal, own - x[i + params.width - 1u]);
        }
        if below && right {
            slope += pull(params.diagonal, own - x[i + params.width + 1u]);
        }
    }
    let before = select(0.0, dx[i], params.accumulate != 0u);
    dx[i] = before + 2.0 * dy[0] * slope;
}
