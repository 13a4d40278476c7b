"""Checkpoints are read and written completely or not at all."""

import json
import os
import shutil
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from model.checkpoint.tensor_table import IMAGE_POSITIONS, VOCABULARY_TABLE
from model.checkpoint.variants import load_model
from model.checkpoint.weights import (
    ROWS_AT_ONCE,
    check_tensors,
    load_checkpoint,
    model_from_checkpoint,
    save_checkpoint,
)
from model.config import CheckpointError
from model.network.positions import interpolate_positions
from model.network.siglip import SigLIP
from model.preprocess import BICUBIC, BILINEAR
from model.processor import SigLIPProcessor
from model.text.tokenizer import SigLIPTokenizer
from tests.golden.cases import CONFIGS, HERE, TEXTS
from tests.golden.vocabulary import as_tokenizer_json
from tests.model.conftest import SQUARE, small_weights, split_into_shards, write_checkpoint


def values(model: SigLIP) -> list[np.ndarray]:
    return [variable.numpy().copy() for variable in model.weights]


def loaded(directory, config=SQUARE) -> list[np.ndarray]:
    """Returns the variables of a new model after loading the checkpoint."""
    model = SigLIP(config)
    load_checkpoint(model, directory)
    return values(model)


def assert_same(left: list[np.ndarray], right: list[np.ndarray], **tolerance) -> None:
    for one, other in zip(left, right, strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_saved_model_is_equal_when_loaded(name, tmp_path):
    model = SigLIP(CONFIGS[name])
    save_checkpoint(model, tmp_path / "new" / "directory")
    assert_same(loaded(tmp_path / "new" / "directory", CONFIGS[name]), values(model), rtol=0)


def test_check_tensors_needs_no_model_and_returns_their_number(checkpoint, changed_checkpoint):
    weights = small_weights()
    assert check_tensors(checkpoint) == len(weights)
    del weights["logit_bias"]
    with pytest.raises(CheckpointError, match=r"missing: logit_bias \[1\]"):
        check_tensors(changed_checkpoint(weights))


def test_a_saved_directory_has_the_layout_of_a_published_one(checkpoint, tmp_path):
    model = SigLIP(SQUARE)
    load_checkpoint(model, checkpoint)
    save_checkpoint(model, tmp_path, tokenizer=SigLIPProcessor(weights=checkpoint).tokenizer)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in checkpoint.iterdir()}
    written, original = (load_file(directory / "model.safetensors") for directory in (tmp_path, checkpoint))
    assert written.keys() == original.keys()
    assert [name for name in original if not np.array_equal(written[name], original[name])] == []
    with safe_open(tmp_path / "model.safetensors", framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}, "transformers refuses a file without this metadata"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_saved_files_have_the_permissions_of_the_umask(umask, mode, checkpoint, tmp_path):
    before = os.umask(umask)
    try:
        save_checkpoint(SigLIP(SQUARE), tmp_path, tokenizer=SigLIPProcessor(weights=checkpoint).tokenizer)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {mode}


def test_a_saved_siglip_2_keeps_its_tokenizer_and_filter(checkpoint_2, tmp_path):
    model, processor = load_model(None, checkpoint_2), SigLIPProcessor(weights=checkpoint_2)
    save_checkpoint(model, tmp_path / "saved", tokenizer=processor.tokenizer)
    assert {path.name for path in (tmp_path / "saved").iterdir()} == {path.name for path in checkpoint_2.iterdir()}
    again = SigLIPProcessor(weights=tmp_path / "saved")
    assert (again.tokenizer.rules, again.preprocessor.resample) == (processor.tokenizer.rules, BILINEAR)
    save_checkpoint(model, tmp_path / "saved", tokenizer=processor.tokenizer, resample=BICUBIC)
    assert SigLIPProcessor(weights=tmp_path / "saved").preprocessor.resample == BICUBIC


def test_without_a_tokenizer_only_config_and_tensors_are_written(tmp_path):
    save_checkpoint(SigLIP(SQUARE), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}


