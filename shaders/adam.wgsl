// One step of Adam on x, clamped (Kingma & Ba 2015, algorithm 1, with both moments bias-corrected), lr = rate[0]:
//   m = β₁ m + (1 − β₁) g        v = β₂ v + (1 − β₂) g²
//   x = clamp(x − lr · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε), low, high)
//
// x, g, m, v: count numbers. clock: t, β₁ᵗ, β₂ᵗ, for all x that move together. Powers are kept as running products
// because pow() is too coarse where 1 − βᵗ is small.
// tick: one invocation, moves the clock on; runs before update.
// update: one invocation an element; 256 a workgroup; writes x, m, v =.

struct Params {
    count: u32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    low: f32,
    high: f32,
}

@group(0) @binding(0) var<storage, read_write> clock: array<f32>;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read_write> m: array<f32>;
@group(0) @binding(4) var<storage, read_write> v: array<f32>;
@group(0) @binding(5) var<storage, read> rate: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(1)
fn tick() {
    // At t = 0 the powers are 1, which a cleared buffer does not hold.
    let first = clock[0] == 0.0;
    clock[1] = select(clock[1], 1.0, first) * params.beta1;
    clock[2] = select(clock[2], 1.0, first) * params.beta2;
    clock[0] += 1.0;
}

@compute @workgroup_size(LANES)
fn update(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i >= params.count {
        return;
    }
    let g = gradient[i];
    let mean = params.beta1 * m[i] + (1.0 - params.beta1) * g;
    let square = params.beta2 * v[i] + (1.0 - params.beta2) * g * g;
    m[i] = mean;
    v[i] = square;
    let corrected = sqrt(square / (1.0 - clock[2])) + params.epsilon;
    let moved = x[i] - rate[0] * (mean / (1.0 - clock[1])) / corrected;
    x[i] = clamp(moved, params.low, params.high);
}
