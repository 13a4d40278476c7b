"""The layers of SigLIP; each reads as its equation.

Oracle: `transformers.models.siglip.modeling_siglip`; structure as in big_vision `models/vit.py`.
Letters: B batch, N positions (patches or tokens), M queries, D width, H heads, P patch side, V vocabulary, L tokens.
"""

import keras
from keras import ops

from model.config import TextConfig, TowerConfig, VisionConfig


def gelu(x):
    """Returns 0.5x(1 + tanh(sqrt(2/pi)(x + 0.044715x^3))), as SigLIP does; Keras' default is the exact GELU."""
    return keras.activations.gelu(x, approximate=True)


def layer_norm(config: TowerConfig, **kwargs) -> keras.layers.LayerNormalization:
    """Returns a LayerNorm with SigLIP's epsilon, 1e-6; Keras' default, 1e-3, changes every score."""
    return keras.layers.LayerNormalization(epsilon=config.layer_norm_eps, **kwargs)


class Dense(keras.layers.Layer):
    """x W^T + b, with all rows of [B, N, D] as one matrix.

    W is [out, in], as in the checkpoint. Keras' Dense has [in, out]: its rows would be multiples of a memory page,
    12 KiB in Base's MLP and 4 and 16 KiB everywhere in Large. A CPU reads such a matrix slowly for a single image
    (benchmarks/levers.py).
    """

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.kernel_initializer = keras.initializers.GlorotUniform()

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(self.units, input_shape[-1]), initializer=self.kernel_initializer, name="kernel"
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, x):
        rows = ops.reshape(x, (-1, x.shape[-1]))  # one matrix product; its graph is traced faster
        return ops.reshape(ops.matmul(rows, ops.transpose(self.kernel)) + self.bias, (-1, *x.shape[1:-1], self.units))


