"""The optimisers that move the pool's pictures: many pictures at once, each with a state of its own."""

import math

import torch


class Adam:
    """β 0.9 and 0.99, clamped to 0..1."""

    def __init__(self, count, numbers):
        self.state = dict(m=torch.zeros(count, numbers), v=torch.zeros(count, numbers), t=torch.zeros(count))

    def begin(self, i, x):
        for value in self.state.values():
            value[i] = 0

    def move(self, i, x, gradient, rate, first, loss):
        """The picture after a step. x, gradient: flat; i: whose state."""
        m, v, t = (self.state[k] for k in ("m", "v", "t"))
        t[i] += 1
        m[i] = 0.9 * m[i] + 0.1 * gradient
        v[i] = 0.99 * v[i] + 0.01 * gradient.square()
        step = (m[i] / (1 - 0.9 ** t[i])) / ((v[i] / (1 - 0.99 ** t[i])).sqrt() + 1e-8)
        return (x - rate * step).clamp(0, 1)


class Lbfgs:
    """L-BFGS in the box 0..1, one evaluation a step, as src/optim/lbfgs.rs and its shader have it.

    A trial that lowers the loss enough becomes the base; another is thrown away, and the next is nearer to the base;
    after four in a row the history is forgotten. It differs where the student learned since the base was seen: losses
    and gradients of two students compare badly. So the first trial of a visit becomes the base and leaves no pair,
    unless its loss rose by more than a quarter. And the student computes in bf16: more rounding is forgiven.
    """

    HISTORY, ARMIJO, ROUNDING, LEAST_COSINE, MOST_REJECTIONS = 10, 1e-4, 1e-3, 1e-4, 4

    def __init__(self, count, numbers):
        vector = lambda *more: torch.zeros(count, *more, numbers)
        number = lambda: torch.zeros(count)
        self.state = dict(
            base=vector(), base_gradient=vector(), direction=vector(), moved=vector(self.HISTORY), turned=vector(self.HISTORY),
            loss=number(), length=number(), pairs=number(), rejections=number(), begun=number(), pull_weight=number())

    def begin(self, i, x):
        for key in ("begun", "pairs", "rejections", "length"):
            self.state[key][i] = 0
        self.state["base"][i] = x

    def move(self, i, x, gradient, rate, first, loss):
        """The next trial. x, gradient: flat, of the trial just evaluated; loss: of it; first: the first of a visit."""
        s = self.state
        free = ~(((x <= 0) & (gradient > 0)) | ((x >= 1) & (gradient < 0)))
        pull = gradient * free
        moved, turned = x - s["base"][i], (gradient - s["base_gradient"][i]) * free
        descent, before = moved @ s["base_gradient"][i], s["loss"][i]
        if not s["begun"][i]:
            accepted = True
        elif first:
            accepted = bool(loss <= 1.25 * before) or bool(s["rejections"][i] >= self.MOST_REJECTIONS)
        else:
            accepted = bool(loss <= before + self.ARMIJO * descent + self.ROUNDING * before.abs())
        if accepted:
            bend = moved @ turned
            if s["begun"][i] and not first and bend > max(self.LEAST_COSINE * moved.norm() * turned.norm(), 1e-36):
                self.remember(i, moved, turned)
            s["begun"][i], s["rejections"][i], s["loss"][i] = 1, 0, loss
            s["base"][i], s["base_gradient"][i] = x, gradient
            self.turn(i, pull, rate)
        else:
            self.shorten(i, loss, descent, moved, pull)
        base, slope = s["base"][i], s["base_gradient"][i]
        way = s["pull_weight"][i] * slope + (s["direction"][i] if s["pairs"][i] > 0 else 0)
        free = ~(((base <= 0) & (slope > 0)) | ((base >= 1) & (slope < 0)))
        return (base + s["length"][i] * way * free).clamp(0, 1)

    def remember(self, i, moved, turned):
        """The newest pair stands last."""
        s = self.state
        for key, value in (("moved", moved), ("turned", turned)):
            s[key][i] = torch.cat([s[key][i, 1:], value[None]])
        s["pairs"][i] = min(int(s["pairs"][i]) + 1, self.HISTORY)

    def turn(self, i, pull, rate):
        """The two-loop recursion: direction and pull_weight, of which the way from the base is the sum."""
        s, pairs = self.state, int(self.state["pairs"][i])
        if pairs:
            kept = range(self.HISTORY - pairs, self.HISTORY)
            points, slopes = s["moved"][i], s["turned"][i]
            bends = {k: points[k] @ slopes[k] for k in kept}
            scale = bends[self.HISTORY - 1] / slopes[-1].square().sum()
            q, alpha = pull.clone(), {}
            for k in reversed(kept):
                alpha[k] = points[k] @ q / bends[k]
                q -= alpha[k] * slopes[k]
            q *= scale
            for k in kept:
                q += (alpha[k] - slopes[k] @ q / bends[k]) * points[k]
            if q @ pull > 0:
                s["direction"][i], s["pull_weight"][i], s["length"][i] = scale * pull - q, -scale, 1
                return
        s["pairs"][i], s["pull_weight"][i] = 0, -1
        s["length"][i] = rate * math.sqrt(len(pull)) / max(pull.norm().item(), 1e-18)

    def shorten(self, i, loss, descent, moved, pull):
        s = self.state
        s["rejections"][i] += 1
        lowest = (-0.5 * descent / (loss - s["loss"][i] - descent)).item()
        shorter = min(lowest if lowest > 0.1 else 0.1, 0.5)
        s["length"][i] *= shorter
        if s["rejections"][i] == self.MOST_REJECTIONS and s["pairs"][i] > 0:
            s["pairs"][i], s["pull_weight"][i] = 0, -1
            s["length"][i] = shorter * moved.norm() / pull.norm().clamp(min=1e-18)
