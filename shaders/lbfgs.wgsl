// One evaluation of L-BFGS in the box low..high (Nocedal & Wright, "Numerical Optimization", 2006: algorithm 7.4, the
// two-loop recursion, and 3.1, backtracking; Bertsekas, "Projected Newton Methods for Optimization Problems with
// Simple Constraints", 1982). The recursion runs on coefficients: with the inner products of all pairs at hand, the
// direction is a weighted sum of vectors (Chen, Wang, Zhou, "Large-scale L-BFGS using MapReduce", 2014), so that
// kernels over the picture need no order of slots, and the ring of pairs turns by data. One file, longer than others,
// because all of it shares State.
//
// x: the trial point, just evaluated. base: the best point so far. Both and their gradients: count numbers; moved,
// turned, pull, direction, and s and y of every slot: count numbers and zeros up to a multiple of four, because what
// is done for every slot goes through them by fours: 2.5 times as fast on lavapipe. A coordinate is held where it
// lies on a bound and its gradient pushes it out: held ones count as gradient 0, have no share in y and do not move.
// All of these are one vector each, which may lie in several tensors: kernels over the picture then run once for each
// tensor, with its count and, as first, where the sums of its workgroups begin among the partials.
//
// In this order; over the picture one invocation an element in workgroups of 256, or (sums) a contiguous share of
// elements a workgroup, always added in the same order. partials: for every sum, a number a workgroup. All write =.
// measure   sums     moved = x − base, turned = Δ gradient, pull = the gradient at x but for what is held; 5 products
// decide    1 group  accepts the trial (Armijo's condition) or shortens the step; says which slot takes the new pair
// remember  sums     by fours, one slot: takes the pair if it is its turn; five products with pull and with the pair
// gather    1 group a slot: adds up its products
// recur     1 lane   the two loops: weights of all vectors; here count is that of all tensors
// combine   picture  by fours, one slot: direction = (slot 0) or += s and y by their weights
// advance   picture  an accepted trial becomes the base; x = clamp(base + length · (pull_weight · pull + direction))

struct Params {
    count: u32,
    share: u32,
    partials: u32,
    history: u32,
    slot: u32,
    first: u32,
    low: f32,
    high: f32,
}

struct State {
    // Evaluations; the host and the trace read it here.
    steps: f32,
    // At the base: the loss, and the gradient's squared norm without what is held.
    loss: f32,
    squares: f32,
    length: f32,
    pull_weight: f32,
    // Whether there is a base; whether the last trial became it; trials rejected since.
    begun: u32,
    accepted: u32,
    rejections: u32,
    // Pairs in the ring, the slot of the newest, and the slot to be filled now plus 1, or 0.
    pairs: u32,
    newest: u32,
    filled: u32,
}

@group(0) @binding(0) var<storage, read_write> state: State;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read_write> base: array<f32>;
@group(0) @binding(4) var<storage, read_write> base_gradient: array<f32>;
@group(0) @binding(5) var<storage, read_write> moved: array<f32>;
@group(0) @binding(6) var<storage, read_write> turned: array<f32>;
@group(0) @binding(7) var<storage, read_write> pull: array<f32>;
@group(0) @binding(5) var<storage, read> moved4: array<vec4f>;
@group(0) @binding(6) var<storage, read> turned4: array<vec4f>;
@group(0) @binding(7) var<storage, read> pull4: array<vec4f>;
@group(0) @binding(8) var<storage, read_write> s: array<vec4f>;
@group(0) @binding(9) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(10) var<storage, read> direction: array<f32>;
@group(0) @binding(10) var<storage, read_write> direction4: array<vec4f>;
@group(0) @binding(11) var<storage, read_write> partials: array<f32>;
@group(0) @binding(12) var<storage, read> loss: array<f32>;
// Five products a slot: s·pull, y·pull, s·turned, y·turned, y·moved.
@group(0) @binding(13) var<storage, read_write> products: array<f32>;
// For slots i, j: s_i·y_j and y_i·y_j.
@group(0) @binding(14) var<storage, read_write> bends: array<vec2f>;
// Of every slot's s and y in the direction.
@group(0) @binding(15) var<storage, read_write> weights: array<vec2f>;
@group(0) @binding(16) var<storage, read> rate: array<f32>;
@group(0) @binding(17) var<uniform> params: Params;

// Of the decrease that the slope promises, this share must come (Nocedal & Wright, 3.4).
const ARMIJO = 1e-4;
// What a loss may rise by rounding.
const ROUNDING = 1e-6;
// A pair with a smaller cosine says nothing about curvature that f32 can tell from noise.
const LEAST_COSINE = 1e-4;
// Less is lost in the smallest numbers of f32; dividing by it gives no number.
const LEAST = 1e-36;
// After so many trials in a row the history is no guide any more.
const MOST_REJECTIONS = 4u;

