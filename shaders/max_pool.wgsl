// y[c, i, j] = the largest x[c, i·stride + r, j·stride + s] for 0 ≤ r, s < window; windows that would
// pass the edge are left out (floor). The gradient goes to the first of several equal maxima in
// row-major order, as in PyTorch.
//
// x: C×H×W, y: C×OH×OW. One invocation computes one element of y (forward) or of dx (backward), or, for windows of 2×2,
// 2 pixels apart, the 2×2 elements of dx of a window (backward_2x2: one load an element; `count` is C·⌈H/2⌉·⌈W/2⌉).
// forward: y =.   backward, backward_2x2: dx = or += (params.accumulate); backward_2x2 with params.mask: and only where x > 0
// (the ReLU that x ends in).

struct Params {
    count: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    window: u32,
    stride: u32,
    accumulate: u32,
    mask: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

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
    let column = i % params.out_width;
    let row = i / params.out_width % params.out_height;
    let channel = i / params.out_width / params.out_height;
    let corner = (channel * params.height + row * params.stride) * params.width + column * params.stride;
    var largest = x[corner];
    for (var r = 0u; r < params.window; r++) {
        for (var s = 0u; s < params.window; s++) {
            largest = max(largest, x[corner + r * params.width + s]);
        }
    }
    y[i] = largest;
}

/// Whether element (r, s) of the window at `corner` is the first that equals its maximum.
fn is_first(corner: u32, r: u32, s: u32, largest: f32) -> bool {
    let own = r * params.window + s;
    for (var at = 0u; at < own; at++) {
        if x[corner + at / params.window * params.width + at % params.window] == largest {
            return false;
        }
    }
    return x[corner + r * params.width + s] == largest;
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
    var sum = 0.0;
    // The windows that hold this element end at (row, column) / stride.
    let reach = (params.window - 1u) / params.stride;
    let last_row = row / params.stride;
    let last_column = column / params.stride;
    for (var a = last_row - min(reach, last_row); a <= last_row; a++) {
        for (var b = last_column - min(reach, last_column); b <= last_column; b++) {
            let r = row - a * params.stride;
            let s = column - b * params.stride;
            if a < params.out_height && b < params.out_width && r < params.window && s < params.window {
                let at = (channel * params.out_height + a) * params.out_width + b;
                let corner = (channel * params.height + a * params.stride) * params.width + b * params.stride;
                if is_first(corner, r, s, y[at]) {
                    sum += dy[at];
                }
            }
        }
    }
    let before = select(0.0, dx[i], params.accumulate != 0u);
    dx[i] = before + sum;
}

fn add(at: u32, live: bool, value: f32, own: f32) {
    if live {
        let sum = select(0.0, dx[at], params.accumulate != 0u) + value;
        dx[at] = select(sum, 0.0, (params.mask != 0u) & !(own > 0.0));
    }
}

@compute @workgroup_size(LANES)
fn backward_2x2(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i >= params.count {
        return;
    }
    let columns = (params.width + 1u) / 2u;
    let rows = (params.height + 1u) / 2u;
    let column = i % columns;
    let row = i / columns % rows;
    let channel = i / columns / rows;
    // A last odd row or column belongs to no window; what is loaded for it is not used.
    let whole = column < params.out_width && row < params.out_height;
    let right = column * 2u + 1u < params.width;
    let below = row * 2u + 1u < params.height;
    let a = (channel * params.height + row * 2u) * params.width + column * 2u;
    let b = a + select(0u, 1u, right);
    let c = a + select(0u, params.width, below);
    let d = c + select(0u, 1u, right);
    let own = vec4f(x[a], x[b], x[c], x[d]);
    let largest = vec4f(max(max(own.x, own.y), max(own.z, own.w)));
    let equal = own == largest;
    let first = vec4<bool>(equal.x, equal.y && !equal.x, equal.z && !(equal.x || equal.y), equal.w && !(equal.x || equal.y || equal.z));
    let at = (channel * params.out_height + min(row, params.out_height - 1u)) * params.out_width + min(column, params.out_width - 1u);
    let value = select(vec4f(), vec4f(dy[at]), first & vec4<bool>(whole));
    add(a, true, value.x, own.x);
    add(b, right, value.y, own.y);
    add(c, below, value.z, own.z);
    add(d, right && below, value.w, own.w);
}
