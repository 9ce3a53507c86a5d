"""Training pictures: crops of photographs and paintings, procedural textures, and noisy and mixed ones."""

import math
import pathlib

import numpy as np
import torch
from PIL import Image

import textures


def folder(path, longest):
    """Every picture under a folder as an array, at most `longest` px on its long side."""
    pictures = []
    for file in sorted(pathlib.Path(path).rglob("*")):
        if file.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"}:
            image = Image.open(file).convert("RGB")
            image.thumbnail((longest, longest), Image.LANCZOS)
            pictures.append(np.asarray(image))
    if not pictures:
        raise SystemExit(f"{path} holds no pictures")
    return pictures


class Data:
    """`rng` draws all that a run sees, so its state is where a run is. The textures are those of the seed."""

    def __init__(self, photos, paintings, seed):
        self.seed, self.rng = seed, np.random.default_rng(seed)
        self.photos, self.paintings = folder(photos, 400), folder(paintings, 800)
        self.textures = textures.paint(np.random.default_rng([seed, 1]), 400)

    def crop(self, picture, size, zoom, turn):
        """A size×size crop at a random place of a picture scaled by about `zoom`, mirrored half the time."""
        rng, (height, width) = self.rng, picture.shape[:2]
        side = size / zoom * math.exp(rng.uniform(-0.3, 0.3))
        side = int(min(side, height, width))
        top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
        image = Image.fromarray(picture[top : top + side, left : left + side]).resize((size, size), Image.LANCZOS)
        if rng.random() < 0.5:
            image = image.transpose(Image.FLIP_LEFT_RIGHT)
        if turn:
            image = image.rotate(90 * int(rng.integers(4)))
        return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 255

    def recolour(self, x):
        """Other colours: permuted channels, contrast, gamma, and a little of each channel in the others."""
        rng = self.rng
        if rng.random() < 0.4:
            x = x[torch.from_numpy(rng.permutation(3))]
        if rng.random() < 0.4:
            mix = torch.from_numpy(np.eye(3) + 0.15 * rng.standard_normal((3, 3))).float()
            x = torch.einsum("ij,jhw->ihw", mix, x)
        x = x.clamp(0, 1) ** math.exp(rng.uniform(-0.4, 0.4))
        return (0.5 + (x - 0.5) * math.exp(rng.uniform(-0.5, 0.3)) + rng.uniform(-0.1, 0.1)).clamp(0, 1)

    def photo(self, size):
        picture = self.photos[self.rng.integers(len(self.photos))]
        x = self.crop(picture, size, self.rng.uniform(0.6, 1.0), False)
        return self.recolour(x) if self.rng.random() < 0.2 else x

    def style(self, size):
        """A painting, a texture or another photograph: any picture can be the style."""
        kind = self.rng.random()
        if kind < 0.5:
            picture = self.paintings[self.rng.integers(len(self.paintings))]
            x = self.crop(picture, size, self.rng.uniform(0.3, 0.8), self.rng.random() < 0.4)
        elif kind < 0.75:
            x = self.crop(self.textures[self.rng.integers(len(self.textures))], size, self.rng.uniform(0.5, 1.0), True)
        else:
            return self.photo(size)
        return self.recolour(x) if self.rng.random() < 0.6 else x

    def spoiled(self, x):
        """The same picture noisy, in part or in whole, as the first steps of an optimisation leave it."""
        rng, size = self.rng, x.shape[-1]
        noise = torch.from_numpy(rng.standard_normal((3, size, size)).astype(np.float32))
        if rng.random() < 0.5:
            noise = noise.mean(0, keepdim=True) + 0.3 * noise
        return (x + rng.uniform(0, 0.3) * noise).clamp(0, 1)

    def any(self, size):
        """A picture of any kind."""
        kind = self.rng.random()
        x = self.photo(size) if kind < 0.5 else self.style(size)
        if kind > 0.85:
            share = self.rng.uniform(0.2, 0.8)
            x = share * x + (1 - share) * self.photo(size)
        return self.spoiled(x) if self.rng.random() < 0.35 else x

    def plain(self, count, size):
        """Photographs, always the same ones; draws nothing from `rng`."""
        rng, self.rng = self.rng, np.random.default_rng([self.seed, 2])
        pictures = torch.stack([self.photo(size) for _ in range(count)])
        self.rng = rng
        return pictures.contiguous(memory_format=torch.channels_last)

    def batch(self, count, size):
        return torch.stack([self.any(size) for _ in range(count)]).contiguous(memory_format=torch.channels_last)
