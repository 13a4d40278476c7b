"""The speed limit of float32 engines: the towers' multiply-adds, and the CPU's rate in a large matrix product."""

import time

import numpy as np

from model.config import NaFlexVisionConfig, TextConfig, TowerConfig, VisionConfig

SIDE, ROUNDS = 4096, 3


def multiply_adds_per_s() -> float:
    """Returns the multiply-adds per second that the CPU reaches now, in the best of a few products."""
    matrix = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    times = []
    for _ in range(ROUNDS):
        began_s = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - began_s)
    return SIDE**3 / min(times)


def image_multiply_adds(config: VisionConfig | NaFlexVisionConfig) -> int:
    """Returns the multiply-adds of an image in matrix products and attention: 17.7e9 for SigLIPBaseP16 at 224.

    A NaFlex computes as many patches as its position embedding has, 256, whatever the image's shape.
    """
    rows, width = config.grid[0] * config.grid[1], config.width
    patches = rows * 3 * config.patch_size**2 * width
    return patches + config.depth * block(config, rows, rows) + block(config, rows, 1)  # the head has one query


def text_multiply_adds(config: TextConfig, embed_dim: int) -> int:
    """Returns the multiply-adds of a text: 5.1e9 for SigLIPBaseP16. Its last block computes only the last position."""
    rows = config.context_length
    return (config.depth - 1) * block(config, rows, rows) + block(config, rows, 1) + config.width * embed_dim


def block(config: TowerConfig, rows: int, queries: int) -> int:
    """Returns the multiply-adds of a transformer block with this many queries; all rows are keys and values."""
    width = config.width
    return 2 * rows * width**2 + queries * (2 * width**2 + 2 * rows * width + 2 * width * config.mlp_dim)
