// The demo's two pictures, made of nothing but arithmetic: `content`, a photograph of a lake in the
// mountains, and `style`, an oil painting.
//
// picture = the picture, planar 3×H×W RGB, sRGB-coded, 0..1; every element is written.
// One invocation computes one pixel of SAMPLES samples; LANES a workgroup. Places are in picture
// heights, so that any size shows the same picture; `content` is composed for 4:3, and both widen at
// their sides. Limits: 3·H·W < 2³².
//
// Longer than a kernel should be: it is two pictures, and each part of them is a function.

struct Params {
    width: u32,
    height: u32,
}

@group(0) @binding(0) var<storage, read_write> picture: array<f32>;
@group(0) @binding(1) var<uniform> params: Params;

/// Samples of a pixel, in a square.
const SAMPLES = 4u;

@compute @workgroup_size(LANES)
fn content(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let pixel = folded(group, groups, lane);
    if pixel < params.width * params.height {
        var sum = vec3f(0.0);
        for (var i = 0u; i < SAMPLES; i++) {
            sum += photograph(middle(pixel) + sample_offset(i));
        }
        put(pixel, sum / f32(SAMPLES));
    }
}

@compute @workgroup_size(LANES)
fn style(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let pixel = folded(group, groups, lane);
    if pixel < params.width * params.height {
        put(pixel, painting(middle(pixel)));
    }
}

/// The middle of a pixel: the origin is the picture's centre, y goes up, 1 is its height.
fn middle(pixel: u32) -> vec2f {
    let size = vec2f(f32(params.width), f32(params.height));
    let corner = vec2f(f32(pixel % params.width), size.y - f32(pixel / params.width));
    return (corner + vec2f(0.5, -0.5) - 0.5 * size) / size.y;
}

fn sample_offset(index: u32) -> vec2f {
    return (vec2f(f32(index & 1u), f32(index >> 1u)) - 0.5) * 0.5 / f32(params.height);
}

fn put(pixel: u32, color: vec3f) {
    let c = clamp(color, vec3f(0.0), vec3f(1.0));
    let plane = params.width * params.height;
    picture[pixel] = c.x;
    picture[plane + pixel] = c.y;
    picture[2u * plane + pixel] = c.z;
}

// ---- Noise -------------------------------------------------------------------------------------

/// Turns each octave, so that the lattices of noise don't line up.
const TURN = mat2x2f(0.8, 0.6, -0.6, 0.8);

/// A well-mixed number of a lattice cell; `salt` tells patterns apart.
fn hash(cell: vec2i, salt: u32) -> u32 {
    let at = bitcast<vec2u>(cell);
    var h = (at.x * 0x9e3779b1u) ^ ((at.y + salt * 0x27d4eb2fu) * 0x85ebca77u);
    h = (h ^ (h >> 15u)) * 0x2c1b3c6du;
    h = (h ^ (h >> 12u)) * 0x297a2d39u;
    return h ^ (h >> 15u);
}

/// Uniform in 0..1.
fn random(cell: vec2i, salt: u32) -> f32 {
    return f32(hash(cell, salt) >> 8u) / 16777216.0;
}

/// Two such numbers out of one hash.
fn random2(cell: vec2i, salt: u32) -> vec2f {
    let h = hash(cell, salt);
    return vec2f(f32(h & 0xffffu), f32(h >> 16u)) / 65536.0;
}

/// Value noise in 0..1 and its gradient: x the value, yz the gradient.
fn noise_slope(p: vec2f) -> vec3f {
    let floor_p = floor(p);
    let cell = vec2i(floor_p);
    let f = p - floor_p;
    let s = f * f * f * (f * (f * 6.0 - 15.0) + 10.0);
    let ds = 30.0 * f * f * (f * (f - 2.0) + 1.0);
    let a = random(cell, 0u);
    let b = random(cell + vec2i(1, 0), 0u) - a;
    let c = random(cell + vec2i(0, 1), 0u) - a;
    let d = random(cell + vec2i(1, 1), 0u) - a - b - c;
    return vec3f(a + b * s.x + c * s.y + d * s.x * s.y, ds * (vec2f(b, c) + d * s.yx));
}

fn noise(p: vec2f) -> f32 {
    return noise_slope(p).x;
}

