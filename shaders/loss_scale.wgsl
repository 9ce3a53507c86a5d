// The factor with which a loss is followed back so that the gradients of its maps stay in the range of f16: a power of two,
// which costs no bit. The gradients of the picture, which are f32, are divided by it in the end.
//
// measure: seed[0] = 2^power / 2^e with 2^e <= |loss| < 2^(e + 1), inverse[0] = 1 / seed[0]. One invocation.
// undo: gradient[i] *= inverse[0]. One invocation an element.

struct Params {
    count: u32,
    power: u32,
}

@group(0) @binding(0) var<storage, read> loss: array<f32>;
@group(0) @binding(1) var<storage, read_write> seed: array<f32>;
@group(0) @binding(2) var<storage, read_write> inverse: array<f32>;
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(1)
fn measure() {
    // As bits, because exp2 need not be exact. A loss of 0 has the exponent -127.
    let exponent = i32((bitcast<u32>(loss[0]) >> 23u) & 255u) - 127;
    let power = clamp(i32(params.power) - exponent, -100, 100);
    seed[0] = bitcast<f32>(u32(127 + power) << 23u);
    inverse[0] = bitcast<f32>(u32(127 - power) << 23u);
}

@compute @workgroup_size(LANES)
fn undo(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i < params.count {
        gradient[i] *= inverse[0];
    }
}
