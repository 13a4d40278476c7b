"""The image tower of NaFlex, for images of any shape in one batch.

Oracle: `transformers.Siglip2VisionModel` (eager, float32). It resizes the position embedding for each image by torch's
`interpolate(mode="bilinear", antialias=True, align_corners=False)`, and masks padding in each attention, that of the
pooling head included. Here the resizing is one matrix product for a whole batch of different shapes.

Letters: B batch, N patches, P patch side, D width, G positions of the embedding.
"""

import keras
from keras import ops

from model.config import NaFlexVisionConfig
from model.network.layers import Dense
from model.network.towers import ImageTower
from model.patches import CHANNELS, HEADER_BYTES


class NaFlexTower(ImageTower):
    """Records of images, [B, R] uint8, to pooled [B, D]; the tower scales the pixels to [-1, 1].

    `model.patches.NaFlexPreprocessor` makes the records. Any number of patches, N, is accepted.
    """

    def __init__(self, config: NaFlexVisionConfig, **kwargs):
        super().__init__(config, **kwargs)
        self.embedding = NaFlexEmbedding(config, name="embedding", dtype=self.dtype_policy)
        self.patch_size = config.patch_size

    def build(self, input_shape):
        self.embedding.build((None, None, CHANNELS * self.patch_size**2))
        self.build_layers(None)

    def call(self, records):
        patches, grids = split_records(records, self.patch_size)
        pixels = ops.cast(patches, "float32") / 127.5 - 1.0  # a coarser dtype would round the pixels first
        x = self.embedding(ops.cast(pixels, self.compute_dtype), grids)  # [B, N, D]
        valid = ops.arange(x.shape[1]) < ops.prod(grids, axis=1, keepdims=True)  # [B, N]
        return self.pool(x, valid)


class NaFlexEmbedding(keras.layers.Layer):
    """patches W^T + b + resized(position): patches [B, N, 3 P P] in [-1, 1] and grids [B, 2] to [B, N, D]."""

    def __init__(self, config: NaFlexVisionConfig, **kwargs):
        super().__init__(**kwargs)
        self.grid, self.width = config.grid, config.width
        self.patches = Dense(config.width, name="patches", dtype=self.dtype_policy)

    def build(self, input_shape):
        self.patches.build(input_shape)
        self.position = self.add_weight(
            shape=(self.grid[0] * self.grid[1], self.width),
            initializer=keras.initializers.RandomNormal(0.02),
            name="position",
        )

    def call(self, patches, grids):
        weights = position_weights(grids, patches.shape[1], self.grid)  # [B, N, G]
        position = ops.matmul(weights, ops.cast(self.position, "float32"))
        return self.patches(patches) + ops.cast(position, self.compute_dtype)


def split_records(records, patch_size: int):
    """Returns the patches, [B, N, 3 P P] uint8, and the rows and columns of them, [B, 2] int32.

    A record of zeros, with which batches are filled up, is one black patch.

    Raises:
        ValueError: The records do not have a header and whole patches.
    """
    features = CHANNELS * patch_size**2
    num_patches, rest = divmod(records.shape[1] - HEADER_BYTES, features)
    if rest or num_patches < 1:
        raise ValueError(f"records must be [B, {HEADER_BYTES} + N * {features}]. Received: {records.shape}")
    header, patches = records[:, :HEADER_BYTES], records[:, HEADER_BYTES:]
    header = ops.cast(header, "int32")
    grids = ops.maximum(header[:, ::2] + 256 * header[:, 1::2], 1)
    return ops.reshape(patches, (-1, num_patches, features)), grids


def position_weights(grids, num_patches: int, position_grid: tuple[int, int]):
    """Returns the weights of the positions for each patch, [B, N, G] float32.

    Args:
        grids: The rows and columns of each image's patches, [B, 2] int32.
        num_patches: N. Patches after an image's last one get the weights of the last one.
        position_grid: The rows and columns of the position embedding; G is their product.
    """
    rows, columns = grids[:, :1], grids[:, 1:]
    patch = ops.minimum(ops.arange(num_patches), rows * columns - 1)  # [B, N]
    by_row = linear_weights(patch // columns, rows, position_grid[0])
    by_column = linear_weights(patch % columns, columns, position_grid[1])
    weights = by_row[:, :, :, None] * by_column[:, :, None, :]
    return ops.reshape(weights, (-1, num_patches, position_grid[0] * position_grid[1]))


def linear_weights(index, m, n: int):
    """Returns the weights, [B, N, n], with which n values are resampled to the `index`-th, [B, N], of m, [B, 1].

    Each is the height of a triangle around the new value's centre. When m < n, the triangle is wider, n / m, so that
    every value counts (antialiasing).
    """
    ratio = n / ops.cast(m, "float32")
    centre = (ops.cast(index, "float32") + 0.5) * ratio
    distance = ops.abs(ops.arange(n, dtype="float32") + 0.5 - centre[:, :, None]) / ops.maximum(ratio, 1.0)[:, :, None]
    weights = ops.maximum(1.0 - distance, 0.0)
    return weights / ops.sum(weights, axis=-1, keepdims=True)