/// The smooth step downward: 1 before `low`, 0 after `high`.
fn fall(low: f32, high: f32, x: f32) -> f32 {
    return 1.0 - smoothstep(low, high, x);
}

/// Octaves of noise, each turned, twice as fine and half as strong; 0..1, about 0.5 on average.
fn fbm(start: vec2f, octaves: u32) -> f32 {
    var p = start;
    var sum = 0.0;
    var weight = 0.5;
    for (var i = 0u; i < octaves; i++) {
        sum += weight * noise(p);
        weight *= 0.5;
        p = TURN * p * 2.03 + 17.3;
    }
    return sum + weight;
}

// ---- The photograph ----------------------------------------------------------------------------
// Light is linear here; x is to the right, y up from the far shore, both in picture heights.

/// Toward the sun; z goes away from the camera.
const TO_SUN = vec3f(0.86, 0.42, -0.10);
const SUN_AT = vec2f(0.30, 0.215);
const SUNLIGHT = vec3f(2.5, 1.55, 0.85);
const SKYLIGHT = vec3f(0.30, 0.40, 0.60);
/// Distance of the picture plane: a view 38 degrees high.
const FOCUS = 1.45;

/// Haze in the direction of `q`: golden toward the sun.
fn haze(q: vec2f) -> vec3f {
    let near_sun = exp(-3.2 * length((q - SUN_AT) * vec2f(1.0, 1.3)));
    return mix(vec3f(0.30, 0.35, 0.50), vec3f(1.25, 0.70, 0.34), near_sun);
}

fn sky(q: vec2f) -> vec3f {
    let up = clamp(q.y / 0.55, 0.0, 1.0);
    var color = mix(haze(q) * vec3f(1.15, 1.0, 0.88), vec3f(0.075, 0.17, 0.40), pow(up, 0.75));
    let far = length(q - SUN_AT);
    color += vec3f(1.0, 0.55, 0.22) * (0.55 * exp(-8.0 * far) + 1.6 * exp(-32.0 * far));
    color += vec3f(9.0, 6.5, 3.5) * fall(0.014, 0.021, far);
    // Clouds lie on a ceiling, so they flatten toward the horizon.
    let ceiling = vec2f(q.x * 1.15, 0.42) / (q.y + 0.13) * vec2f(1.0, 1.7);
    let warp = vec2f(fbm(ceiling + 3.0, 3u), fbm(ceiling + 31.0, 3u));
    let at = ceiling * vec2f(1.5, 1.6) + 0.9 * warp + vec2f(5.6, 2.0);
    let density = fbm(at, 6u);
    let toward = fbm(at + 0.22 * normalize((SUN_AT - q) * vec2f(1.0, -1.0) + 1e-4), 4u);
    let cover = smoothstep(0.44, 0.60, density);
    let lit = clamp(0.55 + 3.2 * (density - toward) - 0.5 * cover, 0.0, 1.0);
    let glow = 0.75 + 1.2 * exp(-3.5 * far);
    let cloud = mix(vec3f(0.22, 0.22, 0.32), vec3f(1.15, 0.66, 0.44) * glow, lit);
    return mix(color, cloud, 0.92 * cover * smoothstep(0.0, 0.12, q.y));
}

/// Height of the land at (x, distance): noise whose steep places stay smooth, so that ridges look
/// washed out by water (Quilez, "more noise"), swelling to a few summits.
fn terrain(at: vec2f, octaves: u32) -> f32 {
    var p = at * 0.36 + vec2f(4.3, 1.7);
    var sum = 0.0;
    var weight = 1.0;
    var slope = vec2f(0.0);
    for (var i = 0u; i < octaves; i++) {
        let n = noise_slope(p);
        slope += n.yz;
        sum += weight * n.x / (1.0 + dot(slope, slope));
        weight *= 0.5;
        p = TURN * p * 2.0;
    }
    let a = (at - vec2f(-3.0, 15.0)) / vec2f(3.2, 4.0);
    let b = (at - vec2f(5.6, 20.0)) / vec2f(4.5, 4.0);
    let c = (at - vec2f(-8.6, 20.0)) / vec2f(4.0, 5.0);
    let swell = 3.6 * exp(-dot(a, a)) + 2.6 * exp(-dot(b, b)) + 2.4 * exp(-dot(c, c));
    return smoothstep(5.5, 11.0, at.y) * (sum * (0.9 + 0.55 * swell) + 0.42 * swell) - 0.05;
}

