"""The whole model: compared with the stored reference, and used as a Keras model."""

import json

import keras
import numpy as np
import pytest

from model.checkpoint.variants import load_model
from model.network.loss import SigLIPLoss
from model.network.siglip import SigLIP
from tests.golden.cases import CONFIGS, HERE, OTHER_SIZES, pixels, token_ids
from tests.golden.stages import COSINE, LOGIT, STAGES, compare_stages, our_stages
from tests.model.conftest import SQUARE, write_checkpoint

# For activations with a standard deviation of 1: the error of a few hundred float32 roundings. A wrong epsilon, the
# exact GELU or swapped tensors give more than 1e-3.
STAGE = 1e-4


@pytest.fixture
def inputs() -> dict[str, np.ndarray]:
    return {"images": pixels(SQUARE.vision.image_size, 3), "token_ids": token_ids(SQUARE, 5)}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_stage_agrees_with_the_stored_reference(name, tmp_path):
    config, stored = CONFIGS[name], np.load(HERE / f"towers_{name}.npz")
    model = load_model(None, str(write_checkpoint(tmp_path, config)))
    expected = {stage: stored[stage] for stage in STAGES}
    difference = compare_stages(our_stages(model, pixels(config.vision.image_size, 3), token_ids(config, 5)), expected)
    assert difference.cosine <= COSINE
    assert difference.logit <= LOGIT
    assert difference.stage <= STAGE
    assert difference.same_ranking
    assert difference.cosine_spread > 1000 * COSINE, "cosines that are almost equal prove nothing"


@pytest.mark.parametrize(("name", "size"), [(name, size) for name in OTHER_SIZES for size in OTHER_SIZES[name]])
def test_another_image_size_agrees_with_interpolation_in_the_reference(name, size, tmp_path):
    config, (height, width) = CONFIGS[name], size
    model = load_model(None, str(write_checkpoint(tmp_path, config)), input_shape=(height, width, 3))
    output = model({"images": pixels(size, 3), "token_ids": token_ids(config, 5)})
    expected = np.load(HERE / f"towers_{name}.npz")[f"image_logits {height} x {width}"]
    np.testing.assert_allclose(output["image_logits"], expected, rtol=0, atol=LOGIT)


def test_the_stored_reference_records_its_transformers_version():
    for path in HERE.glob("*.npz"):
        assert json.loads(str(np.load(path)["made_with"]))["transformers"] == "5.24.0"


def test_the_output_has_image_and_text_logits_and_normalised_embeddings(inputs):
    output = {name: np.asarray(value) for name, value in SigLIP(SQUARE)(inputs).items()}
    assert {name: value.shape for name, value in output.items()} == {
        "image_logits": (3, 5),
        "text_logits": (5, 3),
        "image_embedding": (3, 32),
        "text_embedding": (5, 32),
    }
    np.testing.assert_array_equal(output["text_logits"], output["image_logits"].T)
    for name in ("image_embedding", "text_embedding"):
        np.testing.assert_allclose(np.linalg.norm(output[name], axis=-1), 1, atol=1e-6)


def test_a_new_model_has_the_initial_scale_and_bias_of_the_paper():
    model = SigLIP(SQUARE)
    assert float(model.logit_scale) == pytest.approx(np.log(10))
    assert float(model.logit_bias) == -10


@pytest.mark.slow
def test_fit_with_the_pairwise_loss_reduces_the_loss():
    keras.utils.set_random_seed(0)
    model = SigLIP(SQUARE)
    pairs = {"images": pixels(SQUARE.vision.image_size, 8), "token_ids": token_ids(SQUARE, 8)}
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss={"image_logits": SigLIPLoss()})
    history = model.fit(pairs, {"image_logits": np.arange(8)}, batch_size=8, epochs=12, shuffle=False, verbose=0)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]


def test_a_keras_file_restores_the_whole_model(checkpoint, inputs, tmp_path):
    model = load_model(None, str(checkpoint))
    model.save(tmp_path / "siglip.keras")
    loaded = keras.models.load_model(tmp_path / "siglip.keras")
    assert loaded.config == model.config
    np.testing.assert_array_equal(loaded(inputs)["image_logits"], model(inputs)["image_logits"])


def test_bfloat16_towers_give_float32_logits_close_to_the_exact_ones(checkpoint, inputs):
    exact = load_model(None, str(checkpoint))(inputs)["image_logits"]
    model = load_model(None, str(checkpoint), dtype="bfloat16")
    logits = np.asarray(model(inputs)["image_logits"])
    assert model.vision.blocks[0].mlp.fc1.kernel.dtype == "bfloat16"
    assert logits.dtype == np.float32
    # In bfloat16 a cosine is accurate to about 0.005 here; times the scale of 118 this is half a logit.
    np.testing.assert_allclose(logits, exact, atol=1.5)


def test_with_a_token_table_a_new_model_has_no_random_values():
    model = SigLIP(SQUARE, token_table="ones")
    assert np.all(model.text.embedding.tokens.embeddings.numpy() == 1)
    assert not np.any(model.vision.blocks[1].mlp.fc2.kernel)
    assert np.any(SigLIP(SQUARE).vision.blocks[1].mlp.fc2.kernel)
