"""The image tower of NaFlex: compared with the stored reference, and with its equations in NumPy."""

import keras
import numpy as np
import pytest

from model.checkpoint.variants import load_model
from model.network.naflex import position_weights, split_records
from model.network.siglip import SigLIP
from model.patches import NaFlexPreprocessor
from model.text.tokenizer import SIGLIP_2
from tests.golden.cases import HERE, NAFLEX, NAFLEX_PATCHES, naflex_images, token_ids
from tests.golden.stages import STAGES, compare_stages, our_naflex_stages
from tests.model.conftest import write_checkpoint

RECORDS = np.stack([NaFlexPreprocessor(NAFLEX_PATCHES)(image) for image in naflex_images()])


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> SigLIP:
    return load_model(None, str(write_checkpoint(tmp_path_factory.mktemp("naflex"), NAFLEX, rules=SIGLIP_2)))


def test_every_stage_agrees_with_the_stored_reference(model):
    stored = np.load(HERE / "towers_naflex.npz")
    ours = our_naflex_stages(model, RECORDS, token_ids(NAFLEX, 5))
    assert compare_stages(ours, {stage: stored[stage] for stage in STAGES}).proves_equal


def test_the_embedding_of_an_image_depends_neither_on_its_batch_nor_on_its_padding(model):
    together = np.asarray(model.encode_images(RECORDS))
    for image, embedding in zip(naflex_images(), together, strict=True):
        alone = NaFlexPreprocessor(NAFLEX_PATCHES)(image)[None]
        np.testing.assert_allclose(np.asarray(model.encode_images(alone))[0], embedding, rtol=0, atol=1e-6)
    # The last image, 1 x 1, has the same 6 x 6 patches when 60 are allowed: only the padding is longer.
    grids, longer = np.asarray(split_records(RECORDS, 16)[1]), RECORDS[-1:]
    assert grids[-1].prod() < NAFLEX_PATCHES
    longer = np.pad(longer, ((0, 0), (0, 20 * 768)))
    np.testing.assert_allclose(np.asarray(model.encode_images(longer))[0], together[-1], rtol=0, atol=1e-6)


def test_what_is_in_the_padding_does_not_matter(model):
    noise = RECORDS.copy()
    for record, grid in zip(noise, np.asarray(split_records(RECORDS, 16)[1]), strict=True):
        record[4 + 768 * grid.prod() :] = 255
    np.testing.assert_allclose(model.encode_images(noise), model.encode_images(RECORDS), rtol=0, atol=1e-6)


def test_a_record_of_zeros_has_a_finite_embedding(model):
    embedding = np.asarray(model.encode_images(np.zeros((2, *RECORDS.shape[1:]), np.uint8)))
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=-1), 1, atol=1e-6)


@pytest.mark.parametrize("grid", [(6, 6), (3, 12), (1, 1), (2, 40), (13, 5), (40, 1)])
def test_positions_are_resized_with_the_weights_of_a_triangle_filter(grid):
    rows, columns = (triangle(n, m) for n, m in zip((6, 6), grid, strict=True))
    expected = np.einsum("ri,cj->rcij", rows, columns).reshape(grid[0] * grid[1], 36)
    weights = np.asarray(position_weights(np.array([grid]), 80, (6, 6)))[0]
    np.testing.assert_allclose(weights[: len(expected)], expected, rtol=0, atol=2e-6)
    np.testing.assert_allclose(weights[len(expected) :], np.tile(expected[-1], (80 - len(expected), 1)), atol=2e-6)


def triangle(n: int, m: int) -> np.ndarray:
    """Returns the [m, n] matrix that resamples n values to m: linear, half-pixel centres, antialiased when m < n."""
    matrix = np.zeros((m, n))
    for row in range(m):
        for tap in range(n):
            matrix[row, tap] = max(0, 1 - abs((tap + 0.5) - (row + 0.5) * n / m) / max(n / m, 1))
    return matrix / matrix.sum(axis=1, keepdims=True)


def test_as_many_patches_as_positions_leave_the_positions_unchanged():
    weights = np.asarray(position_weights(np.array([[6, 6]]), 36, (6, 6)))[0]
    np.testing.assert_allclose(weights, np.eye(36), rtol=0, atol=1e-6)


@pytest.mark.parametrize("length", [3, 4, 5, 4 + 767, 4 + 769])
def test_records_of_another_length_are_refused(length, model):
    with pytest.raises(ValueError, match=r"records must be \[B, 4 \+ N \* 768\]"):
        model.encode_images(np.zeros((1, length), np.uint8))


def test_a_keras_file_restores_the_whole_model(model, tmp_path):
    model.save(tmp_path / "naflex.keras")
    loaded = keras.models.load_model(tmp_path / "naflex.keras")
    assert loaded.config == NAFLEX
    np.testing.assert_array_equal(loaded.encode_images(RECORDS), model.encode_images(RECORDS))
