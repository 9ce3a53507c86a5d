#!/usr/bin/env python3
"""Renews the golden of the embedded network: the losses of 20 steps and the first gradient, by PyTorch's autograd.

  mkdir DIR; IMPASTO_GOLDEN=DIR cargo test --test trajectory -- --ignored     (writes the pictures into DIR)
  python weights/train/golden.py DIR
"""

import json
import pathlib
import sys

import torch

from evaluate import Net, Objective, read

here = pathlib.Path(__file__).resolve().parent
inputs, goldens = pathlib.Path(sys.argv[1]), here.parent.parent / "tests/golden"
net = Net(here.parent / "default.safetensors")
content, style = read(inputs / "default-content.png"), read(inputs / "default-style.png")
objective = Objective(net, content, style, style_weight=20.0, tv_weight=0.5)
x = content.clone().requires_grad_(True)
adam = torch.optim.Adam([x], lr=0.02, betas=(0.9, 0.99))
with open(goldens / "default.jsonl", "w") as rows:
    for step in range(20):
        adam.zero_grad()
        losses = objective(x)
        losses["total"].backward()
        if step == 0:
            (goldens / "default.grad").write_bytes(x.grad[0].contiguous().numpy().tobytes())
        print(json.dumps({"step": step, **{k: v.item() for k, v in losses.items()}}), file=rows)
        adam.step()
        x.data.clamp_(0, 1)
