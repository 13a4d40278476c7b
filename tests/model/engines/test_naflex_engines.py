"""NaFlex on every engine: images of different shapes in one batch, each as if it were alone."""

from pathlib import Path

import numpy as np
import pytest

from model.checkpoint.variants import load_model
from model.config import CheckpointError
from model.engines import self_test
from model.engines.encoder import Encoder
from model.engines.load import load_encoder
from model.engines.self_test import TOLERANCE, SelfTestFailed
from model.engines.tensorflow_encoder import TensorFlowEncoder
from model.text.tokenizer import SIGLIP_2
from tests.golden.cases import NAFLEX, NAFLEX_PATCHES, naflex_images
from tests.model.conftest import write_checkpoint

pytestmark = pytest.mark.slow  # compiles or converts a network

ENGINES = [("tensorflow", "float32"), ("tensorflow", "bfloat16"), ("openvino", "float32"), ("openvino", "int8")]


@pytest.fixture(scope="module")
def naflex(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("naflex"), NAFLEX, rules=SIGLIP_2)


@pytest.fixture(scope="module")
def exact(naflex) -> Encoder:
    return load_encoder(weights=str(naflex), device="cpu", max_num_patches=NAFLEX_PATCHES)


def embeddings(encoder: Encoder) -> np.ndarray:
    """Returns the embeddings of `naflex_images`, [B, E], computed in one batch."""
    return encoder.encode_images(np.stack([encoder.preprocessor(image) for image in naflex_images()]))


@pytest.mark.parametrize(("engine", "dtype"), ENGINES)
def test_a_batch_of_different_shapes_gives_the_embeddings_of_each_image_alone(
    engine, dtype, naflex, exact, engine_cache
):
    encoder = load_encoder(
        weights=str(naflex),
        device="cpu",
        engine=engine,
        dtype=dtype,
        engine_cache=engine_cache,
        max_num_patches=NAFLEX_PATCHES,
    )
    encoder.warm_up()
    encoder.self_test()
    assert (encoder.info.max_num_patches, encoder.info.image_size) == (NAFLEX_PATCHES, None)
    together = embeddings(encoder)
    alone = np.concatenate([encoder.encode_images(encoder.preprocessor(image)[None]) for image in naflex_images()])
    assert (together * alone).sum(axis=1).min() >= 1 - TOLERANCE[dtype]
    assert (together * embeddings(exact)).sum(axis=1).min() >= 1 - TOLERANCE[dtype]


def test_xla_fills_a_batch_up_without_changing_its_embeddings(naflex, exact):
    encoder = TensorFlowEncoder(load_model(None, naflex), exact.processor, exact.info, max_batch=8, compile_xla=True)
    encoder.warm_up()
    encoder.self_test()
    np.testing.assert_allclose(embeddings(encoder), embeddings(exact), rtol=0, atol=1e-6)


def test_openvino_keeps_separate_graphs_for_another_number_of_patches(naflex, engine_cache):
    for limit in (None, 10):
        options = {"engine": "openvino", "engine_cache": engine_cache, "max_num_patches": limit}
        encoder = load_encoder(weights=str(naflex), **options)
        encoder.self_test()
        assert encoder.info.max_num_patches == (limit or 256)
        exact = load_encoder(weights=str(naflex), device="cpu", max_num_patches=limit)
        np.testing.assert_allclose(embeddings(encoder), embeddings(exact), rtol=0, atol=1e-6)


def test_the_self_test_detects_an_encoder_that_prepares_all_images_like_the_first(exact):
    class FirstGridForAll:
        def __getattr__(self, name):
            return getattr(exact, name)

        def encode_images(self, records):
            return exact.encode_images(np.concatenate([np.repeat(records[:1, :4], len(records), 0), records[:, 4:]], 1))

    with pytest.raises(SelfTestFailed, match="the embeddings of an image at the end of a batch and alone differ"):
        self_test.run(FirstGridForAll())


def test_a_number_of_patches_for_another_model_is_refused(checkpoint):
    with pytest.raises(CheckpointError, match="this checkpoint has no max_num_patches"):
        load_encoder(weights=str(checkpoint), device="cpu", max_num_patches=64)
