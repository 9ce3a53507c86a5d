// The weights of a 3x3 convolution, stride 1, in the order in which each of its variants reads them.
//
// weight: O x C x 3 x 3 of the layer. The convolution goes from in_channels to out_channels: from C to O, or, where
//   params.transposed is set (the gradient to the input), from O to C with the taps turned round.
// packed: what the variant's header says, with zeros for channels that do not exist.
//   lanes: conv2d_broadcast.wgsl and conv2d_tiled.wgsl, [block of outputs][input, padded][tap][output of the block].
//   windows: conv2d_uniform.wgsl, cut as uniform.rs says.
//   fragments: conv2d_cooperative.wgsl, [SIDE outputs][SIDE inputs][tap][output][input]; f16.
//   winograd, winograd_deep: the filters' transform, G w Gᵀ, at 36 points: matrices for product_broadcast.wgsl, or maps in
//     runs of 128 channels (see winograd.wgsl).
// One invocation: a number of packed, of winograd a filter. 256 a workgroup, folded. Writes =.

struct Params {
    out_channels: u32,
    in_channels: u32,
    transposed: u32,
    count: u32,     // invocations that have something to do
    block: u32,     // lanes: outputs of a block; windows: blocks of 8 outputs in a group of windows; fragments: SIDE
    inputs: u32,    // lanes: input channels, padded; windows: input channels of a window
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> packed: array<Stored>;
@group(0) @binding(3) var<storage, read_write> transformed: array<f32>;

// The weight from input channel i to output channel o at a tap, 0 where there is no such channel.
fn tap(o: u32, i: u32, tap: u32) -> f32 {
    let there = (o < params.out_channels) & (i < params.in_channels);
    let plain = (o * params.in_channels + i) * 9u + tap;
    let turned = (i * params.out_channels + o) * 9u + 8u - tap;
    return select(0.0, weight[select(0u, select(plain, turned, params.transposed != 0u), there)], there);
}

@compute @workgroup_size(LANES)
fn lanes(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = folded(group, groups, lane);
    if at >= params.count {
        return;
    }
    let row = at / params.block;
    let o = row / 9u / params.inputs * params.block + at % params.block;
    packed[at] = Stored(tap(o, row / 9u % params.inputs, row % 9u));
}

@compute @workgroup_size(LANES)
fn fragments(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = folded(group, groups, lane);
    if at >= params.count {
        return;
    }
    let side = params.block;
    let steps = (params.in_channels + side - 1u) / side;
    let fragment = at / side / side;
    let o = fragment / 9u / steps * side + at / side % side;
    let i = fragment / 9u % steps * side + at % side;
    packed[at] = Stored(tap(o, i, fragment % 9u));
}

// Windows come in groups, some blocks of outputs each, the last one with fewer; the windows of a group divide the inputs. A
// window begins at a multiple of 64 numbers: [block of 8 outputs][input][output of 8][row] -> three columns and a 0.
@compute @workgroup_size(LANES)
fn windows(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = folded(group, groups, lane);
    if at >= params.count {
        return;
    }
    let blocks = (params.out_channels + 7u) / 8u;
    let cuts = (params.in_channels + params.inputs - 1u) / params.inputs;
    let last_inputs = params.in_channels - (cuts - 1u) * params.inputs;
    let of_group = (cuts - 1u) * window(params.block * params.inputs) + window(params.block * last_inputs);
    let first = min(at / of_group, (blocks - 1u) / params.block);
    let some = min(params.block, blocks - first * params.block);
    let within = at - first * of_group;
    let cut = min(within / window(some * params.inputs), cuts - 1u);
    let unit = within - cut * window(some * params.inputs);
    let inputs = select(params.inputs, last_inputs, cut == cuts - 1u);
    let block = unit / 96u / inputs;
    let o = (first * params.block + block) * 8u + unit / 12u % 8u;
    let i = cut * params.inputs + unit / 96u % inputs;
    let column = unit % 4u;
    let there = (block < some) & (column < 3u);
    packed[at] = Stored(select(0.0, tap(o, i, unit / 4u % 3u * 3u + min(column, 2u)), there));
}

// Numbers from a window of so many blocks times inputs to the next one.
fn window(units: u32) -> u32 {
    return (units * 96u + 63u) / 64u * 64u;
}

const ROOT = 1.41421356237;      // √2

// G times a column of a filter: points 0, ±1/√2, ±√2, ∞.
struct Six { a: f32, b: f32, c: f32, d: f32, e: f32, f: f32 }

fn spread(w: vec3f) -> Six {
    let near = (w.x + 0.5 * w.z) * (-2.0 / 3.0);
    let near_odd = w.y * (ROOT / 3.0);
    let far = (w.x + 2.0 * w.z) * (1.0 / 6.0);
    let far_odd = w.y * (ROOT / 6.0);
    return Six(w.x, near - near_odd, near + near_odd, far + far_odd, far - far_odd, w.z);
}

fn store_row(at: u32, plane: u32, w: vec3f) {
    let s = spread(w);
    transformed[at] = s.a;
    transformed[at + plane] = s.b;
    transformed[at + 2u * plane] = s.c;
    transformed[at + 3u * plane] = s.d;
    transformed[at + 4u * plane] = s.e;
    transformed[at + 5u * plane] = s.f;
}

fn transform(o: u32, i: u32, at: u32, plane: u32) {
    let x = spread(vec3f(tap(o, i, 0u), tap(o, i, 3u), tap(o, i, 6u)));
    let y = spread(vec3f(tap(o, i, 1u), tap(o, i, 4u), tap(o, i, 7u)));
    let z = spread(vec3f(tap(o, i, 2u), tap(o, i, 5u), tap(o, i, 8u)));
    store_row(at, plane, vec3f(x.a, y.a, z.a));
    store_row(at + 6u * plane, plane, vec3f(x.b, y.b, z.b));
    store_row(at + 12u * plane, plane, vec3f(x.c, y.c, z.c));
    store_row(at + 18u * plane, plane, vec3f(x.d, y.d, z.d));
    store_row(at + 24u * plane, plane, vec3f(x.e, y.e, z.e));
    store_row(at + 30u * plane, plane, vec3f(x.f, y.f, z.f));
}

@compute @workgroup_size(LANES)
fn winograd(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = folded(group, groups, lane);
    let quads = (params.in_channels + 3u) / 4u;
    if at < params.count {
        transform(at / 128u / quads * 32u + at / 4u % 32u, at / 128u % quads * 4u + at % 4u, at, params.count);
    }
}

@compute @workgroup_size(LANES)
fn winograd_deep(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = folded(group, groups, lane);
    if at < params.count {
        transform(at / 128u / params.in_channels * 128u + at % 128u, at / 128u % params.in_channels, at, params.count);
    }
}
