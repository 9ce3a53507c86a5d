// y[c, i, j] = Σ over r and s of w[r]·w[s]·x[c, 2i + r − 1, 2j + s − 1], 0 ≤ r, s < 4, w = (1, 3, 3, 1) / 8: half the size,
// without aliases. Pixels beyond an edge are those at the edge; the last one of an odd side is seen by the last window. With
// params.wrap_x or _y, of even sides, they are those of the other side.
//
// x: C×H×W, y: C×⌊H/2⌋×⌊W/2⌋. One invocation computes one element of y (forward) or of dx (backward).
// forward: y =.   backward: dx = or += (params.accumulate).

struct Params {
    count: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    accumulate: u32,
    wrap_x: u32,
    wrap_y: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

const WEIGHTS = vec4f(0.125, 0.375, 0.375, 0.125);

/// The pixels of the window `to`, in a line of `length` pixels.
fn window(to: i32, length: i32, wrap: u32) -> vec4i {
    let pixels = 2 * to - 1 + vec4i(0, 1, 2, 3);
    let other = select(vec4i(0), vec4i(length), pixels < vec4i(0)) - select(vec4i(0), vec4i(length), pixels >= vec4i(length));
    return clamp(select(pixels, pixels + other, wrap != 0u), vec4i(0), vec4i(length - 1));
}

/// How much the pixel at `at` counts in the window `to`, in a line of `length` pixels. Where edges meet there are windows before
/// the first and after the last: those at the other side.
fn weight(at: i32, to: i32, length: i32, wrap: u32) -> f32 {
    let endless = 2 * to - 1 + vec4i(0, 1, 2, 3);
    let pixels = select(clamp(endless, vec4i(0), vec4i(length - 1)), endless, wrap != 0u);
    return dot(WEIGHTS, select(vec4f(0.0), vec4f(1.0), pixels == vec4i(at)));
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
    let column = i32(i % params.out_width);
    let row = i32(i / params.out_width % params.out_height);
    let plane = i / params.out_width / params.out_height * params.height;
    let columns = vec4u(window(column, i32(params.width), params.wrap_x));
    let rows = vec4u(window(row, i32(params.height), params.wrap_y));
    let lines = (plane + rows) * params.width;
    y[i] = WEIGHTS.x * across(lines.x, columns) + WEIGHTS.y * across(lines.y, columns)
        + WEIGHTS.z * across(lines.z, columns) + WEIGHTS.w * across(lines.w, columns);
}

fn across(line: u32, columns: vec4u) -> f32 {
    let at = line + columns;
    return dot(WEIGHTS, vec4f(x[at.x], x[at.y], x[at.z], x[at.w]));
}

/// The window `to` among `count` of them, where edges meet.
fn around(to: i32, count: i32, wrap: u32) -> i32 {
    return to + select(0, select(0, count, to < 0) - select(0, count, to >= count), wrap != 0u);
}

/// The gradient to window (below, right), or 0 where there is none.
fn pull(plane: u32, below: i32, right: i32) -> f32 {
    let row = around(below, i32(params.out_height), params.wrap_y);
    let column = around(right, i32(params.out_width), params.wrap_x);
    let inside = row >= 0 && column >= 0 && row < i32(params.out_height) && column < i32(params.out_width);
    let at = select(0u, (plane + u32(row)) * params.out_width + u32(column), inside);
    return select(0.0, dy[at], inside);
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
    let column = i32(i % params.width);
    let row = i32(i / params.width % params.height);
    let plane = i / params.width / params.height * params.out_height;
    // The two windows that hold the pixel. The last of an odd side is held by one.
    let right = (column + 1) / 2;
    let below = (row + 1) / 2;
    let weights = vec4f(
        weight(column, right - 1, i32(params.width), params.wrap_x),
        weight(column, right, i32(params.width), params.wrap_x),
        weight(row, below - 1, i32(params.height), params.wrap_y),
        weight(row, below, i32(params.height), params.wrap_y),
    );
    let sum = weights.z * (weights.x * pull(plane, below - 1, right - 1) + weights.y * pull(plane, below - 1, right))
        + weights.w * (weights.x * pull(plane, below, right - 1) + weights.y * pull(plane, below, right));
    let before = select(0.0, dx[i], params.accumulate != 0u);
    dx[i] = before + sum;
}