/// The mountains in front of `behind`: a walk along the ray until it is below the land.
fn mountains(q: vec2f, behind: vec3f) -> vec3f {
    let ray = vec2f(q.x, q.y) / FOCUS;
    var far = 6.0;
    var near = far;
    while far < 30.0 && ray.y * far > terrain(vec2f(ray.x * far, far), 4u) {
        near = far;
        far *= 1.035;
    }
    if far >= 30.0 {
        return behind;
    }
    for (var i = 0; i < 5; i++) {
        let half = 0.5 * (near + far);
        if ray.y * half > terrain(vec2f(ray.x * half, half), 4u) {
            near = half;
        } else {
            far = half;
        }
    }
    let at = vec2f(ray.x * far, far);
    let stride = 0.0022 * far;
    let height = terrain(at, 8u);
    let normal = normalize(vec3f(
        height - terrain(at + vec2f(stride, 0.0), 8u),
        stride,
        height - terrain(at + vec2f(0.0, stride), 8u),
    ));
    let grain = fbm(at * 6.0, 4u);
    let lies = smoothstep(0.50, 0.68, normal.y + 0.25 * (height - 2.0) + 0.3 * (grain - 0.5));
    let snow = lies * smoothstep(1.0, 1.8, height + grain - 0.5);
    let wood = fall(0.65, 0.95, height + 0.7 * (grain - 0.5)) * smoothstep(0.3, 0.5, normal.y);
    var albedo = mix(vec3f(0.17, 0.14, 0.125), vec3f(0.26, 0.22, 0.19), grain);
    albedo = mix(albedo, vec3f(0.030, 0.050, 0.018) * (0.3 + 1.4 * grain), wood);
    albedo = mix(albedo, vec3f(0.80, 0.82, 0.88), snow);
    let sun = max(dot(normal, normalize(TO_SUN)), 0.0);
    let color = albedo * (sun * SUNLIGHT + (0.35 + 0.65 * normal.y) * SKYLIGHT);
    let veil = 1.0 - exp(-0.020 * (far - 5.0) - 0.20 * exp(-3.5 * height) * smoothstep(7.0, 14.0, far));
    return mix(color, haze(q), veil);
}

/// A conifer of height 1 at `p` from its foot: xyz its colour, w its cover. `blur` softens edges.
/// Noise that is stretched along drooping branches makes both its outline and its light.
fn conifer(p: vec2f, seed: f32, blur: f32) -> vec4f {
    let slant = p.y + 0.5 * abs(p.x);
    let at = vec2f(p.x * 9.0 + 91.0 * seed, slant * 30.0);
    let bough = noise(at);
    let above = noise(at + vec2f(0.25, 0.45));
    let needles = noise(vec2f(p.x * 130.0 - 37.0 * seed, slant * 190.0));
    let taper = max(1.0 - p.y, 0.0) * smoothstep(-0.02, 0.14, p.y);
    let half = 0.19 * taper * (0.30 + 0.95 * bough + 0.6 * (needles - 0.5));
    let inside = smoothstep(-blur, blur, max(half, 0.010 * (1.0 - p.y)) - abs(p.x));
    let cover = inside * step(0.0, p.y) * fall(0.96, 1.0, p.y);
    let side = clamp(0.5 + 2.6 * p.x / (taper + 0.02), 0.0, 1.0);
    let lit = clamp(0.35 * side + (0.3 + side) * (bough - above) + 0.85 * (needles - 0.45), 0.0, 1.0);
    let shade = vec3f(0.020, 0.032, 0.020) * (SKYLIGHT + 0.4 * bough);
    return vec4f(shade + vec3f(0.080, 0.105, 0.030) * lit * SUNLIGHT, cover);
}