fn free(value: f32, slope: f32) -> bool {
    return !(((value <= params.low) & (slope > 0.0)) | ((value >= params.high) & (slope < 0.0)));
}

fn put_sum(which: u32, value: f32, group: u32, lane: u32) {
    let sum = workgroup_sum(value, lane);
    if lane == 0u {
        partials[which * params.partials + params.first + group] = sum;
    }
}

fn sum_of(which: u32, lane: u32) -> f32 {
    var sum = 0.0;
    for (var i = lane; i < params.partials; i += LANES) {
        sum += partials[which * params.partials + i];
    }
    return workgroup_sum(sum, lane);
}

@compute @workgroup_size(LANES)
fn measure(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let end = min(params.count, (group.x + 1u) * params.share);
    var descent = 0.0;
    var bend = 0.0;
    var turned_squares = 0.0;
    var moved_squares = 0.0;
    var pull_squares = 0.0;
    for (var i = group.x * params.share + lane; i < end; i += LANES) {
        let slope = gradient[i];
        let is_free = free(x[i], slope);
        let a = x[i] - base[i];
        let b = select(0.0, slope - base_gradient[i], is_free);
        let c = select(0.0, slope, is_free);
        moved[i] = a;
        turned[i] = b;
        pull[i] = c;
        descent += a * base_gradient[i];
        bend += a * b;
        turned_squares += b * b;
        moved_squares += a * a;
        pull_squares += c * c;
    }
    let tail = params.count + lane;
    if (group.x == 0u) & (tail < (params.count + 3u) / 4u * 4u) {
        moved[tail] = 0.0;
        turned[tail] = 0.0;
        pull[tail] = 0.0;
    }
    put_sum(0u, descent, group.x, lane);
    put_sum(1u, bend, group.x, lane);
    put_sum(2u, turned_squares, group.x, lane);
    put_sum(3u, moved_squares, group.x, lane);
    put_sum(4u, pull_squares, group.x, lane);
}

@compute @workgroup_size(LANES)
fn decide(@builtin(local_invocation_index) lane: u32) {
    let descent = sum_of(0u, lane);
    let bend = sum_of(1u, lane);
    let turned_squares = sum_of(2u, lane);
    let moved_squares = sum_of(3u, lane);
    let pull_squares = sum_of(4u, lane);
    if lane == 0u {
        state.steps += 1.0;
        // Written so that a loss that is no number is rejected.
        let low_enough = loss[0] <= state.loss + ARMIJO * descent + ROUNDING * abs(state.loss);
        if state.begun == 0u || low_enough {
            let noise = LEAST_COSINE * sqrt(moved_squares) * sqrt(turned_squares);
            let curved = bend > max(noise, LEAST) && turned_squares > LEAST;
            accept(state.begun != 0u && curved);
            state.squares = pull_squares;
        } else {
            reject(descent, moved_squares);
        }
    }
}

fn accept(remembers: bool) {
    state.begun = 1u;
    state.accepted = 1u;
    state.rejections = 0u;
    state.loss = loss[0];
    state.filled = 0u;
    if remembers {
        state.newest = select((state.newest + 1u) % params.history, 0u, state.pairs == 0u);
        state.pairs = min(state.pairs + 1u, params.history);
        state.filled = state.newest + 1u;
    }
}

fn reject(descent: f32, moved_squares: f32) {
    state.accepted = 0u;
    state.rejections += 1u;
    // The lowest point of the parabola through the base, its slope there, and the trial.
    let lowest = -0.5 * descent / (loss[0] - state.loss - descent);
    let shorter = min(select(0.1, lowest, lowest > 0.1), 0.5);
    state.length *= shorter;
    if state.rejections == MOST_REJECTIONS && state.pairs > 0u {
        forget();
        state.length = shorter * sqrt(moved_squares / max(state.squares, LEAST));
    }
}

/// From here on against the gradient.
fn forget() {
    state.pairs = 0u;
    state.pull_weight = -1.0;
}