class Attention(keras.layers.Layer):
    """softmax(q k^T / sqrt(D/H)) v. Without `valid` over all positions: texts have no mask, not even for padding."""

    def __init__(self, config: TowerConfig, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = config.num_heads
        self.query = Dense(config.width, name="query", dtype=self.dtype_policy)
        self.key = Dense(config.width, name="key", dtype=self.dtype_policy)
        self.value = Dense(config.width, name="value", dtype=self.dtype_policy)
        self.out = Dense(config.width, name="out", dtype=self.dtype_policy)

    def build(self, queries_shape, keys_shape):
        for dense in (self.query, self.key, self.value, self.out):
            dense.build(keys_shape)

    def call(self, queries, keys, valid=None):
        """Returns the attention output, [B, M, D], for queries [B, M, D] and keys [B, N, D].

        `valid`, [B, N] bool, says which keys are attended to; None is all.
        """
        q, k, v = (self.split(x) for x in (self.query(queries), self.key(keys), self.value(keys)))
        mask = None if valid is None else valid[:, None, None]  # [B, 1, 1, N]
        y = ops.dot_product_attention(q, k, v, mask=mask)  # [B, M, H, D/H], softmax in float32
        return self.out(ops.reshape(y, ops.shape(queries)))  # [B, M, D]

    def split(self, x):
        """Returns x split into its heads, [B, N, H, D/H]."""
        return ops.reshape(x, (-1, x.shape[1], self.num_heads, x.shape[2] // self.num_heads))


class MLP(keras.layers.Layer):
    """fc2(gelu(fc1(x)))."""

    def __init__(self, config: TowerConfig, **kwargs):
        super().__init__(**kwargs)
        self.mlp_dim = config.mlp_dim
        self.fc1 = Dense(config.mlp_dim, name="fc1", dtype=self.dtype_policy)
        self.fc2 = Dense(config.width, name="fc2", dtype=self.dtype_policy)

    def build(self, input_shape):
        self.fc1.build(input_shape)
        self.fc2.build((*input_shape[:-1], self.mlp_dim))

    def call(self, x):
        return self.fc2(gelu(self.fc1(x)))


class Block(keras.layers.Layer):
    """One pre-norm transformer block: x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, config: TowerConfig, **kwargs):
        super().__init__(**kwargs)
        self.norm1 = layer_norm(config, name="norm1", dtype=self.dtype_policy)
        self.attention = Attention(config, name="attention", dtype=self.dtype_policy)
        self.norm2 = layer_norm(config, name="norm2", dtype=self.dtype_policy)
        self.mlp = MLP(config, name="mlp", dtype=self.dtype_policy)

    def build(self, input_shape):
        self.norm1.build(input_shape)
        self.attention.build(input_shape, input_shape)
        self.norm2.build(input_shape)
        self.mlp.build(input_shape)

    def call(self, x, valid=None, only_last=False):
        """Returns [B, N, D], or if `only_last` the last position, [B, 1, D], which still attends to all positions."""
        y = self.norm1(x)
        rows = slice(-1, None) if only_last else slice(None)
        x = x[:, rows] + self.attention(y[:, rows], y, valid)
        return x + self.mlp(self.norm2(x))


class PatchEmbedding(keras.layers.Layer):
    """patches @ kernel + position: [B, H, W, 3] pixels in [-1, 1] to [B, N, D]. There is no class token."""

    def __init__(self, config: VisionConfig, **kwargs):
        super().__init__(**kwargs)
        self.num_patches, self.width = config.grid[0] * config.grid[1], config.width
        # "valid" drops the pixels that do not fill a patch, as the reference does at 384 / 14.
        self.patches = keras.layers.Conv2D(
            config.width,
            config.patch_size,
            strides=config.patch_size,
            padding="valid",
            data_format="channels_last",  # a keras.json may have another default
            name="patches",
            dtype=self.dtype_policy,
        )

    def build(self, input_shape):
        self.patches.build(input_shape)
        self.position = self.add_weight(
            shape=(self.num_patches, self.width), initializer=keras.initializers.RandomNormal(0.02), name="position"
        )

    def call(self, pixels):
        x = self.patches(pixels)  # [B, rows, columns, D]
        return ops.reshape(x, (-1, self.num_patches, self.width)) + self.position  # [B, N, D]


class TokenEmbedding(keras.layers.Layer):
    """table[token_ids] + position: [B, L] int32 to [B, L, D]."""

    def __init__(self, config: TextConfig, **kwargs):
        super().__init__(**kwargs)
        self.context_length, self.width = config.context_length, config.width
        self.tokens = keras.layers.Embedding(
            config.vocab_size,
            config.width,
            embeddings_initializer=keras.initializers.RandomNormal(0.02),
            name="tokens",
            dtype=self.dtype_policy,
        )

    def build(self, input_shape):
        self.tokens.build(input_shape)
        self.position = self.add_weight(
            shape=(self.context_length, self.width), initializer=keras.initializers.RandomNormal(0.02), name="position"
        )

    def call(self, token_ids):
        return self.tokens(token_ids) + self.position


class MAPHead(keras.layers.Layer):
    """Multihead attention pooling: a learned probe attends to all valid patches; [B, N, D] to pooled [B, D].

    y = attention(probe, x); y + mlp(norm(y)). The probe itself is neither normalised nor added back.
    """

    def __init__(self, config: TowerConfig, **kwargs):
        super().__init__(**kwargs)
        self.width = config.width
        self.attention = Attention(config, name="attention", dtype=self.dtype_policy)
        self.norm = layer_norm(config, name="norm", dtype=self.dtype_policy)
        self.mlp = MLP(config, name="mlp", dtype=self.dtype_policy)

    def build(self, input_shape):
        self.probe = self.add_weight(
            shape=(1, 1, self.width), initializer=keras.initializers.RandomNormal(0.02), name="probe"
        )
        self.attention.build((*input_shape[:-2], 1, self.width), input_shape)
        self.norm.build(input_shape)
        self.mlp.build(input_shape)

    def call(self, x, valid=None):
        probe = ops.broadcast_to(self.probe, (ops.shape(x)[0], 1, self.width))
        y = self.attention(ops.cast(probe, x.dtype), x, valid)  # [B, 1, D]
        y = y + self.mlp(self.norm(y))
        return y[:, 0]
