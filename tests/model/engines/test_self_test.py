"""The self-test must detect and name each fault. Every encoder here has one."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from model.checkpoint.tensor_table import tensor_table
from model.checkpoint.variants import load_model
from model.engines import self_test
from model.engines.encoder import Encoder
from model.engines.load import load_encoder
from model.engines.self_test import GOLDEN, SelfTestFailed
from model.engines.tensorflow_encoder import TensorFlowEncoder
from model.preprocess import BILINEAR, Preprocessor
from model.published import EMBEDDED
from tests.model.conftest import VOCABULARY, small_weights


@pytest.fixture(scope="module")
def embedded() -> Encoder:
    return load_encoder(device="cpu", max_batch=4)


class FaultyEncoder:
    """The embedded encoder. A subclass adds one fault."""

    def __init__(self, encoder: Encoder):
        self.encoder = encoder

    def __getattr__(self, name):
        return getattr(self.encoder, name)


class OtherFilter(FaultyEncoder):
    @property
    def preprocessor(self):
        return Preprocessor(self.info.image_size, BILINEAR)


class CaseSensitive(FaultyEncoder):
    def prepare_text(self, texts):
        tokenizer = self.processor.tokenizer
        rows = np.full((len(texts), tokenizer.context_length), tokenizer.pad_id, np.int32)
        for row, pieces in zip(rows, tokenizer.vocabulary.encode(texts), strict=True):
            kept = pieces[: len(row) - 1]
            row[: len(kept)] = kept
        return rows


class ReversedRows(FaultyEncoder):
    def encode_images(self, images):
        return self.encoder.encode_images(images)[::-1]


class FirstRowForAll(FaultyEncoder):
    def encode_texts(self, token_ids):
        return np.repeat(self.encoder.encode_texts(token_ids)[:1], len(token_ids), axis=0)


class RowsInfluenceEachOther(FaultyEncoder):
    def encode_texts(self, token_ids):
        rows = self.encoder.encode_texts(token_ids)
        mixed = rows + 0.1 * rows.mean(axis=0)
        return mixed / np.linalg.norm(mixed, axis=-1, keepdims=True)


class Unnormalised(FaultyEncoder):
    def encode_texts(self, token_ids):
        return 2 * self.encoder.encode_texts(token_ids)


class NotANumber(FaultyEncoder):
    def encode_images(self, images):
        return self.encoder.encode_images(images) * np.nan


class ChangesAfterFirstCall(FaultyEncoder):
    calls = 0

    def encode_images(self, images):
        self.calls += 1
        return self.encoder.encode_images(images if self.calls < 2 else 255 - images)


@pytest.mark.parametrize(("dtype", "max_batch"), [("float32", 1), ("float32", 2), ("bfloat16", 4)])
def test_the_embedded_checkpoint_passes(dtype, max_batch):
    load_encoder(device="cpu", dtype=dtype, max_batch=max_batch).self_test()


def test_the_stored_embeddings_are_for_the_embedded_tensors(embedded):
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert embedded.info.sha256 == golden["sha256"], "After a new training, run: python -m training.answers"
    assert golden["texts"] == list(self_test.TEXTS)


@pytest.mark.parametrize("generation", ["checkpoint", "checkpoint_2"])
def test_a_checkpoint_without_stored_embeddings_passes_too(generation, request):
    directory = request.getfixturevalue(generation)
    load_encoder(weights=str(directory), device="cpu", max_batch=3).self_test()


@pytest.mark.parametrize(
    ("faulty", "message"),
    [
        (OtherFilter, "the pixels of the resized test image differ"),
        (CaseSensitive, r"'A PHOTO, of CATS!' gives the token ids \[.*\] instead of \[260, "),
        (ReversedRows, "the embeddings of an image at the end of a batch and alone differ"),
        (FirstRowForAll, "the embeddings of a text at the end of a batch and alone differ"),
        (RowsInfluenceEachOther, "the embeddings of a text at the end of a batch and alone differ"),
        (Unnormalised, "the embedding of a text has length 2 instead of 1"),
        (NotANumber, "NaN or infinity in the embedding of an image"),
        (ChangesAfterFirstCall, "the embeddings of an image at the end of a batch and alone differ"),
    ],
)
def test_a_faulty_encoder_fails(embedded, faulty, message):
    with pytest.raises(SelfTestFailed, match=message):
        self_test.run(faulty(embedded))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "vision_model.encoder.layers.2.self_attn.q_proj.weight",
            np.transpose,
            "the computed and the stored image_embeddings differ",
        ),
        ("text_model.head.weight", np.transpose, "the computed and the stored text_embeddings differ"),
        ("logit_bias", np.zeros_like, "the bias is 0 instead of -6.25"),
        ("logit_scale", np.zeros_like, "the scale is 1 instead of 27.5"),
    ],
)
def test_a_wrong_tensor_fails(embedded, name, change, message):
    model = load_model(*EMBEDDED)
    (variable,) = tensor_table(model)[name].variables
    variable.assign(change(variable.numpy()))
    wrong = TensorFlowEncoder(model, embedded.processor, embedded.info, max_batch=1, compile_xla=False)
    with pytest.raises(SelfTestFailed, match=message):
        wrong.self_test()


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_the_error_names_a_tensor_that_is_not_finite(changed_checkpoint, value):
    name = "text_model.encoder.layers.1.mlp.fc2.bias"
    weights = small_weights()
    weights[name][3] = value
    encoder = load_encoder(weights=str(changed_checkpoint(weights)), device="cpu", max_batch=1)
    with pytest.raises(SelfTestFailed, match=f"NaN or infinity in {name}$"):
        encoder.self_test()


def test_the_stored_embeddings_are_found_by_the_tensors_and_not_by_the_name(embedded, tmp_path):
    renamed = shutil.copytree(GOLDEN.parent, tmp_path / "renamed")
    shutil.copyfile(VOCABULARY, renamed / "spiece.model")
    with pytest.raises(SelfTestFailed, match="gives the token ids"):
        load_encoder(weights=str(renamed), device="cpu", max_batch=1).self_test()
    unknown = OtherFilter(embedded)
    unknown.info = replace(embedded.info, sha256="0" * 64)
    self_test.run(unknown)  # passes: no pixels are stored for this sha256
