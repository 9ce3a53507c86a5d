"""The losses of examples/train_convolution.rs, made by PyTorch's autograd and its Adam.

pip install torch numpy; python tests/golden/train_convolution.py > tests/golden/train_convolution.jsonl
"""

import json

import numpy as np
import torch

HEIGHT, WIDTH, BATCH, RATE, STEPS = 24, 32, 3, 0.01, 60


def numbers(count, seed):
    i = np.arange(count)
    return torch.tensor(((i * i + 7 * i * seed + 13 * seed) % 101) / 50 - 1, dtype=torch.float32)


def start(seed, size, *shape):
    return (size * numbers(int(np.prod(shape)), seed)).reshape(shape).requires_grad_()


def differences(x):
    padded = torch.nn.functional.pad(x, (1, 1))
    return padded[..., 2:] - padded[..., :-2]


weights = [start(1, 0.3, 8, 3, 3, 3), start(2, 0.1, 8), start(3, 0.2, 3, 8, 3, 3), start(4, 0.1, 3)]
adam = torch.optim.Adam(weights, lr=RATE, betas=(0.9, 0.999), eps=1e-8)
for step in range(STEPS):
    adam.param_groups[0]["lr"] = RATE * 0.99**step
    seeds = [5 + at + BATCH * (step % 4) for at in range(BATCH)]
    x = torch.stack([numbers(3 * HEIGHT * WIDTH, seed).reshape(3, HEIGHT, WIDTH) for seed in seeds])
    hidden = torch.relu(torch.nn.functional.conv2d(x, weights[0], weights[1], padding=1))
    y = torch.nn.functional.conv2d(hidden, weights[2], weights[3], padding=1)
    loss = (y - differences(x)).square().mean()
    adam.zero_grad()
    loss.backward()
    adam.step()
    print(json.dumps({"step": step, "loss": loss.item()}))
