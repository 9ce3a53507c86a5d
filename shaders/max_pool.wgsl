// y[c, i, j] = the largest x[c, i·stride + r, j·stride + s] for 0 ≤ r, s < window; windows that would
// pass the edge are left out (floor). The gradient goes to the first of several equal maxima in
// row-major order, as in PyTorch.
//
// x: C×H×W, y: C×OH×OW. One invocation computes one element of y (forward) or of dx (backward), or, for windows of 2×2,
// 2 pixels apart, the 2×2 elements of dx of a window (backward_2x2: one load an element; `count` is C·⌈H/2⌉·⌈W/2⌉).
// forward_quads, backward_quads: the same for windows of 2x2, 2 pixels apart, and 4 of them at a time: for W a multiple of 8 and
// 16-byte aligned bindings; `x4` … are `x` …, `count` is C·OH·OW/4. Wide loads cost software drivers half as much a number.
//   `codes`, written forward and read backward so that x need not be kept: a byte for each window of a quad, with bit 2r+s set for
//   the element that was the first largest, and bit 4+2r+s for those above 0.
// forward: y =.   backward…: dx = or += (params.accumulate); backward_2x2 and _quads with params.mask: and only where x > 0
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

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read_write> y: array<Stored>;
@group(0) @binding(2) var<storage, read> dy: array<Stored>;
@group(0) @binding(3) var<storage, read_write> dx: array<Stored>;
@group(0) @binding(4) var<uniform> params: Params;
@group(0) @binding(5) var<storage, read> x4: array<Stored4>;
@group(0) @binding(6) var<storage, read_write> y4: array<Stored4>;
@group(0) @binding(7) var<storage, read> dy4: array<Stored4>;
@group(0) @binding(8) var<storage, read_write> dx4: array<Stored4>;
@group(0) @binding(9) var<storage, read_write> codes: array<u32>;

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
    var largest = f32(x[corner]);
    // group.z is 0: it keeps lavapipe from compiling a copy of the kernel for every window.
    let window = params.window + group.z;
    for (var r = 0u; r < window; r++) {
        for (var s = 0u; s < window; s++) {
            largest = max(largest, f32(x[corner + r * params.width + s]));
        }
    }
    y[i] = Stored(largest);
}

/// Whether element (r, s) of the window at `corner` is the first that equals its maximum.
fn is_first(corner: u32, r: u32, s: u32, largest: f32) -> bool {
    let own = r * params.window + s;
    for (var at = 0u; at < own; at++) {
        if f32(x[corner + at / params.window * params.width + at % params.window]) == largest {
            return false;
        }
    }
    return f32(x[corner + r * params.width + s]) == largest;
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
                if is_first(corner, r, s, f32(y[at])) {
                    sum += f32(dy[at]);
                }
            }
        }
    }
    let before = select(0.0, f32(dx[i]), params.accumulate != 0u);
    dx[i] = Stored(before + sum);
}

fn add(at: u32, live: bool, value: f32, own: f32) {
    if live {
        let sum = select(0.0, f32(dx[at]), params.accumulate != 0u) + value;
        dx[at] = Stored(select(sum, 0.0, (params.mask != 0u) & !(own > 0.0)));
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
    let own = vec4f(f32(x[a]), f32(x[b]), f32(x[c]), f32(x[d]));
    let largest = vec4f(max(max(own.x, own.y), max(own.z, own.w)));
    let equal = own == largest;
    let first = vec4<bool>(equal.x, equal.y && !equal.x, equal.z && !(equal.x || equal.y), equal.w && !(equal.x || equal.y || equal.z));
    let at = (channel * params.out_height + min(row, params.out_height - 1u)) * params.out_width + min(column, params.out_width - 1u);
    let value = select(vec4f(), vec4f(f32(dy[at])), first & vec4<bool>(whole));
    add(a, true, value.x, own.x);
    add(b, right, value.y, own.y);
    add(c, below, value.z, own.z);
    add(d, right && below, value.w, own.w);
}

// Where the 2 x 2 quads of x lie that quad `i` of y is made of, and how far a row of x is from the next.
struct Quads { corner: u32, next: u32 }

fn quads_of(i: u32) -> Quads {
    let across = params.out_width / 4u;
    let row = i / across % params.out_height;
    let channel = i / across / params.out_height;
    let next = params.width / 4u;
    return Quads((channel * params.height + row * 2u) * next + i % across * 2u, next);
}

// Two windows side by side.
struct Pooled { largest: vec2f, code: vec2u }

fn pool(upper: vec4f, lower: vec4f) -> Pooled {
    let both = max(upper, lower);
    let largest = max(both.xz, both.yw);
    var code = vec2u(8u);
    code = select(code, vec2u(4u), lower.xz == largest);
    code = select(code, vec2u(2u), upper.yw == largest);
    code = select(code, vec2u(1u), upper.xz == largest);
    let up = select(vec4u(), vec4u(16u, 32u, 16u, 32u), upper > vec4f());
    let low = select(vec4u(), vec4u(64u, 128u, 64u, 128u), lower > vec4f());
    return Pooled(largest, code | up.xz | up.yw | low.xz | low.yw);
}

@compute @workgroup_size(LANES)
fn forward_quads(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i >= params.count {
        return;
    }
    let q = quads_of(i);
    let left = pool(vec4f(x4[q.corner]), vec4f(x4[q.corner + q.next]));
    let right = pool(vec4f(x4[q.corner + 1u]), vec4f(x4[q.corner + q.next + 1u]));
    y4[i] = Stored4(vec4f(left.largest, right.largest));
    codes[i] = left.code.x | (left.code.y << 8u) | (right.code.x << 16u) | (right.code.y << 24u);
}

// The gradients of two windows side by side, by their codes.
fn unpool(at: u32, next: u32, code: vec2u, dy: vec2f) {
    let add = params.accumulate != 0u;
    let keep = select(0u, ~0u, params.mask == 0u);
    let bits = code.xxyy;
    let a = select(vec4f(), vec4f(dx4[at]), add) + select(vec4f(), dy.xxyy, (bits & vec4u(1u, 2u, 1u, 2u)) != vec4u());
    let b = select(vec4f(), vec4f(dx4[at + next]), add) + select(vec4f(), dy.xxyy, (bits & vec4u(4u, 8u, 4u, 8u)) != vec4u());
    dx4[at] = Stored4(select(vec4f(), a, ((bits | vec4u(keep)) & vec4u(16u, 32u, 16u, 32u)) != vec4u()));
    dx4[at + next] = Stored4(select(vec4f(), b, ((bits | vec4u(keep)) & vec4u(64u, 128u, 64u, 128u)) != vec4u()));
}

@compute @workgroup_size(LANES)
fn backward_quads(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i >= params.count {
        return;
    }
    let q = quads_of(i);
    let dy = vec4f(dy4[i]);
    let code = vec4u(codes[i]) >> vec4u(0u, 8u, 16u, 24u);
    unpool(q.corner, q.next, code.xy, dy.xy);
    unpool(q.corner + 1u, q.next, code.zw, dy.zw);
}
