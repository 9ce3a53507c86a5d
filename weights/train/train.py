#!/usr/bin/env python3
"""Trains impasto's embedded network: a narrow VGG that imitates VGG-19's features and Gram matrices.

  python train.py --teacher vgg19-to-conv4_1.safetensors --photos DIR --paintings DIR --output default.safetensors

Needs torch, numpy, pillow and safetensors. The method stands in weights/README.md.
"""

import argparse
import json
import math
import os
import time

import torch

from data import Data
from network import CONTENT, FAST, LAYERS, STYLE, TAPS, TEACHER_WIDTHS, Student, Teacher, multiply_adds
from objective import OCTAVES, Objective, grams_of, octaves
from pool import Pool

# Chosen by short comparisons (weights/README.md): 30 % of the teacher's multiply-adds is the limit.
WIDTHS = [24, 32, 64, 80, 128, 128, 144, 128, 320]
COMPONENTS = [24, 64, 64, 128, 128, 256]
# How much each octave counts, as in the program's loss; and each content tap: the program reads relu3_3 by default.
OCTAVE_SHARES = [0.5, 0.25, 0.25]
KEPT_SHARES = dict(zip(CONTENT, [0.2, 0.5, 0.3]))


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised by Newton–Schulz (Jordan et al., "Muon", 2024), for the weights of all but the first layer.

    The root mean square of an update is as Adam's."""

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


def match_octaves(maps, targets):
    """The same of pictures at each octave; lists of Gram matrices."""
    rows = [match_maps(*pair) for pair in zip(maps, targets)]
    features, style = (sum(w * row[k] for w, row in zip(OCTAVE_SHARES, rows)) for k in (0, 1))
    return features, style, [row[2] for row in rows], [row[3] for row in rows]


def joined(rows):
    """Maps of single pictures, as those of a batch."""
    return {t: torch.cat([row[t] for row in rows]) for t in rows[0]}


def detached(maps):
    return {t: m.detach() for t, m in maps.items()}


def step(student, teacher, pool, data, a, chosen):
    """The losses of one training step, which also moves the chosen pictures of the pool."""
    n, known = len(chosen), [pool.known[i] for i in chosen.tolist()]
    others = data.batch(a.others, a.size)
    with torch.no_grad():
        targets_others = teacher(others)
    content_true = joined([k["content"] for k in known])
    style_targets = [joined([k["styles"][o] for k in known]) for o in range(OCTAVES)]
    style_true = [joined([k["grams"][o] for k in known]) for o in range(OCTAVES)]

    # The contents, the styles at each octave, and other pictures.
    first, *rest = octaves(pool["style"][chosen])
    still = torch.cat([first, pool["content"][chosen], others]).contiguous(memory_format=torch.channels_last)
    maps = student(still)
    content_seen = {t: maps[t][n : 2 * n] for t in CONTENT}
    full = {t: torch.cat([style_targets[0][t], content_true[t], targets_others[t]]) for t in TAPS}
    features, grams_loss, grams, _ = match_octaves([maps] + [student(x) for x in rest], [full] + style_targets[1:])
    style_seen = [{t: g[t][:n] for t in STYLE} for g in grams]

    settings = {key: value[chosen] for key, value in pool.state.items() if key.endswith(("weight", "weights"))}
    ours = Objective(settings, pool["content"][chosen], detached(content_seen), [detached(g) for g in style_seen])

    def look():
        """The chosen pictures' maps and Gram matrices at each octave; moves them by what the student says of them."""
        x = pool["x"][chosen].contiguous(memory_format=torch.channels_last).requires_grad_(True)
        pictures = octaves(x)
        maps = [student(p) for p in pictures]
        grams = [grams_of(m) for m in maps]
        return x, pictures, maps, grams, ours(x, maps[0], grams)

    # Cheap steps first, so that the pictures move on faster than the training does.
    for k in range(a.advance):
        x, _, _, _, losses = look()
        (gradient,) = torch.autograd.grad(losses.sum(), x)
        pool.move(chosen, gradient, losses.detach(), k == 0)

    x, pictures, maps_x, grams_x, losses = look()
    (gradient,) = torch.autograd.grad(losses.sum(), x, retain_graph=True)
    with torch.no_grad():
        targets_x = [teacher(p) for p in pictures]
    features_x, grams_x_loss, _, wanted_x = match_octaves(maps_x, targets_x)
    # What the optimiser sees is the distance to the style's Gram matrix: its error, over the matrix.
    left, shares, taps = 0, [0, 0], dict(zip(STYLE, a.left_shares))
    for share, *grams in zip(OCTAVE_SHARES, grams_x, style_seen, wanted_x, style_true):
        for t in STYLE:
            x_seen, s_seen, x_true, s_true = (g[t] for g in grams)
            power, seen, true = s_true.square().sum((1, 2)), x_seen - s_seen, x_true - s_true
            missed = ((seen - true).square().sum((1, 2)) / power + 1e-8).sqrt().mean()
            left += share * taps[t] / sum(a.left_shares) * missed
            shares = [s + share * (d.square().sum((1, 2)) / power).mean() / len(STYLE) for s, d in zip(shares, (true, seen))]
    # And the distance to the content's maps.
    moved = {t: (maps_x[0][t] - content_seen[t], targets_x[0][t] - content_true[t]) for t in CONTENT}
    each = {t: relative(*moved[t], (1, 2, 3)).clamp(max=2).mean() for t in CONTENT}
    kept = sum(KEPT_SHARES[t] * each[t] for t in CONTENT)
    pool.move(chosen, gradient.detach(), losses.detach(), a.advance == 0)
    pool.retire(chosen)
    loss = a.still * (features + grams_loss) + features_x + grams_x_loss + a.left * left + a.kept * kept
    row = dict(features=features, grams=grams_loss, features_x=features_x, grams_x=grams_x_loss, left=left, kept=kept)
    row |= {f"kept{t}": v for t, v in each.items()} | dict(style_true=shares[0], style_seen=shares[1])
    return loss, row


