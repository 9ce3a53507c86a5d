"""The two networks: the teacher, VGG-19 to relu4_1, and the student with its side maps."""

import json
import math

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

PLAN = "1_1 1_2 P 2_1 2_2 P 3_1 3_2 3_3 3_4 P 4_1".split()
STYLE = ["1_1", "2_1", "3_1", "4_1"]
CONTENT = ["2_2", "3_3", "4_1"]
TAPS = ["1_1", "2_1", "2_2", "3_1", "3_3", "4_1"]
LAYERS = [name for name in PLAN if name != "P"]
TEACHER_WIDTHS = dict(zip(LAYERS, [64, 64, 128, 128, 256, 256, 256, 256, 512]))
# VGG's mean colour, RGB in 0..1: it becomes 0, like the padding.
MEAN = [123.68 / 255, 116.779 / 255, 103.939 / 255]
SCALE = 1 / 0.226
FAST = torch.bfloat16


def conv(x, weight, bias, padding):
    return F.conv2d(x, weight.to(x.dtype), bias.to(x.dtype), padding=padding)


def run(x, weights, biases, dtype):
    """Every layer's map after its ReLU. The first layer is computed in f32: its input needs more than 8 bits."""
    taps, first = {}, True
    for name in PLAN:
        if name == "P":
            x = F.max_pool2d(x, 2)
            continue
        x = F.relu_(conv(x, weights[name], biases[name], 1))
        if first:
            x, first = x.to(dtype), False
        taps[name] = x
    return taps


class Teacher:
    """VGG-19 (Oxford's weights), seen through its principal components: at each tap so many as the student has outputs there.

    BGR, 0–255 minus the mean, as trained with Caffe. Distances in a space of orthonormal components are VGG's own, but for
    what the components leave out; and Gram matrices and content losses cost the less, the fewer they are.
    """

    def __init__(self, path, dtype):
        file = load_file(path)
        self.dtype, self.bases, self.weights, self.biases = dtype, {}, {}, {}
        for name in LAYERS:
            keep = torch.float32 if name == "1_1" else dtype
            weight = file[f"conv{name}.weight"].to(keep)
            self.weights[name] = weight.contiguous(memory_format=torch.channels_last)
            self.biases[name] = file[f"conv{name}.bias"].to(keep)

    def maps(self, x):
        """VGG's maps at the taps for B×3×H×W pictures, RGB in 0..1."""
        x = x.flip(1) * 255 - 255 * x.new_tensor(MEAN[::-1]).view(1, 3, 1, 1)
        maps = run(x, self.weights, self.biases, self.dtype)
        return {t: maps[t] for t in TAPS}

    def __call__(self, x):
        return {t: F.conv2d(m, self.bases[t].to(m.dtype)) for t, m in self.maps(x).items()}

    @torch.no_grad()
    def calibrate(self, batches, components):
        """Finds the components: eigenvectors of the second moments, scaled so that a map's root mean square is 1.

        Content and Gram losses are relative, so the scale of a tap is free."""
        moments = {t: 0 for t in TAPS}
        for pictures in batches:
            for t, m in self.maps(pictures).items():
                flat = m.transpose(0, 1).flatten(1).float()
                moments[t] = moments[t] + flat @ flat.T / flat.shape[1]
        for t, moment in moments.items():
            values, vectors = torch.linalg.eigh(moment.double())
            values, vectors = values.flip(0)[: components[t]], vectors.flip(1)[:, : components[t]]
            scale = (len(batches) / values.mean()).sqrt()
            self.bases[t] = (vectors.T * scale)[:, :, None, None].float().contiguous()


class Student(torch.nn.Module):
    """VGG-19's layers to relu4_1 with fewer channels, and a linear 1×1 map from each tap to VGG's components."""

    def __init__(self, widths, components, dtype):
        super().__init__()
        self.dtype = dtype
        self.weights, self.biases = torch.nn.ParameterDict(), torch.nn.ParameterDict()
        self.side_weights, self.side_biases = torch.nn.ParameterDict(), torch.nn.ParameterDict()
        fan_in = 3
        for name in LAYERS:
            width = widths[name]
            init = torch.randn(width, fan_in, 3, 3) * math.sqrt(2 / (9 * fan_in))
            self.weights[name] = torch.nn.Parameter(init.contiguous(memory_format=torch.channels_last))
            self.biases[name] = torch.nn.Parameter(torch.zeros(width))
            fan_in = width
            if name in TAPS:
                outputs = components[name]
                self.side_weights[name] = torch.nn.Parameter(torch.randn(outputs, width, 1, 1) * math.sqrt(1 / width))
                self.side_biases[name] = torch.nn.Parameter(torch.zeros(outputs))

    def forward(self, x, taps=TAPS):
        x = (x - x.new_tensor(MEAN).view(1, 3, 1, 1)) * SCALE
        maps = run(x, self.weights, self.biases, self.dtype)
        return {t: conv(maps[t], self.side_weights[t], self.side_biases[t], 0) for t in taps}

    def save(self, path):
        """Writes the file that impasto reads: f16, in impasto's names, the settings in its metadata."""
        tensors = {}
        for name in self.weights:
            tensors[f"conv{name}.weight"], tensors[f"conv{name}.bias"] = self.weights[name], self.biases[name]
        for name in self.side_weights:
            tensors[f"side.relu{name}.weight"] = self.side_weights[name]
            tensors[f"side.relu{name}.bias"] = self.side_biases[name]
        tensors = {k: v.detach().to(torch.float16).contiguous() for k, v in tensors.items()}
        preprocess = {"order": "rgb", "scale": [SCALE] * 3, "offset": [-m * SCALE for m in MEAN]}
        save_file(tensors, path, {
            "impasto.preprocess": json.dumps(preprocess), "impasto.padding": "zero", "impasto.pool": "max", "impasto.side": "linear"})


def gram(maps):
    """B×C×C Gram matrices, in f32, over the number of positions."""
    # The maps lie channels last; so does, this way, their gradient, and no layer mixes both orders.
    flat = maps.permute(0, 2, 3, 1).flatten(1, 2)
    return torch.bmm(flat.transpose(1, 2), flat).float() / flat.shape[1]


def multiply_adds(widths, components):
    """Of one forward pass, per pixel of the picture; components: outputs of the side maps, by tap."""
    total, width, share = 0, 3, 1.0
    for name in PLAN:
        if name == "P":
            share /= 4
            continue
        fan_in, width = width, widths[name]
        total += share * width * (9 * fan_in + components.get(name, 0))
    return total