def test_a_float16_checkpoint_keeps_three_digits(tmp_path):
    model = SigLIP(SQUARE)
    save_checkpoint(model, tmp_path, dtype="float16")
    assert load_file(tmp_path / "model.safetensors")[VOCABULARY_TABLE].dtype == np.float16
    assert_same(loaded(tmp_path), values(model), atol=1e-3, rtol=1e-3)


def test_an_unsupported_dtype_for_saving_is_refused(tmp_path):
    with pytest.raises(ValueError, match="dtype must be float32 or float16"):
        save_checkpoint(SigLIP(SQUARE), tmp_path, dtype="int8")
    assert list(tmp_path.iterdir()) == []


def test_saving_a_model_for_images_that_are_not_square_is_refused(tmp_path):
    with pytest.raises(ValueError, match="square"):
        save_checkpoint(SigLIP(SQUARE.with_image_size(32, 64)), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("dtype", "digits"), [(np.float16, 1e-3), (ml_dtypes.bfloat16, 1e-2)])
def test_float16_and_bfloat16_files_are_read(dtype, digits, changed_checkpoint, checkpoint):
    directory = changed_checkpoint({name: tensor.astype(dtype) for name, tensor in small_weights().items()})
    assert_same(loaded(directory), loaded(checkpoint), rtol=digits, atol=1e-3)


def test_float64_files_are_rounded_and_too_large_numbers_become_infinite(changed_checkpoint, checkpoint):
    weights = {name: tensor.astype(np.float64) for name, tensor in small_weights().items()}
    assert_same(loaded(changed_checkpoint(weights)), loaded(checkpoint), rtol=0)
    for name in (VOCABULARY_TABLE, "text_model.head.bias"):
        weights[name].flat[0] = 1e300
    model = load_model(None, changed_checkpoint(weights))
    assert np.isinf(model.text.head.bias.numpy()[0])
    assert np.isinf(model.text.embedding.tokens.embeddings.numpy()[0, 0])


def test_a_vocabulary_that_is_a_tokenizer_json_is_saved_as_a_sentencepiece_model(checkpoint, tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps(as_tokenizer_json(HERE / "spiece.model")))
    tokenizer = SigLIPTokenizer(tmp_path / "tokenizer.json", 16, 400)
    save_checkpoint(load_model(None, checkpoint), tmp_path / "saved", tokenizer=tokenizer)
    assert {path.name for path in (tmp_path / "saved").iterdir()} == {path.name for path in checkpoint.iterdir()}
    again = SigLIPProcessor(weights=tmp_path / "saved").tokenizer
    assert again(TEXTS).tolist() == tokenizer(TEXTS).tolist()


def test_shards_are_read_like_one_file(checkpoint, tmp_path):
    directory = shutil.copytree(checkpoint, tmp_path / "sharded")
    (_, second) = split_into_shards(directory)
    assert_same(loaded(directory), loaded(checkpoint), rtol=0)
    second.unlink()
    with pytest.raises(CheckpointError, match="does not have model-00002-of-00002"):
        loaded(directory)


def test_a_token_table_that_is_read_in_several_parts_is_complete(tmp_path):
    config = replace(SQUARE, text=replace(SQUARE.text, vocab_size=2 * ROWS_AT_ONCE + 1))
    weights = small_weights(config)
    model = model_from_checkpoint(config, write_checkpoint(tmp_path, config, weights), "float32")
    np.testing.assert_array_equal(model.text.embedding.tokens.embeddings, weights[VOCABULARY_TABLE])


def test_position_id_buffers_of_old_exports_are_ignored(changed_checkpoint, checkpoint):
    positions = {
        "vision_model.embeddings.position_ids": np.arange(16)[None],
        "text_model.embeddings.position_ids": np.arange(16),
    }
    assert_same(loaded(changed_checkpoint(small_weights() | positions)), loaded(checkpoint), rtol=0)


