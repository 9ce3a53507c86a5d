// Helpers appended to every shader.

/// Lanes of a workgroup in one-dimensional kernels.
const LANES = 256u;

/// Index of an invocation in a grid of workgroups that is folded into two dimensions because a
/// dimension holds at most 65,535.
fn folded(group: vec3u, groups: vec3u, lane: u32) -> u32 {
    return (group.y * groups.x + group.x) * LANES + lane;
}

var<workgroup> lane_sums: array<f32, LANES>;

/// The sum of `value` over a workgroup of LANES invocations, to each of them: always in the same
/// order, so that two runs give the same bits.
fn workgroup_sum(value: f32, lane: u32) -> f32 {
    lane_sums[lane] = value;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half = half / 2u) {
        if lane < half {
            lane_sums[lane] += lane_sums[lane + half];
        }
        workgroupBarrier();
    }
    let sum = lane_sums[0];
    workgroupBarrier();
    return sum;
}

/// Where a row or column `i` of a map with `n` of them is read by a convolution that pads: `padding` 0 zeros,
/// 1 reflect (n >= 2), 2 replicate, 3 from the other edge. Only for one pixel of padding, and what lies further out is clamped.
fn source(i: i32, n: i32, padding: u32) -> i32 {
    let mirrored = min(abs(i), 2 * n - 2 - abs(i));
    let beyond = select(0, n, i < 0) - select(0, n, i >= n);
    return clamp(select(select(i, mirrored, padding == 1u), i + beyond, padding == 3u), 0, n - 1);
}

/// Whether that row or column is zero. Without `&&` and `||`: they become branches, and branches on a uniform
/// make lavapipe compile kernels again and again.
fn outside(i: i32, n: i32, padding: u32) -> bool {
    return (padding == 0u) & ((i < 0) | (i >= n));
}
