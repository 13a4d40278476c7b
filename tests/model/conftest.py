"""Small checkpoints on disk in the published layouts, with the weights of the stored reference."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from model.checkpoint.hf_config import config_json, tokenizer_json
from model.checkpoint.hf_image_processor import preprocessor_json, usual_resample
from model.checkpoint.tensor_table import tensor_table
from model.config import SigLIPConfig
from model.network.siglip import SigLIP
from model.text.tokenizer import SIGLIP, SIGLIP_2, TokenizerRules
from tests.golden.cases import CONFIGS, HERE, Weights, perturbed

VOCABULARY = HERE / "spiece.model"
SQUARE = CONFIGS["square"]
SQUARE_2 = replace(SQUARE, text=replace(SQUARE.text, vocab_size=600))


def small_weights(config: SigLIPConfig = SQUARE) -> Weights:
    """Returns a perturbed tensor for every name and shape of the tensor table.

    The tests against the stored reference prove that these names and shapes are right.
    """
    return perturbed({name: slot.shape() for name, slot in tensor_table(SigLIP(config)).items()})


def write_checkpoint(
    directory: Path, config: SigLIPConfig = SQUARE, weights: Weights | None = None, rules: TokenizerRules = SIGLIP
) -> Path:
    """Writes a checkpoint directory as on the hub, without using `save_checkpoint`, and returns its path."""
    directory.mkdir(parents=True, exist_ok=True)
    save_file(small_weights(config) if weights is None else weights, directory / "model.safetensors")
    shutil.copyfile(HERE / rules.files[0], directory / rules.files[0])
    files = {
        "config.json": config_json(config),
        "preprocessor_config.json": preprocessor_json(config.vision, usual_resample(rules)),
        "tokenizer_config.json": tokenizer_json(config.text.context_length, rules),
    }
    for name, values in files.items():
        (directory / name).write_text(json.dumps(values))
    return directory


def split_into_shards(directory: Path, dtype: np.typing.DTypeLike = np.float32) -> list[Path]:
    """Replaces `model.safetensors` with two shards and an index, and returns the paths of the shards."""
    weights = load_file(directory / "model.safetensors")
    names = list(weights)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for path, part in parts.items():
        save_file({name: weights[name].astype(dtype) for name in part}, directory / path)
    index = {"metadata": {}, "weight_map": {name: path for path, part in parts.items() for name in part}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    (directory / "model.safetensors").unlink()
    return [directory / path for path in parts]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the config `square`. Tests must not change it."""
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="session")
def checkpoint_2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SigLIP 2 checkpoint of the same size, with a larger vocabulary. Tests must not change it."""
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint_2"), SQUARE_2, rules=SIGLIP_2)


@pytest.fixture
def changed_checkpoint(tmp_path: Path) -> Callable[[Weights], Path]:
    """Returns a function that writes a checkpoint with the given tensors."""
    return lambda weights: write_checkpoint(tmp_path / "changed", weights=weights)


@pytest.fixture(scope="session")
def engine_cache(tmp_path_factory) -> Path:
    """The cache folder of OpenVINO graphs, shared by all processes of a test session."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "engines"