def test_positions_are_interpolated_for_another_image_size(checkpoint):
    model = SigLIP(SQUARE.with_image_size(64, 24))
    load_checkpoint(model, checkpoint)
    expected = interpolate_positions(small_weights()[IMAGE_POSITIONS], (4, 4), (8, 3))
    np.testing.assert_allclose(model.vision.embedding.position, expected, rtol=1e-6)


def test_the_error_lists_the_faults_and_nothing_is_loaded(changed_checkpoint):
    weights = small_weights()
    del weights["text_model.head.bias"], weights["vision_model.head.probe"]
    weights["text_model.head.weight"] = np.zeros((32, 31), np.float32)
    weights[IMAGE_POSITIONS] = np.zeros((17, 32), np.float32)
    weights["logit_scale"] = np.zeros((), np.float32)
    weights["logit_bias"] = np.zeros(1, np.int64)
    weights["vision_model.embeddings.class_embedding"] = np.zeros(32, np.float32)
    model = SigLIP(SQUARE)
    before = values(model)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(model, changed_checkpoint(weights))
    assert sorted(line.strip() for line in str(caught.value).splitlines()[1:]) == [
        "missing: text_model.head.bias [32]",
        "missing: vision_model.head.probe [1, 1, 32]",
        "unexpected: vision_model.embeddings.class_embedding",
        "wrong shape: logit_scale is [], not [1]",
        "wrong shape: text_model.head.weight is [32, 31], not [32, 32]",
        "wrong shape: vision_model.embeddings.position_embedding.weight is [17, 32], not [16, 32]",
        "wrong type: logit_bias is I64, not one of F32, F16, BF16, F64",
    ]
    assert_same(values(model), before, rtol=0)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_model_from_checkpoint_equals_a_model_that_is_loaded_later(dtype, checkpoint):
    later = SigLIP(SQUARE, dtype=dtype)
    load_checkpoint(later, checkpoint)
    model = model_from_checkpoint(SQUARE, checkpoint, dtype)
    for one, other in zip(model.weights, later.weights, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize("table", [None, np.zeros((399, 32), np.float32), np.zeros((400, 32), np.int64)])
def test_a_faulty_token_table_is_listed_with_the_other_faults(table, changed_checkpoint):
    weights = small_weights()
    del weights[VOCABULARY_TABLE], weights["logit_bias"]
    directory = changed_checkpoint(weights if table is None else weights | {VOCABULARY_TABLE: table})
    with pytest.raises(CheckpointError) as caught:
        model_from_checkpoint(SQUARE, directory, "float32")
    faults = str(caught.value).splitlines()[1:]
    assert len(faults) == 2
    assert sum(VOCABULARY_TABLE in fault for fault in faults) == 1


@pytest.mark.parametrize("kept_bytes", [0, 4, 1000, -1])
def test_the_error_names_a_truncated_file_and_nothing_is_loaded(kept_bytes, tmp_path):
    path = write_checkpoint(tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept_bytes])
    model = SigLIP(SQUARE)
    before = values(model)
    with pytest.raises(CheckpointError, match=r"model\.safetensors is not a complete safetensors file"):
        load_checkpoint(model, tmp_path)
    assert_same(values(model), before, rtol=0)


@pytest.mark.parametrize("index", [None, "{", "[]", "{}", '{"weight_map": []}'])
def test_a_directory_without_readable_tensors_is_refused(index, tmp_path):
    if index is not None:
        (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(CheckpointError, match="has neither" if index is None else "is not a safetensors index"):
        load_checkpoint(SigLIP(SQUARE), tmp_path)


def test_a_failed_save_keeps_the_old_checkpoint(checkpoint, tmp_path):
    directory = shutil.copytree(checkpoint, tmp_path / "copy")
    (directory / "model.safetensors.partial").mkdir()  # the tensors cannot be written
    with pytest.raises(Exception, match="directory"):
        save_checkpoint(SigLIP(SQUARE), directory)
    assert_same(loaded(directory), loaded(checkpoint), rtol=0)
