// The second stage of the gradients to a convolution's weights and bias: sums[at] = [sums[at]] + Σ over shares of partials[share][at].
// The shares are parts of the pixels; their order is fixed. All f32.
// One invocation: a sum. 256 a workgroup, folded. Writes = or += (params.accumulate).

struct Params {
    count: u32,
    shares: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(LANES)
fn add_up(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = folded(group, groups, lane);
    if at >= params.count {
        return;
    }
    // The last term is 0: it keeps lavapipe from compiling a copy of the kernel for every count.
    let shares = params.shares + (group.x >> 16u);
    var sum = select(0.0, sums[at], params.accumulate != 0u);
    for (var share = 0u; share < shares; share++) {
        sum += partials[share * params.count + at];
    }
    sums[at] = sum;
}
