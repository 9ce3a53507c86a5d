#!/usr/bin/env python3
"""Compares networks by the pictures that they make, with VGG-19's eyes.

  python evaluate.py --teacher vgg19-to-conv4_1.safetensors --contents PHOTO… --styles PAINTING… \\
      --networks ../default.safetensors vgg19-to-conv4_1.safetensors [--program impasto] [--output DIR] [--sheet sheet.jpg]

Photograph i is painted like paintings i and i + 1 (so take as many of both): with impasto's loss and Adam in PyTorch, at
one octave; or with --program by that program, with its defaults at --size. The sheet shows a row for each pair:
photograph, painting, each network's result.

Scores of each result, by the teacher's features: `content` is the mean over relu3_3 and relu4_1 of mean((F − P)²)/var(P);
`style_left` the mean over relu1_1 … relu4_1 of ‖G − A‖²/‖A‖², over the same of the untouched photograph. With --program
also `mean_left`, the geometric mean of `style_left` at the full size, a half and a quarter (means of 2×2 pixels in linear
light). Lower is better. At the end: each network's scores over the last one's, and the worst pair's.

Needs torch, numpy, pillow and safetensors.
"""

import argparse
import json
import math
import pathlib
import subprocess
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open

from network import PLAN, STYLE, gram


class Net:
    """A network file in impasto's format, as far as this project's own files use it."""

    def __init__(self, path):
        with safe_open(path, "pt") as file:
            self.tensors = {k: file.get_tensor(k).float() for k in file.keys()}
            metadata = file.metadata() or {}
        caffe = {"order": "bgr", "scale": [255] * 3, "offset": [-103.939, -116.779, -123.68]}
        none = {"order": "rgb", "scale": [1] * 3, "offset": [0] * 3}
        told = metadata.get("impasto.preprocess", "caffe")
        self.preprocess = {"caffe": caffe, "none": none}.get(told) or json.loads(told)
        self.padding = {"zero": "constant", "reflect": "reflect", "replicate": "replicate"}[metadata.get("impasto.padding", "zero")]
        self.linear = metadata.get("impasto.side") == "linear"
        self.pool = metadata.get("impasto.pool", "max")
        for k in list(self.tensors):
            if self.tensors[k].dim() == 4:
                self.tensors[k] = self.tensors[k].contiguous(memory_format=torch.channels_last)

    def __call__(self, x, taps):
        p, out = self.preprocess, {}
        x = x[:, ["rgb".index(c) for c in p["order"]]]
        x = x * x.new_tensor(p["scale"]).view(1, 3, 1, 1) + x.new_tensor(p["offset"]).view(1, 3, 1, 1)
        if "colour.weight" in self.tensors:
            x = F.conv2d(x, self.tensors["colour.weight"], self.tensors["colour.bias"])
        for name in PLAN:
            if name == "P":
                x = F.max_pool2d(x, 2) if self.pool == "max" else F.avg_pool2d(x, 2)
                continue
            if not taps - out.keys():
                break
            x = F.pad(x, (1, 1, 1, 1), mode=self.padding)
            x = F.relu(F.conv2d(x, self.tensors[f"conv{name}.weight"], self.tensors[f"conv{name}.bias"]))
            if name in taps:
                side = f"side.relu{name}"
                out[name] = x
                if f"{side}.weight" in self.tensors:
                    seen = F.conv2d(x, self.tensors[f"{side}.weight"], self.tensors[f"{side}.bias"])
                    out[name] = seen if self.linear else F.relu(seen)
        return out


def read(path, size=None):
    """A picture as 1×3×H×W in 0..1, resized to a long side of `size` px."""
    image = Image.open(path).convert("RGB")
    if size:
        ratio = size / max(image.size)
        image = image.resize((round(image.width * ratio), round(image.height * ratio)), Image.LANCZOS)
    x = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float() / 255
    return x.contiguous(memory_format=torch.channels_last)


class Objective:
    """impasto's loss, as src/loss/targets.rs defines it."""

    def __init__(self, net, content, style, style_weight, tv_weight):
        self.net, self.style_weight, self.tv_weight = net, style_weight, tv_weight
        with torch.no_grad():
            self.target = net(content, {"3_3"})["3_3"]
            self.grams = {t: gram(m) for t, m in net(style, set(STYLE)).items()}

    def __call__(self, x):
        maps = self.net(x, {"3_3", *STYLE})
        content = (maps["3_3"] - self.target).square().mean() / self.target.var()
        style = sum((gram(maps[t]) - g).square().sum() / g.square().sum() for t, g in self.grams.items()) / len(STYLE)
        tv = (x[..., 1:] - x[..., :-1]).square().mean() + (x[:, :, 1:] - x[:, :, :-1]).square().mean()
        return dict(total=content + self.style_weight * style + self.tv_weight * tv, content=content, style=style, tv=tv)


def transfer(net, content, style, a):
    """The picture after `a.steps` of Adam, started from the content."""
    objective = Objective(net, content, style, a.style_weight, a.tv_weight)
    x = content.clone().requires_grad_(True)
    adam = torch.optim.Adam([x], lr=0.02, betas=(0.9, 0.99))
    for _ in range(a.steps):
        adam.zero_grad()
        objective(x)["total"].backward()
        adam.step()
        x.data.clamp_(0, 1)
    return (x.detach() * 255).round() / 255


