"""What the pictures of the pool are optimised for: impasto's own loss (src/loss), and the octaves that it looks at."""

import torch
import torch.nn.functional as F

from network import CONTENT, STYLE, gram

OCTAVES = 3


def halve(x):
    """Pictures at half their size, as src/ops/downsample.rs has it: 1, 3, 3, 1 along both axes, edges repeated."""
    line = x.new_tensor([0.125, 0.375, 0.375, 0.125])
    window = (line[:, None] * line).expand(3, 1, 4, 4)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), window, stride=2, groups=3)


def octaves(x):
    """The pictures at their full size, a half, a quarter …, each channels last."""
    out = [x]
    while len(out) < OCTAVES:
        out.append(halve(out[-1]))
    return [o.contiguous(memory_format=torch.channels_last) for o in out]


def grams_of(maps):
    return {t: gram(maps[t]) for t in STYLE}


def variation(x):
    """mean(dx²) + mean(dy²) of each picture."""
    return (x[..., 1:] - x[..., :-1]).square().mean((1, 2, 3)) + (x[:, :, 1:] - x[:, :, :-1]).square().mean((1, 2, 3))


class Objective:
    """The loss of each picture of a batch.

    settings: what a picture weighs: content_weights (B×taps), style_weight, octave_weights (B×octaves, their sum 1),
    tv_weight and detail_weight (B). content_maps: the content's at the full size; grams: the style's at each octave.
    """

    def __init__(self, settings, content, content_maps, grams):
        self.settings, self.picture = settings, content
        self.content = {t: content_maps[t] for t in CONTENT}
        self.variance = {t: m.float().flatten(1).var(1) for t, m in self.content.items()}
        self.edges = variation(content).clamp(min=1e-5)
        self.grams = grams
        self.power = [{t: g.square().sum((1, 2)) for t, g in octave.items()} for octave in grams]

    def __call__(self, x, maps, grams):
        """maps: of x at its full size; grams: at each octave."""
        s = self.settings
        content = sum(
            s["content_weights"][:, i] * (maps[t] - self.content[t]).square().mean((1, 2, 3)).float() / self.variance[t]
            for i, t in enumerate(CONTENT))
        style = sum(
            s["octave_weights"][:, k] * (grams[k][t] - self.grams[k][t]).square().sum((1, 2)) / self.power[k][t]
            for k in range(OCTAVES) for t in STYLE) / len(STYLE)
        edges = s["tv_weight"] * variation(x) + s["detail_weight"] * variation(x - self.picture) / self.edges
        return content + s["style_weight"] * style + edges