@torch.no_grad()
def centre(student, pictures, share):
    """Moves the origin of relu3_3's components by a share of their mean, which changes no distance between maps.

    The content loss is relative to the content map's variance, so it weighs more afterwards. It has to: the student sees
    a part only of the distance that VGG sees (weights/README.md has the measurement)."""
    mean = student(pictures, ["3_3"])["3_3"].float().mean((0, 2, 3))
    student.side_biases["3_3"] -= share * mean


# What may change between two stretches of a run: where files lie, and what acts from there on, and on nothing before.
FREE = ("teacher", "photos", "paintings", "output", "checkpoint", "centre", "until", "steps", "left", "left_shares")


def fixed(settings):
    return {k: v for k, v in settings.items() if k not in FREE}


class Run:
    """A training: all that changes in it, and so all that a checkpoint holds."""

    def __init__(self, a):
        self.a, self.step = a, 0
        torch.manual_seed(a.seed)
        dtype = torch.float32 if a.f32 else FAST
        widths, components = dict(zip(LAYERS, a.widths)), dict(zip(TAPS, a.components))
        self.fresh = lambda: Student(widths, components, dtype)
        self.data = Data(a.photos, a.paintings, a.seed)
        self.student, self.teacher = self.fresh(), Teacher(a.teacher, dtype)
        share = multiply_adds(widths, components) / multiply_adds(TEACHER_WIDTHS, {})
        count = sum(v.numel() for v in self.student.parameters())
        print(f"{count} weights, {100 * share:.1f} % of the teacher's multiply-adds", flush=True)
        muon = [v for k, v in self.student.weights.items() if k != "1_1"] + list(self.student.side_weights.values())
        self.rest = [v for v in self.student.parameters() if not any(v is w for w in muon)]
        self.optimisers = [Muon(muon, a.lr), torch.optim.Adam(self.rest, a.lr, betas=(0.9, 0.98))]
        self.average = {k: v.detach().clone() for k, v in self.student.state_dict().items()}
        self.pool = None
        if a.checkpoint and os.path.exists(a.checkpoint):
            self.restore(torch.load(a.checkpoint, weights_only=True))
        else:
            self.teacher.calibrate([self.data.batch(16, a.size) for _ in range(12)], components)

    def save(self):
        """The checkpoint, which is never half written; and the network so far."""
        if self.a.checkpoint:
            generators = [json.dumps(self.data.rng.bit_generator.state), torch.get_rng_state()]
            replaced(self.a.checkpoint, lambda path: torch.save(dict(
                settings=vars(self.a), step=self.step, student=self.student.state_dict(), average=self.average,
                optimisers=[o.state_dict() for o in self.optimisers], bases=self.teacher.bases,
                pool=self.pool.saved() if self.pool else None, generators=generators), path))
        state = torch.get_rng_state()
        final = self.fresh()
        torch.set_rng_state(state)
        final.load_state_dict(self.average)
        if self.a.centre:
            centre(final, self.data.plain(64, self.a.size), self.a.centre)
        replaced(self.a.output, final.save)

    def restore(self, saved):
        if fixed(saved["settings"]) != fixed(vars(self.a)):
            raise SystemExit(f"{self.a.checkpoint} is of a run with other settings: {saved['settings']}")
        self.step, self.average, self.teacher.bases = saved["step"], saved["average"], saved["bases"]
        self.student.load_state_dict(saved["student"])
        for optimiser, state in zip(self.optimisers, saved["optimisers"]):
            optimiser.load_state_dict(state)
        if saved["pool"]:
            self.pool = Pool(self.data, self.teacher, self.a.pool, self.a.size)
            self.pool.restore(saved["pool"])
        self.data.rng.bit_generator.state = json.loads(saved["generators"][0])
        torch.set_rng_state(saved["generators"][1])

    def loss(self):
        """One step's losses."""
        a = self.a
        if self.step < a.warm:
            pictures = self.data.batch(16, a.size)
            with torch.no_grad():
                targets = self.teacher(pictures)
            features, grams_loss, _, _ = match_maps(self.student(pictures), targets)
            return features + grams_loss, dict(features=features, grams=grams_loss)
        if not self.pool:
            self.pool = Pool(self.data, self.teacher, a.pool, a.size)
            self.pool.fill()
        chosen = torch.from_numpy(self.data.rng.choice(a.pool, a.chosen, replace=False))
        return step(self.student, self.teacher, self.pool, self.data, a, chosen)

    def train(self):
        """One step. Returns its losses."""
        # The rate falls linearly to nothing; the first steps are shorter.
        rate = self.a.lr * min((self.step + 1) / 20, 1 - self.step / self.a.steps)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
        loss, row = self.loss()
        self.step += 1
        if not loss.isfinite():
            print(f"step {self.step}: the loss is {loss.item()}, skipped", flush=True)
            return {}
        self.student.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.rest, 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
        decay = min(0.998, self.step / (self.step + 9))
        for k, v in self.student.state_dict().items():
            self.average[k].lerp_(v, 1 - decay)
        return {k: v.item() for k, v in row.items()}


