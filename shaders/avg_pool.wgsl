// y[c, i, j] = the mean of x[c, i·stride + r, j·stride + s] over 0 ≤ r, s < window; windows that would
// pass the edge are left out (floor).
//
// x: C×H×W, y: C×OH×OW. One invocation computes one element of y (forward) or of dx (backward).
// forward: y =.   backward: dx = or += (params.accumulate).

struct Params {
    count: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    window: u32,
    stride: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read_write> y: array<Stored>;
@group(0) @binding(2) var<storage, read> dy: array<Stored>;
@group(0) @binding(3) var<storage, read_write> dx: array<Stored>;
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
    var sum = 0.0;
    // group.z is 0: it keeps lavapipe from compiling a copy of the kernel for every window.
    let window = params.window + group.z;
    for (var r = 0u; r < window; r++) {
        for (var s = 0u; s < window; s++) {
            sum += f32(x[corner + r * params.width + s]);
        }
    }
    y[i] = Stored(sum / f32(params.window * params.window));
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
                sum += f32(dy[(channel * params.out_height + a) * params.out_width + b]);
            }
        }
    }
    let before = select(0.0, f32(dx[i]), params.accumulate != 0u);
    dx[i] = Stored(before + sum / f32(params.window * params.window));
}
