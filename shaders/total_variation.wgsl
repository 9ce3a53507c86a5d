// y = mean (x[c, i, j+1] − x[c, i, j])² + mean (x[c, i+1, j] − x[c, i, j])², a single number; a mean over
// nothing (one column, one row) is 0.
//
// Only differences that belong to a pixel inside the window count; a pixel's are those to its next one across and down.
//
// x: C×H×W. window: left, top, right, bottom. partials: one for each workgroup. across, down: 1 over the count of differences, or 0.
// partial_sums: a workgroup of 256 sums a contiguous share of the elements, each lane every 256th.
// finish: one workgroup sums the partials and writes y =.
// backward: one invocation an element, dx = or += (params.accumulate).

struct Params {
    count: u32,
    height: u32,
    width: u32,
    share: u32,
    partials: u32,
    across: f32,
    down: f32,
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> partials: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;
@group(0) @binding(6) var<uniform> window: vec4f;

fn inside(column: u32, row: u32) -> bool {
    let at = vec2f(f32(column), f32(row));
    return all(at >= window.xy) && all(at < window.zw);
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
        if !inside(column, row) {
            continue;
        }
        if column + 1u < params.width {
            let step = x[i + 1u] - x[i];
            sum += params.across * step * step;
        }
        if row + 1u < params.height {
            let step = x[i + params.width] - x[i];
            sum += params.down * step * step;
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
    let counts = inside(column, row);
    if column > 0u && inside(column - 1u, row) {
        slope += params.across * (x[i] - x[i - 1u]);
    }
    if counts && column + 1u < params.width {
        slope -= params.across * (x[i + 1u] - x[i]);
    }
    if row > 0u && inside(column, row - 1u) {
        slope += params.down * (x[i] - x[i - params.width]);
    }
    if counts && row + 1u < params.height {
        slope -= params.down * (x[i + params.width] - x[i]);
    }
    let before = select(0.0, dx[i], params.accumulate != 0u);
    dx[i] = before + 2.0 * dy[0] * slope;
}
