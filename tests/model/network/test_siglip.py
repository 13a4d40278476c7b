"""The towers and their joint: against the stored reference, and as a Keras model."""

import json

import keras
import numpy as np
import pytest

from model.checkpoint.variants import load_model
from model.network.loss import SigLIPLoss
from model.network.siglip import SigLIP
from tests.golden.cases import CONFIGS, HERE, OTHER_SIZES, pixels, token_ids
from tests.golden.stages import COSINE, LOGIT, STAGES, agreement, our_stages
from tests.model.conftest import SQUARE, write_checkpoint

# Against activations of spread 1: a few hundred roundings in float32. Wrong epsilons, the exact GELU or swapped
# tensors are past 1e-3.
STAGE = 1e-4


@pytest.fixture
def inputs() -> dict[str, np.ndarray]:
    return {"images": pixels(SQUARE.vision.image_size, 3), "token_ids": token_ids(SQUARE, 5)}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_stage_agrees_with_the_stored_reference(name, tmp_path):
    config, stored = CONFIGS[name], np.load(HERE / f"towers_{name}.npz")
    model = load_model(None, str(write_checkpoint(tmp_path, config)))
    theirs = {stage: stored[stage] for stage in STAGES}
    apart = agreement(our_stages(model, pixels(config.vision.image_size, 3), token_ids(config, 5)), theirs)
    assert apart.cosine <= COSINE
    assert apart.logit <= LOGIT
    assert apart.stage <= STAGE
    assert apart.same_ranking
    assert apart.cosine_spread > 1000 * COSINE, "cosines that hardly differ compare nothing"


@pytest.mark.parametrize(("name", "size"), [(name, size) for name in OTHER_SIZES for size in OTHER_SIZES[name]])
def test_another_image_size_agrees_with_the_reference_s_interpolation(name, size, tmp_path):
    config, (height, width) = CONFIGS[name], size
    model = load_model(None, str(write_checkpoint(tmp_path, config)), input_shape=(height, width, 3))
    output = model({"images": pixels(size, 3), "token_ids": token_ids(config, 5)})
    expected = np.load(HERE / f"towers_{name}.npz")[f"image_logits {height} x {width}"]
    np.testing.assert_allclose(output["image_logits"], expected, rtol=0, atol=LOGIT)


def test_the_stored_reference_says_what_it_was_made_with():
    for path in HERE.glob("*.npz"):
        assert json.loads(str(np.load(path)["made_with"]))["transformers"] == "5.23.0"


def test_the_output_has_logits_both_ways_and_unit_embeddings(inputs):
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


def test_a_new_model_starts_where_the_paper_does():
    model = SigLIP(SQUARE)
    assert float(model.logit_scale) == pytest.approx(np.log(10))
    assert float(model.logit_bias) == -10


@pytest.mark.parametrize(
    ("images", "ids", "message"),
    [
        (np.zeros((1, 31, 32, 3), np.uint8), np.ones((1, 16), np.int32), r"images must be \[B, 32, 32, 3\]"),
        (np.zeros((1, 32, 32, 3), np.uint8), np.ones((1, 15), np.int32), r"token_ids must be \[B, 16\]"),
    ],
)
def test_a_wrong_shape_is_refused_with_the_right_one(images, ids, message):
    with pytest.raises(ValueError, match=message):
        SigLIP(SQUARE)({"images": images, "token_ids": ids})


@pytest.mark.slow
def test_fit_with_the_pairwise_loss_learns_pairs():
    keras.utils.set_random_seed(0)
    model = SigLIP(SQUARE)
    pairs = {"images": pixels(SQUARE.vision.image_size, 8), "token_ids": token_ids(SQUARE, 8)}
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss={"image_logits": SigLIPLoss()})
    history = model.fit(pairs, {"image_logits": np.arange(8)}, batch_size=8, epochs=12, shuffle=False, verbose=0)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]


def test_a_keras_file_holds_the_whole_model(checkpoint, inputs, tmp_path):
    model = load_model(None, str(checkpoint))
    model.save(tmp_path / "siglip.keras")
    loaded = keras.models.load_model(tmp_path / "siglip.keras")
    assert loaded.config == model.config
    np.testing.assert_array_equal(loaded(inputs)["image_logits"], model(inputs)["image_logits"])


def test_towers_in_bfloat16_keep_logits_in_float32_and_close(checkpoint, inputs):
    exact = load_model(None, str(checkpoint))(inputs)["image_logits"]
    model = load_model(None, str(checkpoint), dtype="bfloat16")
    logits = np.asarray(model(inputs)["image_logits"])
    assert model.vision.blocks[0].mlp.fc1.kernel.dtype == "bfloat16"
    assert logits.dtype == np.float32
    # A cosine in bfloat16 is right to about 0.005 here, and the scale of 118 makes that half a logit.
    np.testing.assert_allclose(logits, exact, atol=1.5)


def test_a_model_for_a_checkpoint_starts_from_its_token_table_and_without_random_numbers():
    model = SigLIP(SQUARE, token_table="ones")
    assert np.all(model.text.embedding.tokens.embeddings.numpy() == 1)
    assert not np.any(model.vision.blocks[1].mlp.fc2.kernel)
    assert np.any(SigLIP(SQUARE).vision.blocks[1].mlp.fc2.kernel)
