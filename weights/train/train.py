#!/usr/bin/env python3
"""Trains impasto's embedded network: a narrow VGG that imitates VGG-19's features, Gram matrices and gradients.

  python train.py --teacher vgg19-to-conv4_1.safetensors --photos DIR --paintings DIR --output default.safetensors

Needs torch, numpy, pillow and safetensors. The method stands in weights/README.md.
"""

import argparse
import json
import math
import os
import time

import numpy as np
import torch

from data import Data
from network import CONTENT, FAST, STYLE, TAPS, TEACHER_WIDTHS, Student, Teacher, gram, multiply_adds


class Objective:
    """The transfer loss of each picture of a batch, without total variation: impasto's own (docs of `loss`)."""

    def __init__(self, content_maps, style_grams, content_weights, style_weight):
        self.content = {t: content_maps[t] for t in CONTENT}
        self.variance = {t: m.float().flatten(1).var(1) for t, m in self.content.items()}
        self.grams = style_grams
        self.power = {t: g.square().sum((1, 2)) for t, g in style_grams.items()}
        self.content_weights, self.style_weight = content_weights, style_weight

    def __call__(self, maps, grams):
        content = sum(
            self.content_weights[:, i] * (maps[t] - self.content[t]).square().mean((1, 2, 3)).float() / self.variance[t]
            for i, t in enumerate(CONTENT))
        style = sum((grams[t] - self.grams[t]).square().sum((1, 2)) / self.power[t] for t in STYLE) / len(STYLE)
        return content + self.style_weight * style


def grams_of(maps):
    return {t: gram(maps[t]) for t in STYLE}


def detached(maps):
    return {t: m.detach() for t, m in maps.items()}


def tv_gradient(x):
    """Of mean(dx²) + mean(dy²) for each picture."""
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        tv = (x[..., 1:] - x[..., :-1]).square().mean((1, 2, 3)) + (x[:, :, 1:] - x[:, :, :-1]).square().mean((1, 2, 3))
        return torch.autograd.grad(tv.sum(), x)[0]


class Pool:
    """Pictures that are being optimised through the student, each with a content, a style and settings of its own."""

    def __init__(self, data, teacher, count, size):
        self.data, self.teacher, self.size, rng = data, teacher, size, data.rng
        empty = lambda *shape: torch.zeros(count, *shape)
        self.content, self.style, self.x = (empty(3, size, size) for _ in range(3))
        self.m, self.v = empty(3, size, size), empty(3, size, size)
        self.t, self.life, self.lr = empty(), empty(), empty()
        self.style_weight, self.tv_weight, self.content_weights = empty(), empty(), empty(len(CONTENT))
        self.grams = {}
        for i in range(count):
            self.renew(i)
            self.life[i] = rng.integers(5, 150)

    def renew(self, i):
        rng, size = self.data.rng, self.size
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
        self.content[i], self.style[i], self.x[i] = content, style, x
        self.m[i], self.v[i], self.t[i] = 0, 0, 0
        self.life[i] = math.exp(rng.uniform(math.log(15), math.log(300)))
        self.lr[i] = 0.02 * math.exp(rng.uniform(-0.5, 0.5))
        self.style_weight[i] = math.exp(rng.uniform(math.log(5), math.log(150)))
        self.tv_weight[i] = self.style_weight[i] * 0.025 * math.exp(rng.uniform(-1, 0.5))
        weights = np.zeros(len(CONTENT))
        weights[rng.choice(len(CONTENT), p=[0.15, 0.65, 0.2])] = 1
        self.content_weights[i] = torch.from_numpy(weights)

        with torch.no_grad():
            grams = grams_of(self.teacher(style[None].contiguous(memory_format=torch.channels_last)))
        for t, g in grams.items():
            self.grams.setdefault(t, torch.zeros(len(self.t), *g.shape[1:]))[i] = g[0]

    def advance(self, chosen, gradient):
        """One Adam step of the chosen pictures (β 0.9, 0.99, clamped to 0..1); those at the end of their life start anew."""
        column = lambda values: values[chosen].view(-1, 1, 1, 1)
        gradient = gradient + column(self.tv_weight) * tv_gradient(self.x[chosen])
        self.t[chosen] += 1
        self.m[chosen] = 0.9 * self.m[chosen] + 0.1 * gradient
        self.v[chosen] = 0.99 * self.v[chosen] + 0.01 * gradient.square()
        m = self.m[chosen] / (1 - 0.9 ** column(self.t))
        v = self.v[chosen] / (1 - 0.99 ** column(self.t))
        self.x[chosen] = (self.x[chosen] - column(self.lr) * m / (v.sqrt() + 1e-8)).clamp(0, 1)

    def retire(self, chosen):
        for i in chosen:
            if self.t[i] >= self.life[i]:
                self.renew(i)


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised by Newton–Schulz, for the weights of all but the first layer (Jordan et al., "Muon", 2024); update RMS as Adam's."""

    def __init__(self, params, lr):
        super().__init__(params, dict(lr=lr))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].lerp_(p.grad, 0.05)
                update = p.grad.lerp(state["momentum"], 0.95).flatten(1)
                update = update.to(FAST)
                update = update / (update.float().norm() + 1e-12).to(FAST)
                for _ in range(5):
                    a = update @ update.T
                    update = 3.4445 * update + (-4.775 * a + 2.0315 * a @ a) @ update
                p.add_(update.float().view_as(p), alpha=-group["lr"] * 0.2 * math.sqrt(max(update.shape)))


