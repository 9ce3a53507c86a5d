"""Procedural pictures for the training: brush strokes, noise of many scales, cells, stripes, flat shapes."""

import math

import numpy as np
from PIL import Image, ImageDraw

SIDE = 320


def palette(rng, count):
    """Colours scattered around a random centre, some far from it."""
    centre, spread = rng.uniform(0.1, 0.9, 3), rng.uniform(0.05, 0.5)
    colours = centre + spread * rng.standard_normal((count, 3))
    colours[rng.random(count) < 0.2] = rng.random(3)
    return (255 * colours.clip(0, 1)).astype(np.uint8)


def field(rng, coarsest):
    """A smooth random map in -1..1: octaves of bicubic noise that fall off."""
    total, size, gain = np.zeros((SIDE, SIDE)), coarsest, 1.0
    fall = rng.uniform(0.3, 0.8)
    while size <= SIDE:
        grid = Image.fromarray(rng.standard_normal((size, size)).astype(np.float32))
        total += gain * np.asarray(grid.resize((SIDE, SIDE), Image.BICUBIC))
        size, gain = size * 2, gain * fall
    return total / (np.abs(total).max() + 1e-6)


def strokes(rng):
    """A painting of nothing: strokes along a flow field, in colours that follow another field."""
    colours = palette(rng, int(rng.integers(4, 24)))
    image = Image.new("RGB", (SIDE, SIDE), tuple(int(v) for v in colours[0]))
    draw = ImageDraw.Draw(image)
    angle, tone = math.pi * field(rng, int(rng.integers(2, 8))), field(rng, int(rng.integers(2, 10)))
    width, length = rng.uniform(1.5, 12), rng.uniform(4, 50)
    for _ in range(int(min(6000, 4 * SIDE * SIDE / (width * length)))):
        x, y = rng.uniform(0, SIDE, 2)
        points = [(x, y)]
        for _ in range(5):
            a = angle[int(y) % SIDE, int(x) % SIDE]
            x, y = x + math.cos(a) * length / 5, y + math.sin(a) * length / 5
            points.append((x, y))
        px, py = (int(v) % SIDE for v in points[0])
        at = (tone[py, px] * 0.5 + 0.5) * len(colours) + rng.normal(0, 0.7)
        shade = rng.normal(1, 0.1)
        colour = colours[int(at) % len(colours)] * shade
        draw.line(points, fill=tuple(int(v) for v in colour.clip(0, 255)), width=max(1, round(width * rng.uniform(0.6, 1.4))))
    return np.asarray(image)


def clouds(rng):
    """Coloured noise, per channel or along a palette."""
    if rng.random() < 0.5:
        channels = [field(rng, int(rng.integers(2, 40))) for _ in range(3)]
        mix = np.eye(3) + 0.5 * rng.standard_normal((3, 3))
        values = np.stack(channels, 2) @ mix * rng.uniform(0.3, 1.2) + rng.uniform(0.2, 0.8, 3)
        return (255 * values.clip(0, 1)).astype(np.uint8)
    colours = palette(rng, 6)
    at = ((field(rng, int(rng.integers(2, 24))) * 0.5 + 0.5) * rng.uniform(3, 20)) % 6
    return colours[at.astype(int) % 6]


def cells(rng):
    """Voronoi cells, with or without dark borders."""
    count = int(rng.integers(10, 300))
    points, colours = rng.uniform(0, SIDE, (count, 2)), palette(rng, count)
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    nearest, second, owner = np.full((SIDE, SIDE), 1e9), np.full((SIDE, SIDE), 1e9), np.zeros((SIDE, SIDE), int)
    for i, (px, py) in enumerate(points):
        d = np.hypot(x - px, y - py)
        second = np.minimum(second, np.maximum(d, nearest))
        owner, nearest = np.where(d < nearest, i, owner), np.minimum(d, nearest)
    out = colours[owner].astype(float)
    if rng.random() < 0.6:
        out[second - nearest < rng.uniform(1, 8)] = 255 * rng.random(3) ** 2
    return out.astype(np.uint8)


def stripes(rng):
    """Warped stripes or checks."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    angle, frequency = rng.uniform(0, math.pi), rng.uniform(4, 60)
    warp = field(rng, 3) * rng.uniform(0, 0.15)
    u, v = math.cos(angle) * x + math.sin(angle) * y + warp, math.cos(angle) * y - math.sin(angle) * x + warp
    wave = np.sin(2 * math.pi * frequency * u)
    if rng.random() < 0.5:
        wave = wave * np.sin(2 * math.pi * frequency * rng.uniform(0.5, 2) * v)
    wave = wave > 0 if rng.random() < 0.5 else wave * 0.5 + 0.5
    a, b = palette(rng, 2).astype(float)
    return (a + (b - a) * np.asarray(wave, float)[..., None]).astype(np.uint8)


def shapes(rng):
    """Flat discs, boxes and lines over each other, as in abstract paintings and prints."""
    colours = palette(rng, 12)
    image = Image.new("RGB", (SIDE, SIDE), tuple(int(v) for v in colours[0]))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(20, 200))):
        (x, y), r = rng.uniform(0, SIDE, 2), rng.exponential(25) + 2
        colour = tuple(int(v) for v in colours[rng.integers(12)])
        kind, outline = rng.integers(4), tuple(int(v) for v in colours[1]) if rng.random() < 0.4 else None
        if kind == 0:
            draw.ellipse((x - r, y - r, x + r, y + r), fill=colour, outline=outline)
        elif kind == 1:
            draw.rectangle((x - r, y - r * 0.6, x + r, y + r * 0.6), fill=colour, outline=outline)
        elif kind == 2:
            draw.polygon([(x + r * rng.normal(), y + r * rng.normal()) for _ in range(3)], fill=colour, outline=outline)
        else:
            draw.line((x, y, x + 3 * r * rng.normal(), y + 3 * r * rng.normal()), fill=colour, width=int(rng.integers(1, 9)))
    return np.asarray(image)


def paint(rng, count):
    """`count` pictures of SIDE×SIDE px, half of them of strokes."""
    others = [clouds, cells, stripes, shapes]
    return [strokes(rng) if i % 2 else others[i // 2 % len(others)](rng) for i in range(count)]
