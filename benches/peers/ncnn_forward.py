#!/usr/bin/env python3
"""VGG-19's forward pass to conv5_1 on ncnn, on Vulkan or on the processor, in the JSON of `impasto bench step`.

  python benches/peers/ncnn_forward.py --size 256 --json ncnn.json            (Vulkan: the same drivers that impasto uses)
  python benches/peers/ncnn_forward.py --size 256 --cpu --json ncnn-cpu.json

ncnn has no gradient: `seconds_per_step` is 0, and `impasto bench compare` compares the forward pass alone. Needs ncnn and numpy.
"""

import argparse
import json
import statistics
import struct
import tempfile
import time

import ncnn
import numpy as np

WIDTHS = [64, 64, "P", 128, 128, "P", 256, 256, 256, 256, "P", 512, 512, 512, 512, "P", 512]


def write(folder):
    """The network as ncnn's text and its weights, in f32."""
    rng, lines, fan_in, last, blobs = np.random.default_rng(0), [], 3, "data", 1
    weights = open(f"{folder}/vgg.bin", "wb")
    lines.append("Input data 0 1 data")
    for i, width in enumerate(WIDTHS):
        if width == "P":
            lines.append(f"Pooling pool{i} 1 1 {last} b{i} 0=0 1=2 2=2")
        else:
            count = width * fan_in * 9
            lines.append(f"Convolution conv{i} 1 1 {last} b{i} 0={width} 1=3 4=1 5=1 6={count} 9=1")
            weights.write(struct.pack("<I", 0))
            weights.write((rng.standard_normal(count) * (2 / (9 * fan_in)) ** 0.5).astype(np.float32).tobytes())
            weights.write(np.zeros(width, np.float32).tobytes())
            fan_in = width
        last, blobs = f"b{i}", blobs + 1
    weights.close()
    with open(f"{folder}/vgg.param", "w") as file:
        file.write(f"7767517\n{len(lines)} {blobs}\n" + "\n".join(lines) + "\n")
    return last


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--size", default="256")
    p.add_argument("--cpu", action="store_true")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--half", action="store_true", help="let ncnn use f16 where it can")
    p.add_argument("--json")
    a = p.parse_args()
    rows, folder = [], tempfile.mkdtemp()
    last, net = write(folder), ncnn.Net()
    net.opt.use_vulkan_compute, net.opt.num_threads = not a.cpu, a.threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = a.half
    net.load_param(f"{folder}/vgg.param")
    net.load_model(f"{folder}/vgg.bin")
    for size in map(int, a.size.split(",")):
        picture = ncnn.Mat(np.random.default_rng(1).random((3, size, size), np.float32))

        def forward():
            extractor = net.create_extractor()
            extractor.input("data", picture)
            code, out = extractor.extract(last)
            assert code == 0 and np.isfinite(np.array(out)).all()

        forward(), forward()
        laps = []
        for _ in range(7):
            start = time.perf_counter()
            forward()
            laps.append(time.perf_counter() - start)
        seconds = statistics.median_low(laps)
        flops = 2 * 361152 * size * size
        rows.append(dict(bench="step", size=size, network="random:vgg19", precision="f16" if a.half else "f32", seconds_per_step=0.0,
                         spread=[0.0, 0.0], forward_seconds=seconds, effective_gflops=flops / seconds / 1e9, buffer_bytes=0))
        print(f"{size}²: forward {seconds:.4f} s, {flops / seconds / 1e9:.1f} GFLOP/s", flush=True)
    device = "processor" if a.cpu else ncnn.get_gpu_info(ncnn.get_default_gpu_index()).device_name()
    if a.json:
        with open(a.json, "w") as file:
            json.dump(dict(adapter=device, driver=f"ncnn {ncnn.__version__}", rows=rows), file, indent=2)


if __name__ == "__main__":
    main()
