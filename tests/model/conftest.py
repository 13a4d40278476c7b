"""Small checkpoints on disk, in the published layout, with the weights that the stored reference had."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from model.config import SigLIPConfig
from model.hf_files import config_json, preprocessor_json, tokenizer_json
from model.siglip import SigLIP
from model.tensor_table import tensor_table
from tests.golden.cases import CONFIGS, HERE, Weights, perturbed

VOCABULARY = HERE / "spiece.model"
SQUARE = CONFIGS["square"]


def small_weights(config: SigLIPConfig = SQUARE) -> Weights:
    """Returns perturbed tensors for every name and shape of the table; the stored reference proves those right."""
    return perturbed({name: slot.shape() for name, slot in tensor_table(SigLIP(config)).items()})


def write_checkpoint(directory: Path, config: SigLIPConfig = SQUARE, weights: Weights | None = None) -> Path:
    """Writes a checkpoint directory as the hub has it, without `save_checkpoint`, and returns it."""
    directory.mkdir(parents=True, exist_ok=True)
    save_file(small_weights(config) if weights is None else weights, directory / "model.safetensors")
    shutil.copyfile(VOCABULARY, directory / "spiece.model")
    files = {
        "config.json": config_json(config),
        "preprocessor_config.json": preprocessor_json(config.vision.image_size),
        "tokenizer_config.json": tokenizer_json(config.text.context_length),
    }
    for name, values in files.items():
        (directory / name).write_text(json.dumps(values))
    return directory


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the config `square`; not to be written to."""
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def changed_checkpoint(tmp_path: Path) -> Callable[[Weights], Path]:
    """Writes a checkpoint with other tensors than the model expects."""
    return lambda weights: write_checkpoint(tmp_path / "changed", weights=weights)
