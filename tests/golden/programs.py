#!/usr/bin/env python3
"""Goldens of tests/programs.rs: the losses of known programs, as they write them, and their gradients by autograd in f64.

  programs.py DIR OUT [VGG19.safetensors]

DIR has what `IMPASTO_GOLDEN=DIR cargo test --test programs -- --ignored` wrote; OUT/programs gets a JSON file a run. Needs torch, numpy,
pillow, safetensors.
"""
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file

torch.set_default_dtype(torch.float64)
PLAN = "1_1 1_2 P 2_1 2_2 P 3_1 3_2 3_3 3_4 P 4_1 4_2 4_3 4_4 P 5_1".split()
RELUS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]


def picture(path):
    return torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy()).permute(2, 0, 1)[None] / 255.0


def caffe(x):
    return x.flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)


def torchvision(x):
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (x - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)


def features(x, weights, replicate=False):
    taps = {}
    for name in PLAN:
        if name == "P":
            x = F.max_pool2d(x, 2)
        elif f"conv{name}.weight" in weights:
            if replicate and name == "1_1":
                x = F.conv2d(F.pad(x, (1, 1, 1, 1), "replicate"), weights["conv1_1.weight"], weights["conv1_1.bias"])
            else:
                x = F.conv2d(x, weights[f"conv{name}.weight"], weights[f"conv{name}.bias"], padding=1)
            taps["conv" + name] = x
            x = taps["relu" + name] = F.relu(x)
    return taps


def gram(f, over):
    c, h, w = f.shape[1:]
    f = f[0].flatten(1)
    return f @ f.t() / (c * h * w if over == "chw" else h * w)


def moments(f):
    f = f[0].flatten(1)
    mean = f.mean(1)
    second = f @ f.t() / f.shape[1]
    return mean, second, (second.diagonal() - mean**2).clamp(min=0)


def root(a, steps=12):
    norm = a.norm()
    y, z, three = a / norm, torch.eye(len(a)), 3 * torch.eye(len(a))
    for _ in range(steps):
        t = (three - z @ y) / 2
        y, z = y @ t, t @ z
    return y * norm.sqrt()


def wasserstein(f, s, relative):
    (mean, second, _), (goal_mean, goal_second, _) = moments(f), moments(s)
    unit = goal_second.diagonal().mean() if relative else 1.0
    one = torch.eye(len(mean))
    cov = (second - torch.outer(mean, mean)) / unit + 1e-4 * one
    goal = (goal_second - torch.outer(goal_mean, goal_mean)) / unit + 1e-4 * one
    half = root(goal)
    overlap = root(half @ cov @ half)
    return ((mean - goal_mean) ** 2).mean() / unit + (goal + cov - 2 * overlap).diagonal().mean()


def mse(a, b):
    return ((a - b) ** 2).mean()


def relative(a, b):
    return ((a - b) ** 2).sum() / (b**2).sum()


def mean_std(f, s):
    """Ours: relative errors."""
    (mean, second, var), (goal_mean, goal_second, goal_var) = moments(f), moments(s)
    epsilon = 1e-4 * goal_second.diagonal().mean()
    deviations = relative((var + epsilon).sqrt(), (goal_var + epsilon).sqrt())
    return (relative(second, goal_second) + relative(mean, goal_mean) + deviations) / 3


def spst(f, s):
    """Scaling Painting Style Transfer, over 1e3; the epsilon is ours."""
    (mean, second, var), (goal_mean, goal_second, goal_var) = moments(f), moments(s)
    epsilon = 1e-8 * goal_second.diagonal().mean()
    deviations = mse((var + epsilon).sqrt(), (goal_var + epsilon).sqrt())
    return mse(second, goal_second) / len(mean) ** 2 + 10 * (mse(mean, goal_mean) + deviations)


def squares(x):
    return mse(x[..., 1:], x[..., :-1]) + mse(x[:, :, 1:], x[:, :, :-1])


def absolute(x):
    return (x[..., 1:] - x[..., :-1]).abs().sum() + (x[:, :, 1:] - x[:, :, :-1]).abs().sum()


