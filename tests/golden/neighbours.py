#!/usr/bin/env python3
"""Goldens of tests/neighbours.rs: nearest vectors, loss, and its gradient to the pyramid's coefficients, in f64.

  neighbours.py DIR OUT [VGG19.safetensors]

DIR has what `IMPASTO_GOLDEN=DIR cargo test --test programs -- --ignored` wrote; OUT/neighbours gets a JSON file a network. Needs torch,
numpy, pillow, safetensors.
"""
import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file

from programs import caffe, features, picture

LAYERS = ["relu1_1", "relu2_1", "relu2_2", "relu3_1", "relu3_3", "relu4_1"]
LEVELS = 4


def looks(x, weights, preprocess):
    """C×N, N places on a grid a quarter of the picture's size."""
    grid = [max(side // 4, 1) for side in x.shape[2:]]
    taps = features(preprocess(x), weights)
    maps = []
    for layer in LAYERS:
        tap = taps[layer]
        if f"side.{layer}.weight" in weights:
            tap = F.conv2d(tap, weights[f"side.{layer}.weight"], weights[f"side.{layer}.bias"])
        maps.append(F.interpolate(tap, grid, mode="bilinear", align_corners=False))
    return torch.cat(maps, 1)[0].flatten(1)


def centred(vectors):
    vectors = vectors - vectors.mean(1, keepdim=True)
    return vectors / vectors.norm(dim=0, keepdim=True)


def enlarged(x, size):
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def halved(x):
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    window = torch.outer(line, line).expand(3, 1, 4, 4)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), "replicate"), window, stride=2, groups=3)


def analysis(x):
    levels = []
    for _ in range(LEVELS - 1):
        half = halved(x)
        levels.append(x - enlarged(half, x.shape[2:]))
        x = half
    return levels + [x]


def synthesis(levels):
    x = levels[-1]
    for level in reversed(levels[:-1]):
        x = enlarged(x, level.shape[2:]) + level
    return x


def unlike(level):
    """Pixels that are exactly alike make ties in max pools, whose gradient rounding decides."""
    return level + 0.02 * torch.arange(level.numel()).double().sin().view(level.shape)


def write(out, name, weights, preprocess, source):
    weights = {k: v.double() for k, v in weights.items()}
    style = picture(source / "style.png")
    pool = torch.cat([looks(style.rot90(turn, (2, 3)), weights, preprocess) for turn in range(4)], 1)
    content = looks(picture(source / "content.png"), weights, preprocess)
    scores, numbers = (centred(pool).t() @ centred(content)).max(0)
    target = pool[:, numbers]
    levels = [unlike(level).requires_grad_(True) for level in analysis(picture(source / "picture.png"))]
    seen = looks(synthesis(levels), weights, preprocess)
    loss = (1 - F.cosine_similarity(seen, target, 0)).mean()
    loss.backward()
    gradient = torch.cat([level.grad.flatten() for level in levels]).tolist()[::7]
    golden = dict(
        numbers=numbers.tolist(),
        scores=[round(v, 9) for v in scores.tolist()],
        loss=loss.item(),
        gradient=[float(f"{v:.6e}") for v in gradient],
    )
    (out / "neighbours").mkdir(exist_ok=True)
    (out / "neighbours" / f"{name}.json").write_text(json.dumps(golden) + "\n")
    print(name, loss.item(), len(set(numbers.tolist())), "of", pool.shape[1], "vectors chosen")


def main():
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    write(out, "small", load_file(source / "programs.safetensors"), caffe, source)
    default = Path(__file__).resolve().parents[2] / "weights/default.safetensors"
    with safe_open(default, "pt") as file:
        about = json.loads(file.metadata()["impasto.preprocess"])
    scale, offset = (torch.tensor(about[k]).view(1, 3, 1, 1) for k in ["scale", "offset"])
    write(out, "default", load_file(default), lambda x: x * scale + offset, source)
    if len(sys.argv) > 3:
        write(out, "vgg19", load_file(sys.argv[3]), caffe, source)


if __name__ == "__main__":
    main()
