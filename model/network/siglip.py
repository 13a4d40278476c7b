"""The image tower, the text tower, and the model that joins them.

Oracle: `transformers.SiglipModel` (eager, float32); paper: arXiv 2303.15343.
"""

import math

import keras
from keras import ops

from model.config import SigLIPConfig, TextConfig, VisionConfig
from model.network.layers import Block, Dense, MAPHead, PatchEmbedding, TokenEmbedding, layer_norm


class VisionTower(keras.layers.Layer):
    """Images [B, H, W, 3] in [0, 255] to pooled [B, D]; the tower scales the pixels to [-1, 1]."""

    def __init__(self, config: VisionConfig, **kwargs):
        super().__init__(**kwargs)
        self.embedding = PatchEmbedding(config, name="embedding", dtype=self.dtype_policy)
        self.blocks = [Block(config, name=f"block_{i}", dtype=self.dtype_policy) for i in range(config.depth)]
        self.norm = layer_norm(config, name="norm", dtype=self.dtype_policy)
        self.head = MAPHead(config, name="head", dtype=self.dtype_policy)
        self.image_size, self.sequence_shape = config.image_size, (None, math.prod(config.grid), config.width)

    def build(self, input_shape):
        self.embedding.build(input_shape)
        for layer in (*self.blocks, self.norm, self.head):
            layer.build(self.sequence_shape)

    def call(self, images):
        if tuple(images.shape[1:]) != (*self.image_size, 3):
            height, width = self.image_size
            raise ValueError(f"images must be [B, {height}, {width}, 3]. Received: {images.shape}")
        pixels = ops.cast(images, "float32") / 127.5 - 1.0  # a coarser dtype would round the pixels first
        x = self.embedding(ops.cast(pixels, self.compute_dtype))  # [B, N, D]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))  # [B, D]


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


@keras.saving.register_keras_serializable(package="siglip")
class SigLIP(keras.Model):
    """Images and texts to logits: `scale * cos(image, text) + bias`, for every pair.

    It is a `keras.Model`: train it with `fit` and `SigLIPLoss`, and save and load it as `.keras`.

    Args:
        config: The architecture, a `SigLIPConfig` or its `to_dict`.
        dtype: A Keras dtype policy for the towers; normalisation and logits stay in float32.
        token_table: A Keras initializer that returns a checkpoint's token table. If it is given, the kernels start as
            zeros, because the checkpoint fills them next: drawing 878 million random numbers takes twice as long.
    """

    def __init__(self, config: SigLIPConfig | dict, dtype="float32", token_table=None, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.config = config if isinstance(config, SigLIPConfig) else SigLIPConfig.from_dict(config)
        self.tower_dtype = keras.dtype_policies.get(dtype)
        self.vision = VisionTower(self.config.vision, name="vision", dtype=self.tower_dtype)
        self.text = TextTower(self.config.text, self.config.embed_dim, name="text", dtype=self.tower_dtype)
        if token_table is not None:
            for layer in self._flatten_layers(include_self=False):
                if hasattr(layer, "kernel_initializer"):
                    layer.kernel_initializer = keras.initializers.Zeros()
            self.text.embedding.tokens.embeddings_initializer = keras.initializers.get(token_table)
        self.build()

    def build(self, input_shape=None):
        if self.built:  # type: ignore[has-type]  # set by Keras
            return
        self.vision.build((None, *self.config.vision.image_size, 3))
        self.text.build((None, self.config.text.context_length))
        # As in the paper: a temperature of 10, and a bias of -10, because almost all pairs are negatives.
        start = keras.initializers.Constant
        self.logit_scale = self.add_weight(shape=(), initializer=start(math.log(10.0)), name="logit_scale")
        self.logit_bias = self.add_weight(shape=(), initializer=start(-10.0), name="logit_bias")
        self.built = True

    def encode_images(self, images):
        """Returns image embeddings, [B, E] float32, L2-normalised, for images [B, H, W, 3] in [0, 255]."""
        return l2_normalize(self.vision(images))

    def encode_texts(self, token_ids):
        """Returns text embeddings, [K, E] float32, L2-normalised, for token ids [K, L]."""
        return l2_normalize(self.text(token_ids))

    def call(self, inputs):
        """Returns the logits and embeddings of B images and K texts.

        Args:
            inputs: `{"images": [B, H, W, 3] in [0, 255], "token_ids": [K, L] int32}`.

        Returns:
            `{"image_logits": [B, K], "text_logits": [K, B], "image_embedding": [B, E], "text_embedding": [K, E]}`.
        """
        image_embedding = self.encode_images(inputs["images"])
        text_embedding = self.encode_texts(inputs["token_ids"])
        cosines = ops.matmul(image_embedding, ops.transpose(text_embedding))
        logits = ops.exp(self.logit_scale) * cosines + self.logit_bias  # [B, K]
        return {
            "image_logits": logits,
            "text_logits": ops.transpose(logits),
            "image_embedding": image_embedding,
            "text_embedding": text_embedding,
        }

    def get_config(self):
        return {**super().get_config(), "config": self.config.to_dict(), "dtype": self.tower_dtype.name}


def l2_normalize(pooled):
    """Returns pooled / |pooled| in float32: the scale multiplies a cosine's error by about 100 in the logit."""
    pooled = ops.cast(pooled, "float32")
    return pooled / ops.norm(pooled, axis=-1, keepdims=True)