/// A wood along the far shore: one tree a cell of x, up to `tall`. Its loop, as others below, ends at
/// once where there's nothing: software drivers compute both sides of an `if`, but leave a loop.
fn wood(q: vec2f, behind: vec3f, salt: u32, tall: f32, veil: f32) -> vec3f {
    let gap = 0.17 * tall;
    let scrub = min(0.25 * tall, 0.02) * (0.3 + 1.4 * noise(vec2f(q.x / tall * 5.0, f32(salt))));
    let air = haze(q);
    let dark = mix(vec3f(0.012, 0.020, 0.012), air, veil);
    var color = mix(behind, dark, fall(scrub - 0.003, scrub, q.y));
    let cell = i32(floor(q.x / gap));
    let last = select(cell - 2, cell + 1, q.y < tall);
    for (var i = cell - 1; i <= last; i++) {
        let r = random2(vec2i(i, 0), salt);
        let stand = smoothstep(0.25, 0.6, noise(vec2f(f32(i) * gap * 4.0 + f32(salt) * 7.7, 0.5)));
        let height = tall * (0.55 + 0.45 * r.x) * (0.55 + 0.45 * stand);
        let foot = vec2f((f32(i) + 0.2 + 0.6 * r.y) * gap, -0.12 * height);
        let tree = conifer((q - foot) / height, r.x, 0.03);
        color = mix(color, mix(tree.xyz, air, veil), tree.w);
    }
    return color;
}

/// Cover of a rectangle with soft edges.
fn box(p: vec2f, low: vec2f, high: vec2f) -> f32 {
    let inside = min(p - low, high - p);
    return smoothstep(-0.012, 0.012, min(inside.x, inside.y));
}

/// A log cabin of wall height 1 on `behind`: its gable in shade, its long side in the sun.
fn cabin(p: vec2f, behind: vec3f) -> vec3f {
    let grain = noise(vec2f(p.x * 5.0, p.y * 40.0));
    let logs = 0.55 + 0.45 * abs(sin(p.y * 22.0));
    let timber = vec3f(0.20, 0.105, 0.055) * (0.6 + 0.8 * grain) * logs;
    let s = (p.y - 0.96 + 0.05 * p.x) / 0.76;
    let ridge = 1.74 - 1.50 * abs(p.x + 0.5);
    let gable = box(p, vec2f(-1.0, 0.0), vec2f(0.0, 3.0)) * smoothstep(0.0, 0.03, ridge - p.y);
    let side = box(p, vec2f(0.0, 0.0), vec2f(1.5, 0.96));
    let roof = box(vec2f(p.x + 0.5 * s, s), vec2f(-0.07, -0.08), vec2f(1.66, 1.0));
    let verge = box(vec2f(p.x, p.y + 1.50 * abs(p.x + 0.5)), vec2f(-1.16, 1.66), vec2f(-0.40, 1.84));
    let chimney = box(p, vec2f(0.62, 1.4), vec2f(0.84, 2.08));
    let stone = noise(p * vec2f(14.0, 18.0));
    let shingle = 0.6 + 0.5 * noise(vec2f(p.x * 16.0, floor(s * 9.0) * 3.0)) - 0.25 * fract(s * 9.0);
    var color = mix(behind, vec3f(0.20, 0.17, 0.15) * (0.5 + stone) * SUNLIGHT * 0.55, chimney);
    color = mix(color, timber * SKYLIGHT * 1.6, gable);
    color = mix(color, timber * (0.5 * SKYLIGHT + SUNLIGHT) * fall(0.75, 1.05, p.y), side);
    color = mix(color, vec3f(0.26, 0.085, 0.06) * shingle * (0.6 * SKYLIGHT + 0.85 * SUNLIGHT), roof);
    color = mix(color, vec3f(0.05, 0.03, 0.025), verge * (1.0 - roof));
    // Windows: two on the side and one in the gable, lit from within, with their bars.
    let row = vec2f(fract((p.x - 0.18) / 0.68), p.y);
    let pane = box(row, vec2f(0.14, 0.36), vec2f(0.62, 0.72)) * box(p, vec2f(0.2, 0.0), vec2f(1.4, 1.0))
        + box(p, vec2f(-0.70, 0.36), vec2f(-0.32, 0.78));
    let bars = smoothstep(0.0, 0.03, abs(p.y - 0.55) - 0.01);
    return mix(color, vec3f(2.2, 1.15, 0.32) * (0.25 + 0.75 * bars), pane);
}