def painted(network, content, style, a):
    """The picture that the program makes with its defaults."""
    with tempfile.TemporaryDirectory() as folder:
        result = pathlib.Path(folder) / "result.png"
        command = [a.program, "stylize", content, "--style", style, "--network", network, "--size", str(a.size), "--output", result]
        subprocess.run([str(word) for word in command + ["--quiet"]], check=True)
        return read(result)


def image(x):
    return Image.fromarray((x[0].permute(1, 2, 0) * 255).round().byte().numpy())


def sheet(rows, size, gap=8):
    """Every row's pictures side by side, each in a cell as high as the row's content."""
    heights = [row[0].shape[2] for row in rows]
    cells = len(rows[0])
    out = Image.new("RGB", (cells * (size + gap) - gap, sum(heights) + gap * (len(rows) - 1)), "white")
    top = 0
    for row, height in zip(rows, heights):
        for i, x in enumerate(row):
            cell = image(x)
            cell.thumbnail((size, height), Image.LANCZOS)
            out.paste(cell, (i * (size + gap), top))
        top += height + gap
    return out


def smaller(x):
    """Half the size, halved in linear light, so that these sizes are no friends of the program's own."""
    x = torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    x = F.avg_pool2d(x, 2)
    return torch.where(x <= 0.0031308, x * 12.92, 1.055 * x.clamp(min=1e-9) ** (1 / 2.4) - 0.055)


@torch.no_grad()
def judge(teacher, result, content, style, octaves):
    """Content, and style left at each octave."""
    taps, scores = {"3_3", *STYLE}, []
    for octave in range(octaves):
        if octave:
            result, content, style = map(smaller, (result, content, style))
        r, c, s = (teacher(x, taps) for x in (result, content, style))
        far = lambda m: sum((gram(m[t]) - gram(s[t])).square().sum() / gram(s[t]).square().sum() for t in STYLE) / len(STYLE)
        if not octave:
            scores.append(sum((r[t] - c[t]).square().mean() / c[t].var() for t in ("3_3", "4_1")).item() / 2)
        scores.append((far(r) / far(c)).item())
    return scores


def geometric(values):
    return math.exp(sum(math.log(v) for v in values) / len(values))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--teacher", required=True)
    p.add_argument("--contents", nargs="+", required=True)
    p.add_argument("--styles", nargs="+", required=True)
    p.add_argument("--networks", nargs="+", required=True)
    p.add_argument("--size", type=int, default=256)
    p.add_argument("--steps", type=int, default=300)
    p.add_argument("--style-weight", type=float, default=20.0)
    p.add_argument("--tv-weight", type=float, default=0.5)
    p.add_argument("--program", help="the impasto that paints; --steps and the weights are its own then")
    p.add_argument("--pairs", type=int, default=0, help="only so many")
    p.add_argument("--output", type=pathlib.Path, help="folder for the pictures")
    p.add_argument("--sheet", help="picture of all results side by side")
    a = p.parse_args()
    teacher, n = Net(a.teacher), len(a.styles)
    pairs = [(c, a.styles[(i + j) % n]) for i, c in enumerate(a.contents) for j in (0, 1)]
    pairs = pairs[: a.pairs or len(pairs)]
    rows = [[read(content, a.size), read(style, a.size)] for content, style in pairs]
    octaves, table = 3 if a.program else 1, {}
    name = "mean_left" if a.program else "style_left"
    for path in a.networks:
        net, scores = Net(path), []
        for row, files in zip(rows, pairs):
            content, style = row[:2]
            result = painted(path, *files, a) if a.program else transfer(net, content, style, a)
            kept, *left = judge(teacher, result, content, style, octaves)
            scores.append((kept, geometric(left)))
            names = [pathlib.Path(f).stem for f in (path, *files)]
            each = " (" + ", ".join(f"{v:.4f}" for v in left) + ")" if a.program else ""
            print(f"{names[0]}  {names[1]} × {names[2]}: content {kept:.4f}, {name} {scores[-1][1]:.5f}{each}", flush=True)
            row.append(result)
            if a.output:
                a.output.mkdir(parents=True, exist_ok=True)
                image(result).save(a.output / ("_".join(names) + ".png"))
        content, left = sum(s[0] for s in scores) / len(scores), geometric([s[1] for s in scores])
        print(f"{path}: mean content {content:.4f}, geometric mean {name} {left:.5f} over {len(scores)} pairs", flush=True)
        table[path] = scores, content, left
    measure, content, left = table.popitem()[1]
    for path, (scores, own_content, own_left) in table.items():
        worst = max(own[1] / other[1] for own, other in zip(scores, measure))
        print(f"{path}: content {own_content / content:.2f}×, {name} {own_left / left:.2f}×, worst pair {worst:.2f}×", flush=True)
    if a.sheet:
        sheet(rows, a.size).save(a.sheet, quality=90)


if __name__ == "__main__":
    main()
