"""Each layer, compared with its equation in NumPy."""

import math

import numpy as np
import pytest

from model.config import TextConfig, TowerConfig, VisionConfig
from model.network import layers

TOWER = TowerConfig(width=12, depth=1, num_heads=3, mlp_dim=20)
RNG = np.random.default_rng(0)


def perturb(layer):
    """Sets every variable, also biases and norms, to random values away from the initial ones."""
    for variable in layer.weights:
        variable.assign(RNG.normal(0.2, 0.5, variable.shape))
    return layer


def gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def dense(layer, x):
    return x @ np.asarray(layer.kernel).T + np.asarray(layer.bias)


def attend(layer, queries, keys):
    heads = [
        np.split(dense(part, x), layer.num_heads, axis=-1)
        for part, x in ((layer.query, queries), (layer.key, keys), (layer.value, keys))
    ]
    outputs = []
    for q, k, v in zip(*heads, strict=True):
        weights = np.exp(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]))
        outputs.append(weights / weights.sum(-1, keepdims=True) @ v)
    return dense(layer.out, np.concatenate(outputs, axis=-1))


def normalize(layer, x):
    y = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return y * np.asarray(layer.gamma) + np.asarray(layer.beta)


@pytest.fixture
def x():
    return RNG.normal(0, 1, (2, 5, 12)).astype(np.float32)


def test_gelu_is_the_tanh_approximation():
    values = np.linspace(-5, 5, 41, dtype=np.float32)
    np.testing.assert_allclose(layers.gelu(values), gelu(values), atol=1e-6)
    exact = np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in values])
    assert np.abs(exact - layers.gelu(values)).max() > 4e-4, "the test must be able to detect the exact form"


def test_layer_norm_uses_the_epsilon_of_the_reference(x):
    norm = layers.layer_norm(TOWER)
    norm.build(x.shape)
    np.testing.assert_allclose(perturb(norm)(x * 1e-3), normalize(norm, np.float64(x) * 1e-3), atol=1e-4)


def test_attention_is_the_softmax_of_scaled_dot_products_over_all_positions(x):
    attention = layers.Attention(TOWER)
    attention(x[:, :2], x)
    perturb(attention)
    np.testing.assert_allclose(attention(x[:, :2], x), attend(attention, x[:, :2], x), atol=1e-4)


def test_a_block_is_two_residual_steps_with_a_norm_before_each(x):
    block = layers.Block(TOWER)
    block(x)
    perturb(block)
    y = normalize(block.norm1, x)
    expected = x + attend(block.attention, y, y)
    y = normalize(block.norm2, expected)
    expected = expected + dense(block.mlp.fc2, gelu(dense(block.mlp.fc1, y)))
    np.testing.assert_allclose(block(x), expected, atol=1e-3)


def test_patches_are_ordered_row_by_row_and_incomplete_patches_are_dropped():
    embedding = layers.PatchEmbedding(VisionConfig(width=12, num_heads=3, image_size=(9, 13), patch_size=4))
    pixels = RNG.normal(0, 1, (2, 9, 13, 3)).astype(np.float32)
    embedding(pixels)
    perturb(embedding)
    patches = [pixels[:, r : r + 4, c : c + 4].reshape(2, -1) for r in (0, 4) for c in (0, 4, 8)]
    kernel = np.asarray(embedding.patches.kernel).reshape(-1, 12)
    expected = np.stack(patches, 1) @ kernel + np.asarray(embedding.patches.bias) + np.asarray(embedding.position)
    np.testing.assert_allclose(embedding(pixels), expected, atol=1e-4)


def test_a_token_embedding_is_table_row_plus_position_without_a_mask():
    embedding = layers.TokenEmbedding(TextConfig(width=12, num_heads=3, vocab_size=7, context_length=3))
    embedding.build((None, 3))
    ids = np.array([[0, 6, 1]], np.int32)
    output = embedding(ids)
    expected = np.asarray(embedding.tokens.embeddings)[ids] + np.asarray(embedding.position)
    np.testing.assert_allclose(output, expected, atol=1e-6)
    assert getattr(output, "_keras_mask", None) is None


def test_the_pooling_head_does_not_normalise_or_add_its_probe(x):
    head = layers.MAPHead(VisionConfig(width=12, num_heads=3, mlp_dim=20))
    head(x)
    perturb(head)
    y = attend(head.attention, np.tile(np.asarray(head.probe), (2, 1, 1)), x)
    expected = y + dense(head.mlp.fc2, gelu(dense(head.mlp.fc1, normalize(head.norm, y))))
    np.testing.assert_allclose(head(x), expected[:, 0], atol=1e-3)