/// All above the water.
fn land(q: vec2f) -> vec3f {
    var color = mountains(q, sky(q));
    color = wood(q, color, 50u, 0.070, 0.20);
    color = wood(q, color, 51u, 0.052, 0.08);
    // A spit of grass on the right, and the cabin.
    color = wood(q - vec2f(0.0, 0.20 * smoothstep(0.12, 0.36, q.x) - 0.18), color, 54u, 0.25, 0.03);
    let turf = fbm(vec2f(q.x * 30.0, q.y * 160.0), 3u);
    let bank = 0.034 * smoothstep(0.10, 0.34, q.x) + 0.008 * (turf - 0.5) - 0.004;
    let grass = vec3f(0.11, 0.13, 0.03) * SUNLIGHT * turf + vec3f(0.02, 0.03, 0.02);
    color = mix(color, grass * smoothstep(-0.012, 0.012, q.y), smoothstep(-0.0015, 0.0015, bank - q.y));
    return cabin((q - vec2f(0.335, 0.016)) / 0.066, color);
}

/// The place whose mirror image is at `q` on the lake: upside down, and broken by ripples.
fn lake(q: vec2f) -> vec2f {
    let depth = 0.10 / (0.03 - q.y);
    let at = vec2f(q.x * depth * 14.0, 26.0 * depth);
    let swell = fbm(at, 4u) - 0.5;
    let fine = fbm(at * vec2f(2.2, 3.7) + 9.0, 3u) - 0.5;
    let strength = 0.06 * smoothstep(0.0, 0.3, -q.y) + 0.006;
    let up = -0.97 * q.y + strength * (swell + 0.7 * fine);
    return vec2f(q.x + 0.35 * strength * fine, max(up, 0.0005));
}

/// The jetty: boards that run out from the near bank over the lake, and the dark below its edge.
fn jetty(q: vec2f, behind: vec3f) -> vec3f {
    let depth = 0.10 / max(-q.y - 0.02, 0.01);
    let across = (q.x - 0.201 - 0.22 * q.y) * depth;
    let deck = fall(0.028, 0.030, abs(across)) * smoothstep(0.205, 0.208, -q.y);
    let under = fall(0.028, 0.030, abs(across + 0.003)) * smoothstep(0.222, 0.225, -q.y);
    let boards = depth * 46.0;
    let joint = smoothstep(0.0, 0.16, abs(fract(boards) - 0.5));
    let grain = noise(vec2f(across * 300.0, floor(boards) * 7.0 + q.x * 12.0));
    let age = random(vec2i(i32(boards), 3), 60u);
    let planks = vec3f(0.23, 0.17, 0.125) * (0.55 + 0.3 * age + 0.5 * grain) * (0.35 + 0.65 * joint);
    let color = mix(behind, vec3f(0.02, 0.018, 0.02), under);
    return mix(color, planks * (0.9 * SKYLIGHT + 0.62 * SUNLIGHT), deck);
}

/// The near bank: rows of grass, the nearest last, with flowers among them.
fn meadow(q: vec2f, behind: vec3f) -> vec3f {
    var color = behind;
    let rise = 0.13 * smoothstep(0.05, 0.67, -q.x) + 0.07 * smoothstep(0.25, 0.70, q.x)
        + 0.02 * noise(vec2f(q.x * 9.0, 2.0));
    let rows = select(0, 7, q.y < rise - 0.28);
    for (var k = 0; k < rows; k++) {
        let row = f32(k);
        let scale = 1.0 + 0.16 * row;
        let gap = 0.0075 * scale;
        let base = rise - 0.415 - 0.026 * row;
        let cell = i32(floor(q.x / gap));
        color = mix(color, vec3f(0.012, 0.017, 0.008), smoothstep(-0.006, 0.012, base - q.y));
        for (var i = cell - 3; i <= cell + 3; i++) {
            let r = random2(vec2i(i, k), 70u);
            let s = random2(vec2i(i, k), 71u);
            let clump = 0.5 + noise(vec2f(f32(i) * gap * 14.0, row));
            let tall = 0.060 * (0.35 + 0.65 * r.x) * scale * clump;
            let t = (q.y - base + 0.006) / tall;
            let x = q.x - (f32(i) + r.y) * gap - (s.x - 0.42) * 0.55 * tall * t * t;
            let half = 0.0024 * scale * (1.0 - t);
            let blade = smoothstep(-0.0006, 0.0006, half - abs(x)) * step(0.0, t);
            let tint = mix(vec3f(0.045, 0.085, 0.012), vec3f(0.19, 0.15, 0.035), s.y);
            color = mix(color, tint * (0.25 + 1.1 * t * t) * (0.8 * SUNLIGHT + 0.4 * SKYLIGHT), blade);
            let head = length(vec2f(x, (t - 1.0) * tall * 1.25)) / scale;
            let bloom = fall(0.0040, 0.0052, head) * step(0.90, 0.5 * r.x + 0.5 * s.y);
            let petal = mix(vec3f(0.85, 0.10, 0.05), vec3f(0.95, 0.80, 0.75), step(0.45, s.x));
            color = mix(color, mix(petal, vec3f(0.9, 0.55, 0.05), fall(0.0012, 0.002, head)), bloom);
        }
    }
    return color;
}