@compute @workgroup_size(LANES)
fn remember(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let fills = state.filled == params.slot + 1u;
    // There is nothing to do after a rejected trial, and in slots that hold nothing yet.
    let fours = min((params.count + 3u) / 4u, (group.x + 1u) * params.share);
    let end = select(0u, fours, (state.accepted != 0u) & (params.slot < state.pairs));
    var s_pull = 0.0;
    var y_pull = 0.0;
    var s_turned = 0.0;
    var y_turned = 0.0;
    var y_moved = 0.0;
    for (var i = group.x * params.share + lane; i < end; i += LANES) {
        let steepest = pull4[i];
        let change = moved4[i];
        let bend = turned4[i];
        var a = s[i];
        var b = y[i];
        if fills {
            a = change;
            b = bend;
            s[i] = a;
            y[i] = b;
        }
        s_pull += dot(a, steepest);
        y_pull += dot(b, steepest);
        s_turned += dot(a, bend);
        y_turned += dot(b, bend);
        y_moved += dot(b, change);
    }
    put_sum(5u * params.slot, s_pull, group.x, lane);
    put_sum(5u * params.slot + 1u, y_pull, group.x, lane);
    put_sum(5u * params.slot + 2u, s_turned, group.x, lane);
    put_sum(5u * params.slot + 3u, y_turned, group.x, lane);
    put_sum(5u * params.slot + 4u, y_moved, group.x, lane);
}

@compute @workgroup_size(LANES)
fn gather(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    for (var k = 5u * group.x; k < 5u * group.x + 5u; k += 1u) {
        let sum = sum_of(k, lane);
        if lane == 0u {
            products[k] = sum;
        }
    }
}

/// The slot of the pair that is so many pairs older than the newest.
fn slot_of(age: u32) -> u32 {
    return (state.newest + params.history - age) % params.history;
}

fn at(i: u32, j: u32) -> u32 {
    return i * params.history + j;
}

@compute @workgroup_size(1)
fn recur() {
    if state.accepted == 0u {
        return;
    }
    if state.filled != 0u {
        let latest = state.newest;
        for (var age = 0u; age < state.pairs; age += 1u) {
            let j = slot_of(age);
            bends[at(j, latest)] = vec2f(products[5u * j + 2u], products[5u * j + 3u]);
            bends[at(latest, j)] = vec2f(products[5u * j + 4u], products[5u * j + 3u]);
        }
    }
    // Scale of the first matrix of the recursion (7.20). weights hold α in y and α − β in x on the way.
    let own = bends[at(state.newest, state.newest)];
    let scale = own.x / own.y;
    for (var age = 0u; age < state.pairs; age += 1u) {
        let i = slot_of(age);
        var product = products[5u * i];
        for (var newer = 0u; newer < age; newer += 1u) {
            let j = slot_of(newer);
            product -= weights[j].y * bends[at(i, j)].x;
        }
        weights[i] = vec2f(0.0, product / bends[at(i, i)].x);
    }
    for (var older = state.pairs; older > 0u; older -= 1u) {
        let i = slot_of(older - 1u);
        var product = products[5u * i + 1u];
        for (var age = 0u; age < state.pairs; age += 1u) {
            let j = slot_of(age);
            product -= weights[j].y * bends[at(i, j)].y;
        }
        product *= scale;
        for (var age = older; age < state.pairs; age += 1u) {
            let j = slot_of(age);
            product += weights[j].x * bends[at(j, i)].x;
        }
        weights[i].x = weights[i].y - product / bends[at(i, i)].x;
    }
    var slope = -scale * state.squares;
    for (var age = 0u; age < state.pairs; age += 1u) {
        let i = slot_of(age);
        weights[i] = vec2f(-weights[i].x, scale * weights[i].y);
        slope += weights[i].x * products[5u * i] + weights[i].y * products[5u * i + 1u];
    }
    state.length = 1.0;
    state.pull_weight = -scale;
    // Positive definite but for rounding; this also catches what is no number.
    if state.pairs == 0u || !(slope < 0.0) {
        forget();
        state.length = rate[0] * sqrt(f32(params.count) / max(state.squares, LEAST));
    }
}

@compute @workgroup_size(LANES)
fn combine(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    // A direction stays until a trial along it is accepted. Slots are filled from 0 on.
    if (i < (params.count + 3u) / 4u) & (state.accepted != 0u) & (params.slot < state.pairs) {
        let before = select(direction4[i], vec4f(), params.slot == 0u);
        let weight = weights[params.slot];
        direction4[i] = before + weight.x * s[i] + weight.y * y[i];
    }
}

@compute @workgroup_size(LANES)
fn advance(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded(group, groups, lane);
    if i >= params.count {
        return;
    }
    let accepted = state.accepted != 0u;
    let start = select(base[i], x[i], accepted);
    let slope = select(base_gradient[i], gradient[i], accepted);
    base[i] = start;
    base_gradient[i] = slope;
    let way = state.pull_weight * slope + select(0.0, direction[i], state.pairs > 0u);
    let end = start + select(0.0, state.length * way, free(start, slope));
    x[i] = clamp(end, params.low, params.high);
}
