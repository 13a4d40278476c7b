"""The two towers: images or token ids to pooled outputs. `model.network.naflex` has the image tower of NaFlex.

Oracle: `transformers.SiglipVisionModel` and `SiglipTextModel` (eager, float32).
"""

import keras
from keras import ops

from model.config import TextConfig, TowerConfig, VisionConfig
from model.network.layers import Block, Dense, MAPHead, PatchEmbedding, TokenEmbedding, layer_norm


class ImageTower(keras.layers.Layer):
    """head(norm(blocks(x))): what every image tower does with its embedded patches x, [B, N, D]."""

    def __init__(self, config: TowerConfig, **kwargs):
        super().__init__(**kwargs)
        self.width = config.width
        self.blocks = [Block(config, name=f"block_{i}", dtype=self.dtype_policy) for i in range(config.depth)]
        self.norm = layer_norm(config, name="norm", dtype=self.dtype_policy)
        self.head = MAPHead(config, name="head", dtype=self.dtype_policy)

    def build_layers(self, num_patches: int | None):
        for layer in (*self.blocks, self.norm, self.head):
            layer.build((None, num_patches, self.width))

    def pool(self, x, valid=None):
        """Returns the pooled output, [B, D]; `valid`, [B, N] bool, says which patches are not padding."""
        for block in self.blocks:
            x = block(x, valid)
        return self.head(self.norm(x), valid)


class VisionTower(ImageTower):
    """Images [B, H, W, 3] in [0, 255] to pooled [B, D]; the tower scales the pixels to [-1, 1]."""

    def __init__(self, config: VisionConfig, **kwargs):
        super().__init__(config, **kwargs)
        self.embedding = PatchEmbedding(config, name="embedding", dtype=self.dtype_policy)
        self.image_size = config.image_size

    def build(self, input_shape):
        self.embedding.build(input_shape)
        self.build_layers(self.embedding.num_patches)

    def call(self, images):
        if tuple(images.shape[1:]) != (*self.image_size, 3):
            height, width = self.image_size
            raise ValueError(f"images must be [B, {height}, {width}, 3]. Received: {images.shape}")
        pixels = ops.cast(images, "float32") / 127.5 - 1.0  # a coarser dtype would round the pixels first
        return self.pool(self.embedding(ops.cast(pixels, self.compute_dtype)))  # [B, D]


class TextTower(keras.layers.Layer):
    """Token ids [B, L] to pooled [B, E], the output at the last position, which is always padding or the end token."""

    def __init__(self, config: TextConfig, embed_dim: int, **kwargs):
        super().__init__(**kwargs)
        self.embedding = TokenEmbedding(config, name="embedding", dtype=self.dtype_policy)
        self.blocks = [Block(config, name=f"block_{i}", dtype=self.dtype_policy) for i in range(config.depth)]
        self.norm = layer_norm(config, name="norm", dtype=self.dtype_policy)
        self.head = Dense(embed_dim, name="head", dtype=self.dtype_policy)
        self.context_length, self.sequence_shape = config.context_length, (None, config.context_length, config.width)

    def build(self, input_shape):
        self.embedding.build(input_shape)
        for layer in (*self.blocks, self.norm, self.head):
            layer.build(self.sequence_shape)

    def call(self, token_ids):
        if token_ids.shape[1] != self.context_length:
            raise ValueError(f"token_ids must be [B, {self.context_length}]. Received: {token_ids.shape}")
        x = self.embedding(token_ids)  # [B, L, D]
        *blocks, last = self.blocks
        for block in blocks:
            x = block(x)
        x = last(x, only_last=True)  # [B, 1, D]: the head needs no more; the rest took 7 % of the tower's time
        return self.head(self.norm(x[:, 0]))  # [B, E]