/// The photograph at `p`.
fn photograph(p: vec2f) -> vec3f {
    let q = p + vec2f(0.0, 0.07);
    let wet = q.y < 0.0;
    var at = q;
    if wet {
        at = lake(q);
    }
    var color = land(at);
    if wet {
        let steep = smoothstep(0.0, 0.45, -q.y);
        color = mix(color * vec3f(0.80, 0.84, 0.88), vec3f(0.012, 0.035, 0.045), 0.10 + 0.55 * steep);
    }
    color = jetty(q, color);
    // Pines frame the view: (x, foot, height, seed) of each.
    var pines = array<vec4f, 3>(
        vec4f(-0.44, -0.34, 0.46, 0.31),
        vec4f(-0.66, -0.36, 0.70, 0.77),
        vec4f(-0.55, -0.40, 0.90, 0.13),
    );
    let count = select(0, 3, q.x < -0.25);
    for (var i = 0; i < count; i++) {
        let pine = pines[i];
        let tree = conifer((q - pine.xy) / pine.z, pine.w, 0.004);
        color = mix(color, tree.xyz, tree.w);
    }
    color = meadow(q, color);
    // An exposure, a film's shoulder and the sRGB curve.
    color = pow(1.0 - exp(-1.5 * color), vec3f(1.0 / 2.2));
    return mix(color, color * color * (3.0 - 2.0 * color), 0.55);
}

// ---- The painting ------------------------------------------------------------------------------

/// Light and dark bands of paint in a unit of the stream function, times 2π.
const BANDS = 9.0;
/// The centre of the warm whirl.
const SUN_WHIRL = vec2f(0.17, -0.04);

/// A whirl of the flow: x its stream function, yz the gradient. The angle's term, whole turns of a
/// band, makes spiral arms of its rings.
fn whirl(p: vec2f, centre: vec2f, strength: f32, arms: f32) -> vec3f {
    let d = p - centre;
    let q = dot(d, d) + 0.002;
    let twist = arms / BANDS;
    let angle = atan2(d.y, d.x + 1e-9);
    let slope = (strength * d + twist * vec2f(-d.y, d.x)) / q;
    return vec3f(0.5 * strength * log(q) + twist * angle, slope);
}

/// The flow that brushes follow: x the stream function (constant along a stroke), yz its gradient.
fn stream(p: vec2f) -> vec3f {
    let wave = vec2f(3.4, 6.0);
    let phase = dot(p, wave) + 0.4;
    return whirl(p, SUN_WHIRL, 0.52, 2.0)
        + whirl(p, vec2f(-0.55, -0.36), -0.36, -1.0)
        + whirl(p, vec2f(-0.20, 0.47), -0.26, 1.0)
        + whirl(p, vec2f(0.62, 0.46), 0.20, -1.0)
        + vec3f(0.13 * sin(phase), 0.13 * cos(phase) * wave);
}

/// The way along the flow, a unit vector.
fn along(p: vec2f) -> vec2f {
    let slope = stream(p).yz;
    return vec2f(-slope.y, slope.x) * inverseSqrt(dot(slope, slope) + 1e-6);
}

