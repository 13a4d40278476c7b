"""Turns RGBA pictograms into training images, which get harder during training. NumPy and Pillow.

Published styles draw the same cat in different colours, at different angles, with or without an outline. The
augmentation varies the same properties, so that a new style looks like one more variation.
"""

import numpy as np
from PIL import Image

SIDE = 64
DARK = 0.25  # art of a lower mean brightness, 0..1, is dark


def augment(rgba: np.ndarray, mirrored: np.ndarray, difficulty: float, rng: np.random.Generator) -> np.ndarray:
    """Returns training images, [B, 64, 64, 3] uint8.

    Args:
        rgba: [B, R, R, 4] uint8, straight alpha; R is the side at which they were rendered.
        mirrored: [B] bool, whether an image may be mirrored without changing its meaning.
        difficulty: 0 (plain and centred on white) to 1.
        rng: The random generator.
    """
    moved = np.stack([move(image, flip, difficulty, rng) for image, flip in zip(rgba, mirrored, strict=True)])
    pixels = moved.astype(np.float32) / 255.0
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    colour = vary_colour(colour, difficulty, rng)
    brightness = (colour * alpha).mean(axis=(1, 2, 3)) / alpha.mean(axis=(1, 2, 3))
    # Dark art would be invisible on a dark background.
    images = colour * alpha + backgrounds(brightness < DARK, difficulty, rng) * (1.0 - alpha)
    sketched = random_mask(0.12 * difficulty, len(rgba), rng)
    images[sketched] = sketch(images[sketched])
    inverted = random_mask(0.04 * difficulty, len(rgba), rng)
    images[inverted] = 1.0 - images[inverted]
    erase(images, difficulty, rng)
    return (images.clip(0, 1) * 255.0).round().astype(np.uint8)


def random_mask(p: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """Returns n random values, [n] bool, each true with probability p."""
    return rng.random(n) < p


def move(rgba: np.ndarray, mirrored: bool, difficulty: float, rng: np.random.Generator) -> np.ndarray:
    """Returns one image rotated, stretched, shifted and sometimes mirrored, [64, 64, 4] uint8."""
    side = rgba.shape[0]
    angle = np.deg2rad(rng.uniform(-15, 15) * difficulty)
    zoom = np.exp(rng.uniform(-0.28, 0.12) * difficulty)
    stretch = np.exp(rng.uniform(-0.12, 0.12) * difficulty)
    matrix = side / SIDE / zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = matrix @ np.diag([stretch, 1 / stretch])
    if mirrored and rng.random() < 0.4:
        matrix = matrix @ np.diag([-1.0, 1.0])
    target = np.full(2, SIDE / 2) + rng.uniform(-5, 5, 2) * difficulty
    offset = np.full(2, side / 2) - matrix @ target
    coefficients = (*matrix[0], offset[0], *matrix[1], offset[1])
    # Premultiplied ("RGBa"), so that the colour of transparent pixels does not bleed into the edges.
    image = (
        Image.fromarray(rgba)
        .convert("RGBa")
        .transform((SIDE, SIDE), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    )
    return np.asarray(image.convert("RGBA"))


def vary_colour(colour: np.ndarray, difficulty: float, rng: np.random.Generator) -> np.ndarray:
    """Returns images with mixed channels, other brightness and contrast, and a few in grey; [B, S, S, 3] in 0..1."""
    n = len(colour)
    grey = colour.mean(axis=-1, keepdims=True)
    saturation = 1 + difficulty * rng.uniform(-0.5, 0.4, (n, 1, 1, 1)).astype(np.float32)
    saturation[random_mask(0.12 * difficulty, n, rng)] = 0.0
    colour = grey + (colour - grey) * saturation
    mixing = np.eye(3, dtype=np.float32) + 0.12 * difficulty * rng.standard_normal((n, 3, 3)).astype(np.float32)
    mixing /= mixing.sum(axis=1, keepdims=True)
    colour = np.matmul(colour.reshape(n, -1, 3), mixing).reshape(colour.shape)
    contrast = 1 + difficulty * rng.uniform(-0.3, 0.3, (n, 1, 1, 1)).astype(np.float32)
    brightness = difficulty * rng.uniform(-0.15, 0.15, (n, 1, 1, 1)).astype(np.float32)
    return ((colour - 0.5) * contrast + 0.5 + brightness).clip(0, 1)


def backgrounds(pale: np.ndarray, difficulty: float, rng: np.random.Generator) -> np.ndarray:
    """Returns random backgrounds, [n, S, S, 3] in 0..1, some gradients; where `pale`, [n] bool, only white or pale."""
    n = len(pale)
    any_colour = (random_mask(0.35 * difficulty, n, rng) & ~pale)[:, None]
    lowest = np.where(any_colour, 0.0, 1 - 0.25 * difficulty)
    ends = [(lowest + (1 - lowest) * rng.random((n, 3))).astype(np.float32) for _ in range(2)]
    white = random_mask(0.5, n, rng)[:, None] & ~any_colour
    ends = [np.where(white, np.float32(1), end) for end in ends]
    graded = random_mask(0.4, n, rng)[:, None]
    ends[1] = np.where(graded, ends[1], ends[0])
    ramp = np.linspace(0, 1, SIDE, dtype=np.float32)[None, :, None, None]
    columns = ends[0][:, None, None] * (1 - ramp) + ends[1][:, None, None] * ramp  # [n, S, 1, 3]
    transposed = random_mask(0.5, n, rng)[:, None, None, None]
    full = np.broadcast_to(columns, (n, SIDE, SIDE, 3))
    return np.where(transposed, full.transpose(0, 2, 1, 3), full)


def sketch(images: np.ndarray) -> np.ndarray:
    """Returns images as dark lines on white, drawn where colours meet; [B, S, S, 3] in 0..1."""
    down = np.abs(np.diff(images, axis=1, append=images[:, -1:])).max(axis=-1, keepdims=True)
    across = np.abs(np.diff(images, axis=2, append=images[:, :, -1:])).max(axis=-1, keepdims=True)
    return np.repeat(1.0 - (3.0 * (down + across)).clip(0, 0.95), 3, axis=-1)


def erase(images: np.ndarray, difficulty: float, rng: np.random.Generator) -> None:
    """Covers a rectangle of some images with one colour, in place."""
    for i in np.flatnonzero(random_mask(0.25 * difficulty, len(images), rng)):
        height, width = rng.integers(6, 22, 2)
        top, left = rng.integers(0, SIDE - height), rng.integers(0, SIDE - width)
        images[i, top : top + height, left : left + width] = rng.random(3)
