#!/usr/bin/env python3
"""Goldens of tests/neighbours: nearest vectors, loss, and its gradient to the pyramid's coefficients, in f64.

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
LEVELS = 8


def sampled(tap, stride, cell, cells):
    """A map at the middles of cells of the picture, of whose pixels one of its own covers `stride` along a side."""
    height, width = tap.shape[2:]

    def line(count, length):
        at = (torch.arange(count).double() + 0.5) * cell / stride - 0.5
        at = at.clamp(0, length - 1)
        low = at.floor().long()
        return low, (low + 1).clamp(max=length - 1), at - low

    top, bottom, down = line(cells[0], height)
    left, right, across = line(cells[1], width)
    rows = tap[:, :, top] * (1 - down)[:, None] + tap[:, :, bottom] * down[:, None]
    return rows[..., left] * (1 - across) + rows[..., right] * across


def looks(x, weights, preprocess, cell=4):
    """C×N of every layer, N places at the middles of cells."""
    cells = [max(side // cell, 1) for side in x.shape[2:]]
    taps = features(preprocess(x), weights)
    maps = []
    for layer in LAYERS:
        tap = taps[layer]
        if f"side.{layer}.weight" in weights:
            tap = F.conv2d(tap, weights[f"side.{layer}.weight"], weights[f"side.{layer}.bias"])
        stride = 2 ** (int(layer[4]) - 1)
        maps.append(sampled(tap, stride, cell, cells)[0].flatten(1))
    return maps


def centred(vectors):
    vectors = vectors - vectors.mean(1, keepdim=True)
    return vectors / vectors.norm(dim=0, keepdim=True)


def enlarged(x, size):
    """Twice the size, bilinear; the last pixel of an odd side is that before it."""
    return sampled(x, 2, 1, size)


def halved(x):
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    window = torch.outer(line, line).expand(3, 1, 4, 4)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), "replicate"), window, stride=2, groups=3)


def analysis(x):
    levels = []
    while len(levels) < LEVELS - 1 and min(x.shape[2:]) > 1:
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
    turned = [looks(style.rot90(turn, (2, 3)), weights, preprocess) for turn in range(4)]
    pools = [torch.cat(layer, 1) for layer in zip(*turned)]
    content = picture(source / "content.png")
    start = analysis(picture(source / "picture.png"))
    # What is searched for: half of what the photograph looks like, and half of what the picture does with the photograph's two
    # finest levels.
    sharp = synthesis(analysis(content)[:2] + start[2:]).clamp(0, 1)
    both = [torch.cat(looks(x, weights, preprocess)) for x in [content, sharp]]
    scores = centred(torch.cat(pools)).t() @ centred((both[0] + both[1]) / 2)
    best, numbers = scores.topk(2, 0)
    numbers = numbers[0]
    target = torch.cat(pools)[:, numbers]

    def moved():
        levels = [unlike(level).requires_grad_(True) for level in start]
        return levels, looks(synthesis(levels), weights, preprocess)

    def gradient(loss, levels):
        loss.backward()
        return [float(f"{g:.6e}") for g in torch.cat([level.grad.flatten() for level in levels]).tolist()[::7]]

    levels, seen = moved()
    loss = (1 - F.cosine_similarity(torch.cat(seen), target, 0)).mean()
    # Every layer by itself.
    centres = [maps.mean(1, keepdim=True) for maps in looks(synthesis(start), weights, preprocess)]
    split_levels, seen = moved()
    terms = []
    for own, pool, centre in zip(seen, pools, centres):
        directions = F.normalize(own.detach() - centre, dim=0)
        nearest = (centred(pool).t() @ directions).argmax(0)
        terms.append((1 - F.cosine_similarity(own, pool[:, nearest], 0)).mean())
    split = torch.stack(terms).mean()
    golden = dict(
        numbers=numbers.tolist(),
        gaps=[round(v, 9) for v in (best[0] - best[1]).tolist()],
        loss=loss.item(),
        gradient=gradient(loss, levels),
        split_loss=split.item(),
        split_gradient=gradient(split, split_levels),
    )
    (out / "neighbours").mkdir(exist_ok=True)
    (out / "neighbours" / f"{name}.json").write_text(json.dumps(golden) + "\n")
    print(name, loss.item(), split.item(), len(set(numbers.tolist())), "of", len(pools[0][0]), "vectors chosen")


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
