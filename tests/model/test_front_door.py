"""The public names of the package `model`, used as the documentation shows them."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import model as library
from model import SigLIPProcessor
from model.checkpoint.variants import load_model
from model.published import EMBEDDED


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "cat1.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(path)
    return str(path)


def test_the_documented_example_gives_one_probability_per_text(checkpoint, photo):
    processor = SigLIPProcessor(weights=checkpoint)
    model = load_model(None, checkpoint)
    inputs = processor(text=["mountains", "tortoise", "cat"], image_paths=photo)
    output = model({"images": inputs["images"], "token_ids": inputs["input_ids"]})
    preds = keras.ops.softmax(output["image_logits"]).numpy().squeeze()
    assert preds.shape == (3,)
    assert preds.sum() == pytest.approx(1)


def test_the_embedded_model_runs_with_and_without_explicit_weights(photo):
    processor = library.SigLIPProcessor(*EMBEDDED)
    inputs = processor(text=["cat", "dog"], image_paths=[photo, photo])
    for model in (
        getattr(library, EMBEDDED[0])(),
        getattr(library, EMBEDDED[0])(weights=EMBEDDED[1], input_shape=None),
    ):
        assert model({"images": inputs["images"], "token_ids": inputs["input_ids"]})["image_logits"].shape == (2, 2)


def test_every_public_name_can_be_imported():
    assert [name for name in library.__all__ if getattr(library, name).__name__ != name] == []
    assert EMBEDDED[0] in library.__all__


def test_an_unknown_name_raises_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'SigLIPHugeP14'"):
        _ = library.SigLIPHugeP14


def test_the_numpy_modules_do_not_import_keras():
    modules = "model.zero_shot, model.few_shot, model.config, model.processor"
    code = f"import sys, {modules}; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
