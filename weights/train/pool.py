"""Pictures that are being optimised through the student, each with a content, a style and settings of its own."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from movers import Adam, Lbfgs
from network import CONTENT
from objective import OCTAVES, grams_of, octaves

# The share of pictures whose style counts at the full size alone. Even slots are L-BFGS's, odd ones Adam's.
ONE_OCTAVE = 0.4


class Pool:
    """`state` is all that a checkpoint needs; what the teacher says of contents and styles is computed again."""

    def __init__(self, data, teacher, count, size):
        self.data, self.teacher, self.count, self.size = data, teacher, count, size
        empty = lambda *shape: torch.zeros(count, *shape)
        self.state = {key: empty(3, size, size) for key in ("content", "style", "x")}
        self.state |= {key: empty() for key in ("age", "life", "rate", "style_weight", "tv_weight", "detail_weight")}
        self.state |= dict(content_weights=empty(len(CONTENT)), octave_weights=empty(OCTAVES))
        self.movers = [Lbfgs(count // 2, 3 * size * size), Adam(count // 2, 3 * size * size)]
        self.known = [None] * count

    def fill(self):
        for i in range(self.count):
            self.renew(i)
            self.state["life"][i] = int(self.data.rng.integers(5, 150))

    def saved(self):
        return [self.state] + [mover.state for mover in self.movers]

    def restore(self, saved):
        for own, values in zip(self.saved(), saved):
            for key, value in values.items():
                own[key].copy_(value)
        for i in range(self.count):
            self.learn(i)

    def __getitem__(self, key):
        return self.state[key]

    @torch.no_grad()
    def learn(self, i):
        """Keeps what the teacher sees in content i, and in style i at each octave. One picture at a time: then a
        resumed run computes the very same numbers."""
        fast = lambda maps: {t: m.detach() for t, m in maps.items()}
        one = lambda key: self.state[key][i : i + 1].contiguous(memory_format=torch.channels_last)
        styles = [fast(self.teacher(x)) for x in octaves(one("style"))]
        self.known[i] = dict(content=fast(self.teacher(one("content"))), styles=styles, grams=[grams_of(m) for m in styles])

    def renew(self, i):
        """Another content and style, other settings."""
        rng, size, s = self.data.rng, self.size, self.state
        content, style = self.data.photo(size), self.data.style(size)
        start = rng.random()
        if start < 0.75:
            x = content
        elif start < 0.85:
            x = self.data.spoiled(content)
        elif start < 0.93:
            x = torch.from_numpy(rng.random((3, size, size)).astype(np.float32))
        else:
            x = style.clone()
        s["content"][i], s["style"][i] = content, style
        one_octave = rng.random() < ONE_OCTAVE
        low, high = (5, 150) if one_octave else (20, 300)
        style_weight = math.exp(rng.uniform(math.log(low), math.log(high)))
        s["octave_weights"][i] = torch.tensor([1.0, 0, 0] if one_octave else [0.5, 0.25, 0.25])
        s["style_weight"][i] = style_weight
        s["tv_weight"][i] = style_weight * 0.025 * math.exp(rng.uniform(-1, 0.5))
        has_detail = rng.random() < (0.3 if one_octave else 0.85)
        s["detail_weight"][i] = 0.3 * math.exp(rng.uniform(-1, 1)) if has_detail else 0
        weights = np.zeros(len(CONTENT))
        weights[rng.choice(len(CONTENT), p=[0.15, 0.65, 0.2])] = 1
        s["content_weights"][i] = torch.from_numpy(weights)
        self.begin(i, x)
        self.learn(i)

    def begin(self, i, x):
        """Starts optimising at x."""
        rng, s, lbfgs = self.data.rng, self.state, i % 2 == 0
        s["x"][i], s["age"][i] = x, 0
        s["life"][i] = int(math.exp(rng.uniform(math.log(15), math.log(200 if lbfgs else 300))))
        s["rate"][i] = (0.01 if lbfgs else 0.02) * math.exp(rng.uniform(-0.5, 0.5))
        self.movers[i % 2].begin(i // 2, x.flatten())

    def move(self, chosen, gradients, losses, first):
        """A step of the chosen pictures, of which losses and gradients are known. first: of this student's."""
        for i, gradient, loss in zip(chosen.tolist(), gradients.flatten(1), losses):
            if not gradient.isfinite().all():
                self.renew(i)
                continue
            x, rate = self.state["x"][i].flatten(), self.state["rate"][i].item()
            moved = self.movers[i % 2].move(i // 2, x, gradient, rate, first, loss)
            self.state["x"][i] = moved.view(3, self.size, self.size)
            self.state["age"][i] += 1

    def retire(self, chosen):
        """Those at the end of their life start anew, or go on enlarged, as from coarse to fine."""
        rng = self.data.rng
        for i in chosen.tolist():
            if self.state["age"][i] >= self.state["life"][i]:
                if rng.random() < 0.3:
                    smaller = int(self.size / rng.uniform(1.3, 2))
                    resize = lambda x, size: F.interpolate(x, size=(size, size), mode="bicubic", antialias=True, align_corners=False)
                    x = resize(resize(self.state["x"][i : i + 1], smaller), self.size)[0]
                    self.begin(i, x.clamp(0, 1))
                else:
                    self.renew(i)