def relative(a, b, dims):
    """‖a − b‖ / ‖b‖ of each picture: the norm and not its square, so that small errors still count."""
    norm = torch.linalg.vector_norm
    return norm(a - b, dim=dims).float() / (norm(b, dim=dims).float() + 1e-6)


def match_maps(maps, targets):
    """How far features and Gram matrices are from the teacher's."""
    features = sum(relative(maps[t], targets[t], (1, 2, 3)).mean() for t in TAPS) / len(TAPS)
    grams, wanted = grams_of(maps), grams_of(targets)
    style = sum(relative(grams[t], wanted[t], (1, 2)).mean() for t in STYLE) / len(STYLE)
    return features, style, grams, wanted


def step(student, teacher, pool, data, a, chosen):
    """The losses of one training step, which also moves the chosen pictures of the pool."""
    n = len(chosen)
    still = torch.cat([pool.style[chosen], pool.content[chosen], data.batch(a.others, a.size)])
    still = still.contiguous(memory_format=torch.channels_last)
    maps = student(still)
    with torch.no_grad():
        targets = teacher(still)
    content_seen, content_true = ({t: m[t][n : 2 * n] for t in CONTENT} for m in (maps, targets))
    features, grams_loss, grams, _ = match_maps(maps, targets)
    style_seen, style_true = {t: grams[t][:n] for t in STYLE}, {t: pool.grams[t][chosen] for t in STYLE}
    ours = Objective(detached(content_seen), detached(style_seen), pool.content_weights[chosen], pool.style_weight[chosen])

    # Cheap steps first, so that the pictures move on faster than the training does.
    for _ in range(a.advance):
        x = pool.x[chosen].contiguous(memory_format=torch.channels_last).requires_grad_(True)
        maps_x = student(x)
        (gradient,) = torch.autograd.grad(ours(maps_x, grams_of(maps_x)).sum(), x)
        pool.advance(chosen, gradient)

    x = pool.x[chosen].contiguous(memory_format=torch.channels_last).requires_grad_(True)
    maps_x = student(x)
    grams_x = grams_of(maps_x)
    (gradient,) = torch.autograd.grad(ours(maps_x, grams_x).sum(), x, retain_graph=True)
    with torch.no_grad():
        targets_x = teacher(x)
    features_x, grams_x_loss, _, wanted_x = match_maps(maps_x, targets_x)
    # What the optimiser sees is the distance to the style's Gram matrix: its error, over the matrix.
    power = {t: g.square().sum((1, 2)) for t, g in style_true.items()}
    seen = {t: grams_x[t] - style_seen[t] for t in STYLE}
    true = {t: wanted_x[t] - style_true[t] for t in STYLE}
    share = lambda difference: sum(difference[t].square().sum((1, 2)) / power[t] for t in STYLE) / len(STYLE)
    left = sum((((seen[t] - true[t]).square().sum((1, 2)) / power[t]) + 1e-8).sqrt().mean() for t in STYLE) / len(STYLE)
    # And the distance to the content's maps.
    moved = {t: (maps_x[t] - content_seen[t], targets_x[t] - content_true[t]) for t in CONTENT}
    kept = sum(relative(*moved[t], (1, 2, 3)).clamp(max=2).mean() for t in CONTENT) / len(CONTENT)
    pool.advance(chosen, gradient.detach())
    pool.retire(chosen)
    loss = features + grams_loss + features_x + grams_x_loss + a.left * left + a.kept * kept
    return loss, dict(features=features, grams=grams_loss, features_x=features_x, grams_x=grams_x_loss, left=left, kept=kept,
                      style_true=share(true).mean(), style_seen=share(seen).mean())


