// What a product of two matrices needs before product.wgsl and its variants can multiply: the left matrix packed, and
// for gradients the transpose of the right one.
//
// pack: packed = factor * m + diagonal * I, or with the transpose of m where params.transposed is set.
//   m: rows x columns, or columns x rows. packed: [block of 32 rows i][j / 4][row of 32] -> vec4f of four j; zeros
//   where an element does not exist; ceil(rows / 32) * 32 rows of ceil(columns / 4) * 4.
// transpose: packed[i, j] = m[j, i], plain: rows x columns from columns x rows.
// Both: one invocation an element; 256 a workgroup, folded. Write =.

struct Params {
    rows: u32,
    columns: u32,
    transposed: u32,
    factor: f32,
    diagonal: f32,
}

@group(0) @binding(0) var<storage, read> m: array<f32>;
@group(0) @binding(1) var<storage, read_write> packed: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn pack(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let element = folded(group, groups, lane);
    let quads = (params.columns + 3u) / 4u;
    if element >= (params.rows + 31u) / 32u * quads * 128u {
        return;
    }
    let j = element / 128u % quads * 4u + element % 4u;
    let i = element / 128u / quads * 32u + element / 4u % 32u;
    let row = min(i, params.rows - 1u);
    let column = min(j, params.columns - 1u);
    let plain = row * params.columns + column;
    let v = m[select(plain, column * params.rows + row, params.transposed != 0u)];
    let value = params.factor * v + select(0.0, params.diagonal, i == j);
    packed[element] = select(0.0, value, (i < params.rows) & (j < params.columns));
}

@compute @workgroup_size(LANES)
fn transpose(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let element = folded(group, groups, lane);
    if element < params.rows * params.columns {
        packed[element] = m[element % params.columns * params.rows + element / params.columns];
    }
}