def replaced(path, write):
    """Writes a file beside the path, then moves it there: whoever reads finds the old file or the new one."""
    write(f"{path}.new")
    os.replace(f"{path}.new", path)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--teacher", required=True)
    p.add_argument("--photos", required=True)
    p.add_argument("--paintings", required=True)
    p.add_argument("--output", required=True)
    p.add_argument("--widths", type=int, nargs=9, default=WIDTHS, help="channels of conv1_1 … conv4_1")
    p.add_argument("--components", type=int, nargs=6, default=COMPONENTS, help="outputs of the side maps " + ", ".join(TAPS))
    p.add_argument("--steps", type=int, default=4200, help="the rate falls to nothing there; may be changed between two stretches")
    p.add_argument("--until", type=int, help="stop after this step, of as many as --steps says")
    p.add_argument("--warm", type=int, default=300, help="steps on features and Gram matrices alone")
    p.add_argument("--size", type=int, default=128, help="pictures of SIZE×SIZE px")
    p.add_argument("--pool", type=int, default=48, help="pictures being optimised; an even number")
    p.add_argument("--chosen", type=int, default=6, help="of which so many take part in a step")
    p.add_argument("--others", type=int, default=2, help="fresh pictures in a step")
    p.add_argument("--advance", type=int, default=2, help="cheap steps of the chosen pictures besides the one in the loss")
    p.add_argument("--still", type=float, default=0.5, help="weight of features and Gram matrices of pictures that don't move")
    p.add_argument("--left", type=float, default=3.0, help="weight of the distance to the style; may be changed, too")
    p.add_argument("--left-shares", type=float, nargs=4, default=[1, 1, 1, 1], help="shares in it of " + ", ".join(STYLE) + "; likewise")
    p.add_argument("--kept", type=float, default=3.0, help="weight of the distance to the content")
    p.add_argument("--centre", type=float, default=0.5, help="share of relu3_3's mean that is taken away in the output")
    p.add_argument("--lr", type=float, default=5e-3)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2, help="another number rounds otherwise")
    p.add_argument("--checkpoint", help="written every 100 steps, and gone on from where it exists")
    p.add_argument("--f32", action="store_true", help="for processors without bf16 arithmetic")
    a = p.parse_args()
    torch.set_num_threads(a.threads)

    run, rows, start = Run(a), [], time.time()
    while run.step < min(a.steps, a.until or a.steps):
        rows.append(run.train())
        if run.step % 50 == 0:
            keys = rows[-1].keys()
            mean = {k: round(sum(r[k] for r in rows if k in r) / sum(k in r for r in rows), 4) for k in keys}
            print(json.dumps(dict(step=run.step, seconds=round(time.time() - start), **mean)), flush=True)
            rows = []
        if run.step % 100 == 0:
            run.save()
    run.save()


if __name__ == "__main__":
    main()