@torch.no_grad()
def centre(student, data, size):
    """Moves the origin of relu3_3's components by half their mean, which changes no distance between maps.

    The content loss is relative to the content map's variance, and weighs about 1.8 times as much afterwards: the student sees
    two fifths of the distance that VGG sees (weights/README.md has the measurement)."""
    pictures = torch.stack([data.photo(size) for _ in range(64)]).contiguous(memory_format=torch.channels_last)
    maps = student(pictures, ["3_3"])["3_3"]
    student.side_biases["3_3"] -= 0.5 * maps.float().mean((0, 2, 3))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--teacher", required=True)
    p.add_argument("--photos", required=True)
    p.add_argument("--paintings", required=True)
    p.add_argument("--output", required=True)
    p.add_argument("--widths", type=int, nargs=4, default=[32, 64, 128, 256], help="channels of the four blocks")
    p.add_argument("--steps", type=int, default=6000)
    p.add_argument("--warm", type=int, default=300, help="steps on features and Gram matrices alone")
    p.add_argument("--size", type=int, default=128, help="pictures of SIZE×SIZE px")
    p.add_argument("--pool", type=int, default=64, help="pictures being optimised")
    p.add_argument("--chosen", type=int, default=8, help="of which so many take part in a step")
    p.add_argument("--others", type=int, default=2, help="fresh pictures in a step")
    p.add_argument("--advance", type=int, default=2, help="cheap steps of the chosen pictures besides the one in the loss")
    p.add_argument("--left", type=float, default=3.0, help="weight of the distance to the style")
    p.add_argument("--kept", type=float, default=2.0, help="weight of the distance to the content")
    p.add_argument("--lr", type=float, default=5e-3)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--checkpoint", help="written every 250 steps, and gone on from where it exists")
    p.add_argument("--f32", action="store_true", help="for processors without bf16 arithmetic")
    a = p.parse_args()

    torch.manual_seed(a.seed)
    dtype = torch.float32 if a.f32 else FAST
    widths = dict(zip("1234", a.widths))
    share = multiply_adds(widths, True) / multiply_adds(TEACHER_WIDTHS, False)
    data = Data(a.photos, a.paintings, np.random.default_rng(a.seed))
    student, teacher = Student(widths, dtype), Teacher(a.teacher, dtype)
    print(f"{sum(v.numel() for v in student.parameters())} weights, {100 * share:.1f} % of the teacher's multiply-adds", flush=True)
    teacher.calibrate([data.batch(16, a.size) for _ in range(12)], widths)

    muon = [v for k, v in student.weights.items() if k != "1_1"] + list(student.side_weights.values())
    rest = [v for v in student.parameters() if not any(v is w for w in muon)]
    optimisers = [Muon(muon, a.lr), torch.optim.Adam(rest, a.lr, betas=(0.9, 0.98))]
    average, first, pool = {k: v.detach().clone() for k, v in student.state_dict().items()}, 0, None
    if a.checkpoint and os.path.exists(a.checkpoint):
        saved = torch.load(a.checkpoint, weights_only=True)
        student.load_state_dict(saved["student"])
        average, first = saved["average"], saved["step"]
        teacher.bases = saved["bases"]
        for optimiser, state in zip(optimisers, saved["optimisers"]):
            optimiser.load_state_dict(state)

    rows, start = [], time.time()
    for i in range(first, a.steps):
        # Falls linearly to nothing; the first steps are shorter.
        rate = a.lr * min((i - first + 1) / 20, 1 - i / a.steps)
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
        if i < a.warm:
            pictures = data.batch(16, a.size)
            with torch.no_grad():
                targets = teacher(pictures)
            features, grams_loss, _, _ = match_maps(student(pictures), targets)
            loss, row = features + grams_loss, dict(features=features, grams=grams_loss)
        else:
            pool = pool or Pool(data, teacher, a.pool, a.size)
            chosen = torch.from_numpy(data.rng.choice(a.pool, a.chosen, replace=False))
            loss, row = step(student, teacher, pool, data, a, chosen)
        if not loss.isfinite():
            print(f"step {i + 1}: the loss is {loss.item()}, skipped", flush=True)
            continue
        student.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        for optimiser in optimisers:
            optimiser.step()
        decay = min(0.998, (i + 1) / (i + 10))
        for k, v in student.state_dict().items():
            average[k].lerp_(v, 1 - decay)
        rows.append({k: v.item() for k, v in row.items()})
        if (i + 1) % 50 == 0:
            mean = {k: round(sum(r[k] for r in rows) / len(rows), 4) for k in rows[-1] if all(k in r for r in rows)}
            print(json.dumps(dict(step=i + 1, seconds=round(time.time() - start), **mean)), flush=True)
            rows = []
        if (i + 1) % 250 == 0 or i + 1 == a.steps:
            if a.checkpoint:
                torch.save(dict(student=student.state_dict(), average=average, step=i + 1, bases=teacher.bases,
                                optimisers=[o.state_dict() for o in optimisers]), a.checkpoint)
            final = Student(widths, dtype)
            final.load_state_dict(average)
            centre(final, data, a.size)
            final.save(a.output)


if __name__ == "__main__":
    main()