def nine(x):
    """Crowson's total variation."""
    x = F.pad(x, (1, 1, 1, 1), "replicate")
    inner = x[..., 1:-1, 1:-1]
    straight = mse(x[..., 1:-1, 2:], inner) + mse(x[..., 2:, 1:-1], inner)
    diagonal = mse(x[..., 1:, 1:], x[..., :-1, :-1]) + mse(x[..., 1:, :-1], x[..., :-1, 1:])
    return 2 * (straight / 3 + diagonal / 12)


def no_tv(x):
    return squares(x)


# What each returns: total; and unweighted content, style (a weighted mean of layers) and total variation.
def by_layers(content_layers, style_layers, content, style, tv, weights):
    def loss(x, f, p, s):
        c = sum(content(f[l], p[l]) for l in content_layers) / len(content_layers)
        sum_of = sum(style_layers.values())
        st = sum(w / sum_of * style(f[l], s[l]) for l, w in style_layers.items())
        v = tv(x)
        return weights[0] * c + weights[1] * st + weights[2] * v, c, st, v

    return loss


def chw(f, s):
    return mse(gram(f, "chw"), gram(s, "chw"))


def programs(deep):
    relus, content = (RELUS, ["relu4_2"]) if deep else (RELUS[:4], ["relu3_3"])
    equal = dict.fromkeys(relus, 1.0)
    falling = dict(zip(relus, [256.0, 64.0, 16.0, 4.0, 1.0]))
    equal_of = equal if deep else falling
    convs = dict.fromkeys(["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"], 1.0)

    def hw(f, s):
        return mse(gram(f, "hw"), gram(s, "hw")) / f.shape[1] ** 2

    def w2(f, s):
        return wasserstein(f, s, False)

    def own_w2(f, s):
        return wasserstein(f, s, True)

    def over_variance(f, p):
        return mse(f, p) / p.var()

    own = [["relu3_3"], dict.fromkeys(RELUS[:4], 1.0) if deep else falling, over_variance]
    return {
        "gatys": (caffe, False, by_layers(content, equal_of, mse, hw, no_tv, (1, 5 * 1e3, 0))),
        "gatys-hr": (caffe, False, by_layers(content, equal_of, mse, spst, no_tv, (1, 5 * 1e3, 0))),
        "neural-style": (caffe, False, by_layers(content, equal_of, mse, chw, absolute, (5, 5 * 100, 1e-3 * 255))),
        "tutorial": (torchvision, False, by_layers(["conv2_2"], convs, mse, chw, no_tv, (1, 5 * 1e6, 0))),
        "crowson": (torchvision if deep else caffe, True, by_layers(content, falling, mse, w2, nine, (0.015, 1, 2))),
        "own-mean-std": (caffe, False, by_layers(*own, mean_std, squares, (1, 100, 2))),
        "own-wasserstein": (caffe, False, by_layers(*own, own_w2, squares, (1, 100, 2))),
    }


def write(out, name, weights, source, program):
    preprocess, replicate, loss = program
    weights = {k: v.double() for k, v in weights.items()}

    def seen(x):
        return features(preprocess(x), weights, replicate)

    p, s = seen(picture(source / "content.png")), seen(picture(source / "style.png"))
    x = picture(source / "picture.png").requires_grad_(True)
    total, content, style, tv = loss(x, seen(x), p, s)
    total.backward()
    gradient = [float(f"{v:.6e}") for v in x.grad.flatten()[::5].tolist()]
    numbers = dict(total=total.item(), content=content.item(), style=style.item(), tv=tv.item(), gradient=gradient)
    (out / "programs").mkdir(exist_ok=True)
    (out / "programs" / f"{name}.json").write_text(json.dumps(numbers) + "\n")
    print(name, {k: v for k, v in numbers.items() if k != "gradient"})


def main():
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    small = load_file(source / "programs.safetensors")
    for name, program in programs(deep=True).items():
        write(out, name, small, source, program)
    if len(sys.argv) > 3:
        vgg19 = load_file(sys.argv[3])
        for name in ["crowson", "neural-style", "gatys-hr", "own-wasserstein"]:
            write(out, f"vgg19-{name}", vgg19, source, programs(deep=False)[name])


if __name__ == "__main__":
    main()