/// The tubes of paint, dark to light: 0..4 cold, 5..9 warm, 10 the accent.
fn pigment(tube: u32) -> vec3f {
    switch tube {
        case 0u: { return vec3f(0.05, 0.09, 0.23); }
        case 1u: { return vec3f(0.08, 0.19, 0.48); }
        case 2u: { return vec3f(0.14, 0.38, 0.67); }
        case 3u: { return vec3f(0.45, 0.67, 0.76); }
        case 4u: { return vec3f(0.93, 0.89, 0.74); }
        case 5u: { return vec3f(0.45, 0.09, 0.08); }
        case 6u: { return vec3f(0.83, 0.22, 0.10); }
        case 7u: { return vec3f(0.89, 0.50, 0.11); }
        case 8u: { return vec3f(0.95, 0.74, 0.27); }
        case 9u: { return vec3f(0.98, 0.92, 0.74); }
        default: { return vec3f(0.10, 0.43, 0.40); }
    }
}

/// The paint that a brush takes at `p`: bands along the streamlines, warm around one whirl and cold
/// elsewhere. `chance` blends by mixing tubes on the canvas, as strokes, and not on the palette.
fn choose(p: vec2f, chance: vec2f) -> vec3f {
    let band = 0.5 + 0.5 * sin(BANDS * stream(p).x + 1.3 * sin(5.0 * p.x - 3.0 * p.y));
    let tone = u32(clamp(3.9 * band * sqrt(band) + 1.7 * (chance.x - 0.5), 0.0, 4.0) + 0.4);
    let d = p - SUN_WHIRL;
    let glow = fall(0.14, 0.46, length(d) + 0.10 * sin(7.0 * p.x + 9.0 * p.y));
    let ember = 0.5 * fall(0.05, 0.3, length((p - vec2f(-0.62, 0.10)) * vec2f(1.0, 1.6)));
    if chance.y > 0.94 {
        return pigment(10u);
    }
    return pigment(tone + select(0u, 5u, max(glow, ember) > 0.04 + 0.92 * chance.y));
}

/// One scale of strokes, a stroke a cell of `size`; 1 is the picture's height, and the others are in
/// cells. No stroke may reach past two cells.
struct Layer {
    salt: u32,
    size: f32,
    reach: f32,
    width: f32,
    body: f32,
}

fn layer(index: u32) -> Layer {
    switch index {
        case 0u: { return Layer(10u, 0.150, 1.85, 0.36, 0.8); }
        case 1u: { return Layer(20u, 0.115, 1.90, 0.31, 1.1); }
        case 2u: { return Layer(30u, 0.088, 1.90, 0.28, 1.2); }
        default: { return Layer(40u, 0.085, 1.30, 0.15, 1.1); }
    }
}

/// A stroke: an arc of curvature `bend` through `centre`, where it heads along `way`.
struct Stroke {
    centre: vec2f,
    way: vec2f,
    bend: f32,
    reach: f32,
    half_width: f32,
    seed: vec2f,
}

fn stroke(cell: vec2i, from_layer: Layer) -> Stroke {
    let place = random2(cell, from_layer.salt);
    let shape = random2(cell, from_layer.salt + 1u);
    let centre = (vec2f(cell) + 0.05 + 0.9 * place) * from_layer.size;
    let way = along(centre);
    let stride = 0.4 * from_layer.size;
    let ahead = along(centre + stride * way);
    let bend = clamp((way.x * ahead.y - way.y * ahead.x) / stride, -14.0, 14.0);
    // A tight turn takes short strokes: with this, an arc's ends stay within `longest` of its centre.
    let longest = from_layer.size * from_layer.reach * (0.65 + 0.35 * shape.x);
    let reach = longest * inverseSqrt(1.0 + 0.25 * bend * bend * longest * longest);
    let half_width = from_layer.size * from_layer.width * (0.7 + 0.5 * shape.y);
    return Stroke(centre, way, bend, reach, half_width, 61.0 * place + 13.0 * shape);
}

/// Where `p` lies on a stroke: x along and y across it, both within -1..1 on its footprint.
fn on_stroke(s: Stroke, p: vec2f) -> vec2f {
    let d = p - s.centre;
    let u = dot(d, s.way);
    return vec2f(u / s.reach, (dot(d, vec2f(-s.way.y, s.way.x)) - 0.5 * s.bend * u * u) / s.half_width);
}

