// What cooperative matrices can do at most, for `impasto bench peak`.
//
// multiply_add: c = a b + c on 8 independent fragments, `rounds` times, in registers. 16 SIDE^3 flops a round and workgroup, which is a
//   subgroup. SIDE, Left, Right and Sums come with the module. y: a fragment, so that nothing is optimised away. Grid: any.

struct Params {
    rounds: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> factors: array<f16>;

override SUBGROUP: u32 = 32u;

@compute @workgroup_size(SUBGROUP)
fn multiply_add(@builtin(workgroup_id) group: vec3u) {
    let a = coopLoad<Left>(&factors[0], SIDE);
    let b = coopLoad<Right>(&factors[0], SIDE);
    var c = Sums(); var d = Sums(); var e = Sums(); var f = Sums();
    var g = Sums(); var h = Sums(); var i = Sums(); var j = Sums();
    let rounds = params.rounds + group.z;
    for (var round = 0u; round < rounds; round++) {
        c = coopMultiplyAdd(a, b, c);
        d = coopMultiplyAdd(a, b, d);
        e = coopMultiplyAdd(a, b, e);
        f = coopMultiplyAdd(a, b, f);
        g = coopMultiplyAdd(a, b, g);
        h = coopMultiplyAdd(a, b, h);
        i = coopMultiplyAdd(a, b, i);
        j = coopMultiplyAdd(a, b, j);
    }
    coopStore(c + d + e + f + g + h + i + j, &y[0], SIDE);
}
