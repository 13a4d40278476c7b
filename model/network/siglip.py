"""The model that joins the image tower and the text tower.

Oracle: `transformers.SiglipModel` (eager, float32); paper: arXiv 2303.15343.
"""

import math

import keras
from keras import ops

from model.config import NaFlexVisionConfig, SigLIPConfig
from model.network.naflex import NaFlexTower
from model.network.towers import ImageTower, TextTower, VisionTower


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
        vision = self.config.vision
        image_tower: type[ImageTower] = NaFlexTower if isinstance(vision, NaFlexVisionConfig) else VisionTower
        self.vision = image_tower(vision, name="vision", dtype=self.tower_dtype)
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
        self.vision.build((None, None, None, 3))
        self.text.build((None, self.config.text.context_length))
        # As in the paper: a temperature of 10, and a bias of -10, because almost all pairs are negatives.
        start = keras.initializers.Constant
        self.logit_scale = self.add_weight(shape=(), initializer=start(math.log(10.0)), name="logit_scale")
        self.logit_bias = self.add_weight(shape=(), initializer=start(-10.0), name="logit_bias")
        self.built = True

    def encode_images(self, images):
        """Returns image embeddings, [B, E] float32, L2-normalised, for images [B, H, W, 3] in [0, 255].

        For a NaFlex, the images are the records, [B, R] uint8, of `model.patches.NaFlexPreprocessor`.
        """
        return l2_normalize(self.vision(images))

    def encode_texts(self, token_ids):
        """Returns text embeddings, [K, E] float32, L2-normalised, for token ids [K, L]."""
        return l2_normalize(self.text(token_ids))

    def call(self, inputs):
        """Returns the logits and embeddings of B images and K texts.

        Args:
            inputs: `{"images": [B, H, W, 3] in [0, 255], "token_ids": [K, L] int32}`; for images see `encode_images`.

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
