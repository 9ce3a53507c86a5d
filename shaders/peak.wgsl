// What an adapter can do at most, for `impasto bench peak`.
//
// multiply_add: s = s * a + b on 16 independent chains, `rounds` times 8, in registers. 256 flops a round and invocation
//   (16 chains, 8 times, 2 each), in the precision that y has. y: a number an invocation, so that nothing is optimised away.
//   Grid: any.
// copy: target = source, a vec4f an invocation; `count` of them, folded.
// nothing: counter + 1; what a dispatch costs that has to wait for the one before it. Grid: 1.

struct Params {
    rounds: u32,
    count: u32,
    factor: f32,    // near 1: the sums stay finite
    term: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<Stored>;
@group(0) @binding(2) var<storage, read> source_data: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> target_data: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> counter: array<u32>;

fn chain(s: Stored4, a: Stored4, b: Stored4) -> Stored4 {
    var t = s * a + b;
    t = t * a + b;
    t = t * a + b;
    t = t * a + b;
    t = t * a + b;
    t = t * a + b;
    t = t * a + b;
    return t * a + b;
}

@compute @workgroup_size(64)
fn multiply_add(@builtin(global_invocation_id) id: vec3u) {
    let a = Stored4(Stored(params.factor));
    let b = Stored4(Stored(params.term));
    var p = Stored4(vec4f(f32(id.x % 64u)) + vec4f(0.0, 1.0, 2.0, 3.0));
    var q = p + Stored(4.0);
    var r = p + Stored(8.0);
    var s = p + Stored(12.0);
    let rounds = params.rounds + id.z;
    for (var i = 0u; i < rounds; i++) {
        p = chain(p, a, b);
        q = chain(q, a, b);
        r = chain(r, a, b);
        s = chain(s, a, b);
    }
    let sum = p + q + r + s;
    y[id.x] = sum.x + sum.y + sum.z + sum.w;
}

@compute @workgroup_size(LANES)
fn copy(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i < params.count {
        target_data[i] = source_data[i];
    }
}

@compute @workgroup_size(1)
fn nothing() {
    counter[0] += 1u;
}
