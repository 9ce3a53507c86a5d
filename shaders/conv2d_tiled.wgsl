// conv2d 3x3, stride 1, padding 1, for GPUs: implicit GEMM with workgroup memory.
//
//   y[o, r, c] = act( [y[o, r, c]] + [bias[o]] + sum over i, ky, kx of w[o, i, ky, kx] * x[i, r+ky-1, c+kx-1] )
//
// x, y: planar C x H x W, `Stored`, any H and W >= 1.
// weight: packed [block of 64 output channels][input channel, padded to a multiple of 4][ky][kx][output channel of 64],
//   zeros where a channel does not exist, read as vec4f.
// One workgroup, 128 invocations: 16 x 8 pixels x 64 output channels, 4 input channels deep: their
//   18 x 10 patch (3.1 KiB) and 4 x 9 x 64 weights (9 KiB) in workgroup memory. The next four
//   channels are fetched into registers while these are multiplied.
// One invocation: 8 pixels of a row x 8 output channels. A row of ten pixels serves three taps.
// Grid: (ceil(W / 16), ceil(H / 8), ceil(out_channels / 64)).
// Writes `=`, or `+=` where params.accumulate is set. Needs WebGPU's default limits only.

struct Params {
    width: i32,
    height: i32,
    in_channels: u32,
    out_channels: u32,
    padding_x: u32,     // 0 zeros, 1 reflect (W >= 2), 2 replicate, 3 from the other edge
    padding_y: u32,
    accumulate: u32,    // 1: add to what y holds
    add_bias: u32,
    relu: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<Stored>;

const THREADS = 128u;
const SLOTS = 200u;     // vec4f of four channels' patches: 4 * 10 rows * 5
const ROW = 5u;         // vec4f per patch row: 18 pixels and padding; lanes on eight rows read eight banks
const TAPS = 576u;      // vec4f of four channels' weights: 4 * 9 * 16

var<workgroup> pixels: array<vec4f, SLOTS>;  // [4][10][5]
var<workgroup> taps: array<vec4f, TAPS>;    // [4][3][3][16]

// Four neighbouring pixels of the patch, which one invocation fetches: where they lie in each
// channel's plane, and which of them are blank.
struct Quad { channel: u32, at: vec4i, blank: vec4<bool> }

fn quad(slot: u32, x0: i32, y0: i32) -> Quad {
    let row = y0 - 1 + i32(slot % 50u / ROW);
    let c = x0 - 1 + i32(slot % ROW) * 4;
    let w = params.width;
    let columns = vec4i(source(c, w, params.padding_x), source(c + 1, w, params.padding_x), source(c + 2, w, params.padding_x), source(c + 3, w, params.padding_x));
    let blank = vec4<bool>(outside(c, w, params.padding_x), outside(c + 1, w, params.padding_x), outside(c + 2, w, params.padding_x), outside(c + 3, w, params.padding_x));
    return Quad(
        slot / 50u,
        source(row, params.height, params.padding_y) * w + columns,
        blank | vec4<bool>(outside(row, params.height, params.padding_y)),
    );
}

fn fetch(q: Quad, first: u32) -> vec4f {
    let channel = first + q.channel;
    let at = q.at + i32(min(channel, params.in_channels - 1u)) * params.height * params.width;
    let v = vec4f(f32(x[at.x]), f32(x[at.y]), f32(x[at.z]), f32(x[at.w]));
    return select(v, vec4f(0.0), q.blank | vec4<bool>(channel >= params.in_channels));
}

// Eight pixels (l, r) times eight channels' weights (u, v); sums[2 * o] and sums[2 * o + 1] belong to channel o.
fn multiply(sums: ptr<function, array<vec4f, 16>>, u: vec4f, v: vec4f, l: vec4f, r: vec4f) {
    (*sums)[0] += u.x * l;
    (*sums)[1] += u.x * r;
    (*sums)[2] += u.y * l;
    (*sums)[3] += u.y * r;
    (*sums)[4] += u.z * l;
    (*sums)[5] += u.z * r;
    (*sums)[6] += u.w * l;
    (*sums)[7] += u.w * r;
    (*sums)[8] += v.x * l;
    (*sums)[9] += v.x * r;
    (*sums)[10] += v.y * l;
    (*sums)[11] += v.y * r;
    (*sums)[12] += v.z * l;
    (*sums)[13] += v.z * r;
    (*sums)[14] += v.w * l;
    (*sums)[15] += v.w * r;
}

// Where an invocation's results go. (All indices into `sums` are constants: it stays in registers.)
struct Out { channel: u32, row: i32, column: i32, accumulate: bool, add_bias: bool }

fn store_pixel(at: i32, live: bool, accumulate: bool, sum: f32) {
    if live {
        var s = sum;
        if accumulate {
            s += f32(y[at]);
        }
        y[at] = Stored(select(s, max(s, 0.0), params.relu != 0u));
    }
}

fn store(out: Out, o: u32, l: vec4f, r: vec4f) {
    let channel = out.channel + o;
    if channel < params.out_channels && out.row < params.height {
        var b = 0.0;
        if out.add_bias {
            b = bias[channel];
        }
        let at = (i32(channel) * params.height + out.row) * params.width + out.column;
        let n = params.width - out.column;
        store_pixel(at, n > 0, out.accumulate, l.x + b);
        store_pixel(at + 1, n > 1, out.accumulate, l.y + b);
        store_pixel(at + 2, n > 2, out.accumulate, l.z + b);
        store_pixel(at + 3, n > 3, out.accumulate, l.w + b);
        store_pixel(at + 4, n > 4, out.accumulate, r.x + b);
        store_pixel(at + 5, n > 5, out.accumulate, r.y + b);
        store_pixel(at + 6, n > 6, out.accumulate, r.z + b);
        store_pixel(at + 7, n > 7, out.accumulate, r.w + b);
    }
}

@compute @workgroup_size(THREADS)
fn convolve(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u) {
    let x0 = i32(group.x) * 16;
    let y0 = i32(group.y) * 8;
    let row = thread & 7u;
    let side = thread >> 3u & 1u;
    let eighth = thread >> 4u;
    let quad0 = quad(thread, x0, y0);
    let quad1 = quad(min(thread + THREADS, SLOTS - 1u), x0, y0);
    // The last term is 0: it keeps lavapipe from compiling a copy of the kernel for every layer.
    let steps = (params.in_channels + 3u) / 4u + (group.x >> 16u);
    let accumulate = params.accumulate + (group.x >> 16u) != 0u;
    let add_bias = params.add_bias + (group.x >> 16u) != 0u;
    var at = group.z * steps * TAPS + thread;

    var sums = array<vec4f, 16>();
    var p0 = fetch(quad0, 0u);
    var p1 = fetch(quad1, 0u);
    var w0 = weight[at];
    var w1 = weight[at + THREADS];
    var w2 = weight[at + 2u * THREADS];
    var w3 = weight[at + 3u * THREADS];
    var w4 = weight[at - thread + 4u * THREADS + (thread & 63u)];
    for (var step = 0u; step < steps; step++) {
        workgroupBarrier();
        pixels[thread] = p0;
        if thread < SLOTS - THREADS {
            pixels[thread + THREADS] = p1;
        }
        taps[thread] = w0;
        taps[thread + THREADS] = w1;
        taps[thread + 2u * THREADS] = w2;
        taps[thread + 3u * THREADS] = w3;
        if thread < TAPS - 4u * THREADS {
            taps[thread + 4u * THREADS] = w4;
        }
        workgroupBarrier();
        if step + 1u < steps {
            at += TAPS;
            p0 = fetch(quad0, (step + 1u) * 4u);
            p1 = fetch(quad1, (step + 1u) * 4u);
            w0 = weight[at];
            w1 = weight[at + THREADS];
            w2 = weight[at + 2u * THREADS];
            w3 = weight[at + 3u * THREADS];
            w4 = weight[at - thread + 4u * THREADS + (thread & 63u)];
        }
        for (var channel = 0u; channel < 4u; channel++) {
            for (var ky = 0u; ky < 3u; ky++) {
                let first = (channel * 10u + row + ky) * ROW + side * 2u;
                let a = pixels[first];
                let b = pixels[first + 1u];
                let c = pixels[first + 2u];
                let tap = (channel * 3u + ky) * 48u + eighth * 2u;
                multiply(&sums, taps[tap], taps[tap + 1u], a, b);
                multiply(&sums, taps[tap + 16u], taps[tap + 17u], vec4f(a.yzw, b.x), vec4f(b.yzw, c.x));
                multiply(&sums, taps[tap + 32u], taps[tap + 33u], vec4f(a.zw, b.xy), vec4f(b.zw, c.xy));
            }
        }
    }

    let out = Out(group.z * 64u + eighth * 8u, y0 + i32(row), x0 + i32(side) * 8, accumulate, add_bias);
    store(out, 0u, sums[0], sums[1]);
    store(out, 1u, sums[2], sums[3]);
    store(out, 2u, sums[4], sums[5]);
    store(out, 3u, sums[6], sums[7]);
    store(out, 4u, sums[8], sums[9]);
    store(out, 5u, sums[10], sums[11]);
    store(out, 6u, sums[12], sums[13]);
    store(out, 7u, sums[14], sums[15]);
}