/// Thickness of the paint: bristles comb furrows into it and push it to the sides and the end.
fn thickness(at: vec2f, seed: vec2f) -> f32 {
    let furrows = 0.55 * noise(at * vec2f(1.5, 4.5) + seed)
        + 0.45 * noise(at * vec2f(2.5, 12.0) - seed);
    let v4 = at.y * at.y * at.y * at.y;
    let lip = 0.5 * smoothstep(0.4, 0.8, abs(at.y)) + 0.6 * smoothstep(0.4, 0.85, at.x);
    return (1.0 - v4) * (0.4 + furrows + lip);
}

/// What lies on the canvas: a colour, and light from its relief.
struct Paint {
    color: vec3f,
    relief: f32,
}

/// Lays a stroke over `under`.
fn dab(under: Paint, p: vec2f, cell: vec2i, from_layer: Layer) -> Paint {
    let s = stroke(cell, from_layer);
    let at = on_stroke(s, p);
    let hair = noise(at * vec2f(1.6, 11.0) + s.seed);
    let edge = 1.0 - abs(at.y) * (1.0 + 0.25 * at.x * at.x) - 0.20 * hair;
    let end = min(1.0 + at.x - 0.15 * hair, 1.35 * (1.0 - at.x) - 0.75 * hair);
    let cover = smoothstep(0.0, 0.12, edge) * smoothstep(0.0, 0.10, end);
    let toward_light = vec2f(-0.0042, 0.0056);
    let relief = thickness(at, s.seed) - thickness(on_stroke(s, p + toward_light), s.seed);
    let load = choose(s.centre, random2(cell, from_layer.salt + 2u));
    let other = choose(s.centre, random2(cell, from_layer.salt + 3u));
    let streak = noise(at * vec2f(0.8, 6.0) - 2.0 * s.seed);
    let color = mix(load, other, 0.75 * smoothstep(0.55, 0.8, streak)) * (0.84 + 0.32 * hair);
    return Paint(mix(under.color, color, cover), mix(under.relief, relief * from_layer.body, cover));
}

/// One of the 25 cells around `here`. Strokes lie in this order, which must be the same for every
/// pixel and look like none: five classes of cells, neighbours in a class a knight's move apart.
fn nearby(here: vec2i, index: u32) -> vec2i {
    let y = here.y - 2 + i32(index % 5u);
    return vec2i(here.x - 2 + (i32(index / 5u) + 2 * y - here.x + 50000) % 5, y);
}

/// The strokes of a layer that a pixel at `p` touches, a bit each: found once for all its samples,
/// since most of the 25 miss it.
fn touching(p: vec2f, from_layer: Layer) -> u32 {
    let here = vec2i(floor(p / from_layer.size));
    let margin = 1.0 / f32(params.height);
    var bits = 0u;
    for (var i = 0u; i < 25u; i++) {
        let s = stroke(nearby(here, i), from_layer);
        let gap = (abs(on_stroke(s, p)) - 1.0) * vec2f(s.reach, s.half_width);
        bits |= select(0u, 1u << i, max(gap.x, gap.y) < margin);
    }
    return bits;
}

/// The painting over the pixel at `p`.
fn painting(p: vec2f) -> vec3f {
    var canvas: array<Paint, SAMPLES>;
    for (var i = 0u; i < SAMPLES; i++) {
        canvas[i] = Paint((0.6 + 0.4 * noise(150.0 * p)) * choose(p, vec2f(0.4)), 0.0);
    }
    for (var k = 0u; k < 4u; k++) {
        let coat = layer(k);
        let here = vec2i(floor(p / coat.size));
        for (var bits = touching(p, coat); bits != 0u; bits &= bits - 1u) {
            let cell = nearby(here, firstTrailingBit(bits));
            for (var i = 0u; i < SAMPLES; i++) {
                canvas[i] = dab(canvas[i], p + sample_offset(i), cell, coat);
            }
        }
    }
    var sum = vec3f(0.0);
    for (var i = 0u; i < SAMPLES; i++) {
        let relief = clamp(canvas[i].relief, -0.7, 0.9);
        let shine = max(relief - 0.15, 0.0);
        sum += canvas[i].color * (1.0 + 0.55 * relief) + 0.35 * shine * shine;
    }
    return sum / f32(SAMPLES);
}
