#!/usr/bin/env python3
"""`impasto bench step` on PyTorch: the same work, the same JSON, so that both can be put side by side.

  python benches/peers/torch_step.py --size 256,512 --json torch.json
  impasto bench step --size 256,512 --json ours.json && impasto bench compare torch.json ours.json

VGG-19 to conv5_1 with random weights, Gram losses at relu1_1 … relu5_1, a content loss at relu4_2, Adam on the picture. Needs torch.
"""

import argparse
import json
import platform
import statistics
import time

import torch
import torch.nn.functional as F

PLAN = [("1_1", 64), ("1_2", 64), "P", ("2_1", 128), ("2_2", 128), "P", ("3_1", 256), ("3_2", 256), ("3_3", 256), ("3_4", 256), "P",
        ("4_1", 512), ("4_2", 512), ("4_3", 512), ("4_4", 512), "P", ("5_1", 512)]
STYLE = ["1_1", "2_1", "3_1", "4_1", "5_1"]
CONTENT = "4_2"
LAPS, LAP = 7, 0.25


def network(device, layout):
    layers, fan_in = [], 3
    for row in PLAN:
        if row == "P":
            layers.append(row)
            continue
        name, width = row
        weight = torch.randn(width, fan_in, 3, 3, device=device) * (2 / (9 * fan_in)) ** 0.5
        layers.append((name, weight.contiguous(memory_format=layout), torch.zeros(width, device=device)))
        fan_in = width
    return layers


def taps(layers, x):
    out = {}
    for layer in layers:
        if layer == "P":
            x = F.max_pool2d(x, 2)
            continue
        name, weight, bias = layer
        x = F.relu(F.conv2d(x, weight, bias, padding=1))
        out[name] = x
    return out


def gram(m):
    flat = m.flatten(2)[0].float()
    return flat @ flat.T / flat.shape[1]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--size", default="256,512,1024")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--threads", type=int)
    p.add_argument("--half", action="store_true", help="autocast to f16 (cuda)")
    p.add_argument("--no-tf32", action="store_true")
    p.add_argument("--channels-last", action="store_true")
    p.add_argument("--json")
    a = p.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not a.no_tf32
    torch.backends.cudnn.benchmark = True
    cuda = a.device.startswith("cuda")
    layout = torch.channels_last if a.channels_last else torch.contiguous_format
    wait = torch.cuda.synchronize if cuda else (lambda: None)
    layers = network(a.device, layout)

    def median(run):
        run(), run(), wait()
        start = time.perf_counter()
        run(), wait()
        repeats, laps = max(1, min(1000, round(LAP / (time.perf_counter() - start)))), []
        for _ in range(LAPS):
            start = time.perf_counter()
            for _ in range(repeats):
                run()
            wait()
            laps.append((time.perf_counter() - start) / repeats)
        return statistics.median_low(laps), [min(laps), max(laps)]

    rows = []
    for size in map(int, a.size.split(",")):
        picture = lambda: torch.rand(1, 3, size, size, device=a.device).contiguous(memory_format=layout)
        context = torch.autocast("cuda", torch.float16, enabled=a.half and cuda)
        with torch.no_grad(), context:
            content = taps(layers, picture())[CONTENT]
            targets = {t: gram(m) for t, m in taps(layers, picture()).items() if t in STYLE}
        x = picture().requires_grad_(True)
        adam = torch.optim.Adam([x], lr=0.02, betas=(0.9, 0.99))

        def step():
            adam.zero_grad()
            with context:
                maps = taps(layers, x)
                loss = (maps[CONTENT] - content).square().mean() / content.var()
                for t, target in targets.items():
                    loss = loss + 20 * (gram(maps[t]) - target).square().sum() / target.square().sum()
            loss.backward()
            adam.step()

        def forward():
            with torch.no_grad(), context:
                taps(layers, x)

        seconds, spread = median(step)
        alone, _ = median(forward)
        flops = 4 * 361152 * size * size
        rows.append(dict(bench="step", size=size, network="random:vgg19", precision="f16" if a.half else "f32", seconds_per_step=seconds,
                         spread=spread, forward_seconds=alone, effective_gflops=flops / seconds / 1e9,
                         buffer_bytes=torch.cuda.max_memory_allocated() if cuda else 0))
        print(f"{size}²: {seconds:.4f} s a step, {flops / seconds / 1e9:.1f} GFLOP/s, forward {alone:.4f} s", flush=True)
    name = torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine()
    report = dict(adapter=name, driver=f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads", rows=rows)
    if a.json:
        with open(a.json, "w") as file:
            json.dump(report, file, indent=2)


if __name__ == "__main__":
    main()
