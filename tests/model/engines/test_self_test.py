"""An encoder with one wrong part each: every one is caught, and named."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from model.checkpoint.tensor_table import tensor_table
from model.checkpoint.variants import load_model
from model.engines import self_test
from model.engines.encoder import Encoder
from model.engines.load import load_encoder
from model.engines.self_test import GOLDEN, SelfTestFailed
from model.engines.tensorflow_encoder import TensorFlowEncoder
from model.published import EMBEDDED
from tests.model.conftest import VOCABULARY, small_weights


@pytest.fixture(scope="module")
def embedded() -> Encoder:
    return load_encoder(device="cpu", max_batch=4)


class Wrong:
    """The embedded encoder, except for what a subclass does in another way."""

    def __init__(self, encoder: Encoder):
        self.encoder = encoder

    def __getattr__(self, name):
        return getattr(self.encoder, name)


class OtherFilter(Wrong):
    def prepare_image(self, rgb):
        height, width = self.info.image_size
        return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BILINEAR))


class CaseSensitive(Wrong):
    def prepare_text(self, texts):
        tokenizer = self.processor.tokenizer
        rows = np.full((len(texts), tokenizer.context_length), tokenizer.pad_id, np.int32)
        for row, pieces in zip(rows, tokenizer.vocabulary.encode(texts), strict=True):
            kept = pieces[: len(row) - 1]
            row[: len(kept)] = kept
        return rows


class MixedRows(Wrong):
    def encode_images(self, images):
        return self.encoder.encode_images(images)[::-1]


class FirstRowForAll(Wrong):
    def encode_texts(self, token_ids):
        return np.repeat(self.encoder.encode_texts(token_ids)[:1], len(token_ids), axis=0)


class Neighbourly(Wrong):
    def encode_texts(self, token_ids):
        rows = self.encoder.encode_texts(token_ids)
        mixed = rows + 0.1 * rows.mean(axis=0)
        return mixed / np.linalg.norm(mixed, axis=-1, keepdims=True)


class Unnormalised(Wrong):
    def encode_texts(self, token_ids):
        return 2 * self.encoder.encode_texts(token_ids)


class NotANumber(Wrong):
    def encode_images(self, images):
        return self.encoder.encode_images(images) * np.nan


class Unsteady(Wrong):
    calls = 0

    def encode_images(self, images):
        self.calls += 1
        return self.encoder.encode_images(images if self.calls < 2 else 255 - images)


@pytest.mark.parametrize(("dtype", "max_batch"), [("float32", 1), ("float32", 2), ("bfloat16", 4)])
def test_the_embedded_checkpoint_passes(dtype, max_batch):
    load_encoder(device="cpu", dtype=dtype, max_batch=max_batch).self_test()


def test_the_stored_answers_are_those_of_the_embedded_tensors(embedded):
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert embedded.info.sha256 == golden["sha256"], "trained anew? python -m training.answers"
    assert golden["texts"] == list(self_test.TEXTS)


@pytest.mark.parametrize("generation", ["checkpoint", "checkpoint_2"])
def test_a_checkpoint_without_stored_answers_is_tested_too(generation, request):
    directory = request.getfixturevalue(generation)
    load_encoder(weights=str(directory), device="cpu", max_batch=3).self_test()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (OtherFilter, "images are resized to other pixels"),
        (CaseSensitive, r"'A PHOTO, of CATS!' gives the tokens \[.*\], and not \[260, "),
        (MixedRows, "an image at the end of a batch, beside itself alone, is embedded as something else"),
        (FirstRowForAll, "a text at the end of a batch, beside itself alone, is embedded as something else"),
        (Neighbourly, "a text at the end of a batch, beside itself alone, is embedded as something else"),
        (Unnormalised, "the embedding of a text has the length 2, and not 1"),
        (NotANumber, "the embedding of an image is not finite"),
        (Unsteady, "an image at the end of a batch, beside itself alone, is embedded as something else"),
    ],
)
def test_wrong_behaviour_is_caught(embedded, kind, message):
    with pytest.raises(SelfTestFailed, match=message):
        self_test.run(kind(embedded))


@pytest.mark.parametrize(
    ("name", "spoilt", "message"),
    [
        (
            "vision_model.encoder.layers.2.self_attn.q_proj.weight",
            np.transpose,
            "a row of the stored image_embeddings is embedded as something else",
        ),
        ("text_model.head.weight", np.transpose, "a row of the stored text_embeddings is embedded as something else"),
        ("logit_bias", np.zeros_like, "the bias is 0, and not -6.25"),
        ("logit_scale", np.zeros_like, "the scale is 1, and not 27.5"),
    ],
)
def test_a_tensor_that_was_read_wrongly_is_caught(embedded, name, spoilt, message):
    model = load_model(*EMBEDDED)
    (variable,) = tensor_table(model)[name].variables
    variable.assign(spoilt(variable.numpy()))
    wrong = TensorFlowEncoder(model, embedded.processor, embedded.info, max_batch=1, compile_xla=False)
    with pytest.raises(SelfTestFailed, match=message):
        wrong.self_test()


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_a_number_that_is_not_finite_is_caught_with_the_name_of_its_tensor(changed_checkpoint, value):
    name = "text_model.encoder.layers.1.mlp.fc2.bias"
    weights = small_weights()
    weights[name][3] = value
    encoder = load_encoder(weights=str(changed_checkpoint(weights)), device="cpu", max_batch=1)
    with pytest.raises(SelfTestFailed, match=f"not all numbers are finite in {name}$"):
        encoder.self_test()


def test_the_checkpoint_is_known_by_its_tensors_and_not_by_its_name(embedded, tmp_path):
    renamed = shutil.copytree(GOLDEN.parent, tmp_path / "renamed")
    shutil.copyfile(VOCABULARY, renamed / "spiece.model")
    with pytest.raises(SelfTestFailed, match="gives the tokens"):
        load_encoder(weights=str(renamed), device="cpu", max_batch=1).self_test()
    unknown = OtherFilter(embedded)
    unknown.info = replace(embedded.info, sha256="0" * 64)
    self_test.run(unknown)  # nobody knows what its pixels should be
