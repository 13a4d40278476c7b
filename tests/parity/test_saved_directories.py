"""Fine-tunes saved by other libraries than transformers alone: PyTorch's wrappers, PEFT, open_clip, pickles.

Each loads with the logits of the reference, or the command in its error makes a directory that does.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from torch import nn
from transformers import (
    SiglipConfig,
    SiglipForImageClassification,
    SiglipImageProcessorPil,
    SiglipModel,
    SiglipProcessor,
    SiglipTextModel,
    SiglipTokenizer,
    SiglipVisionModel,
    T5Tokenizer,
)

from model.checkpoint.hf_config import config_json
from model.checkpoint.variants import load_model
from model.config import CheckpointError
from model.engines.load import load_encoder
from model.processor import SigLIPProcessor
from tests.golden.cases import CONFIGS, HERE, pixels, token_ids
from tests.golden.published import PUBLISHED_1
from tests.golden.stages import LOGIT
from tests.open_clip import open_clip_weights, write_open_clip_config
from tests.parity.reference import reference_model, reference_stages

pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),  # used by PEFT
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),  # by torch.compile
]
CONFIG = CONFIGS["square"]
IMAGES, IDS = pixels(CONFIG.vision.image_size, 3), token_ids(CONFIG, 5)
TARGETS = ["q_proj", "v_proj", "out_proj", "fc1"]


class Tuned(nn.Module):
    """A person's own model around a SigLIP."""

    def __init__(self, siglip: SiglipModel):
        super().__init__()
        self.siglip = siglip


@pytest.fixture
def siglip() -> SiglipModel:
    return reference_model(config_json(CONFIG))


def save_processor(directory: Path) -> None:
    tokenizer = SiglipTokenizer(str(HERE / "spiece.model"), model_input_names=["input_ids"])
    pixels_ = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    SiglipProcessor(pixels_, tokenizer).save_pretrained(directory)


def save(directory: Path, state: dict[str, torch.Tensor]) -> Path:
    """Saves tensors, with the config and the processor of the small model."""
    directory.mkdir(parents=True)
    save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, directory / "model.safetensors")
    (directory / "config.json").write_text(json.dumps(config_json(CONFIG)))
    save_processor(directory)
    return directory


def assert_same_logits(directory: Path, reference: SiglipModel) -> None:
    """Asserts that our model of a directory computes the reference's logits."""
    SigLIPProcessor(weights=directory)
    ours = load_model(None, directory)({"images": IMAGES, "token_ids": IDS})["image_logits"]
    np.testing.assert_allclose(ours, reference_stages(reference, IMAGES, IDS)["image_logits"], rtol=0, atol=LOGIT)


def refusal(directory: Path) -> str:
    """Returns the error for a directory."""
    with pytest.raises(CheckpointError) as caught:
        load_encoder(weights=str(directory), device="cpu")
    assert len(str(caught.value).splitlines()) <= 15
    return str(caught.value)


def run_command_in(message: str) -> None:
    """Runs the shell command in an error, with this Python."""
    command = message[message.index("python -c") :].replace("python", sys.executable, 1)
    subprocess.run(command, shell=True, check=True, capture_output=True)  # noqa: S602 (it is for a shell)


def compiled_towers(model: SiglipModel) -> nn.Module:
    model.vision_model, model.text_model = torch.compile(model.vision_model), torch.compile(model.text_model)
    return model


WRAPPERS: dict[str, Callable[[SiglipModel], nn.Module]] = {
    "torch.compile": torch.compile,
    "torch.compile of both towers": compiled_towers,
    "DataParallel": nn.DataParallel,
    "an own class": Tuned,
    "a compiled DataParallel of an own class": lambda model: torch.compile(nn.DataParallel(Tuned(model))),
    "float64": lambda model: model.double(),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_model_saved_from_inside_another_one_has_the_logits_of_the_reference(name, siglip, tmp_path):
    directory = save(tmp_path / "tuned", WRAPPERS[name](siglip).state_dict())
    assert_same_logits(directory, reference_model(config_json(CONFIG)))


@pytest.fixture
def adapted(siglip) -> PeftModel:
    """A model with a LoRA adapter that changes its logits."""
    tuned = get_peft_model(siglip, LoraConfig(r=4, lora_alpha=16, target_modules=TARGETS))
    generator = torch.Generator().manual_seed(0)
    for name, parameter in tuned.named_parameters():
        if "lora_" in name:
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return tuned.eval()


def test_the_command_in_the_error_for_an_adapter_merges_it(adapted, tmp_path):
    base = tmp_path / "base"
    reference_model(config_json(CONFIG), base)
    save_processor(base)
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    adapted.save_pretrained(tmp_path / "it's mine")
    message = refusal(tmp_path / "it's mine")
    assert "is an adapter (LoRA), which is not a whole model" in message
    run_command_in(message)
    plain = reference_stages(reference_model(config_json(CONFIG)), IMAGES, IDS)["image_logits"]
    whole = adapted.merge_and_unload()
    assert np.abs(reference_stages(whole, IMAGES, IDS)["image_logits"] - plain).max() > 1
    assert_same_logits(tmp_path / "it's mine-merged", whole)


def test_a_whole_model_with_an_adapter_is_named_and_loads_after_the_merge(adapted, tmp_path):
    message = refusal(save(tmp_path / "tuned", adapted.state_dict()))
    assert "it has an adapter (LoRA) that is not merged into the weights" in message
    whole = adapted.merge_and_unload()
    whole.save_pretrained(tmp_path / "merged")
    save_processor(tmp_path / "merged")
    assert_same_logits(tmp_path / "merged", whole)


@pytest.mark.parametrize("shards", [1, 2])
def test_the_command_in_the_error_for_a_pickle_converts_it(shards, siglip, tmp_path):
    directory = save(tmp_path / "tuned", {})
    (directory / "model.safetensors").unlink()
    state, names = siglip.state_dict(), list(siglip.state_dict())
    for i in range(shards):
        path = directory / ("pytorch_model.bin" if shards == 1 else f"pytorch_model-0000{i + 1}-of-00002.bin")
        torch.save({name: state[name] for name in names[i::shards]}, path)
    (directory / "training_args.bin").write_bytes(b"not a pickle of tensors")
    message = refusal(directory)
    assert "a pickle, which can run any code when it is opened, so it is never loaded" in message
    run_command_in(message)
    assert_same_logits(directory, siglip)


def test_the_command_converts_a_training_checkpoint_with_a_state_dict(siglip, tmp_path):
    directory = save(tmp_path / "tuned", {})
    (directory / "model.safetensors").unlink()
    state = {f"module.{name}": tensor for name, tensor in siglip.state_dict().items()}
    torch.save({"epoch": 3, "name": "tuned", "state_dict": state}, directory / "epoch_3.pt")
    run_command_in(refusal(directory))
    assert_same_logits(directory, siglip)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (SiglipForImageClassification, "is an image classifier (SiglipForImageClassification)"),
        (SiglipVisionModel, "is only a part of a SigLIP"),
        (SiglipTextModel, "is only a part of a SigLIP"),
    ],
)
def test_other_models_of_transformers_with_a_tower_are_named(kind, message, tmp_path):
    config = SiglipConfig(**config_json(CONFIG))
    part = {SiglipVisionModel: config.vision_config, SiglipTextModel: config.text_config}.get(kind, config)
    kind(part).save_pretrained(tmp_path)
    assert message in refusal(tmp_path)


def test_open_clips_tensors_have_the_logits_of_the_twin_in_transformers(siglip, tmp_path):
    theirs = {name: tensor.numpy() for name, tensor in siglip.state_dict().items()}
    state = {name: torch.from_numpy(np.array(tensor)) for name, tensor in open_clip_weights(theirs).items()}
    assert_same_logits(save(tmp_path / "tuned", state), siglip)


def test_a_full_size_open_clip_directory_has_the_logits_of_the_twin_in_transformers(tmp_path):
    row = next(row for row in PUBLISHED_1 if row[:2] == ("SigLIPBaseP16", "google_224"))
    reference = reference_model(row.config_json())
    theirs = {name: tensor.numpy() for name, tensor in reference.state_dict().items()}
    state = {name: torch.from_numpy(np.array(tensor)) for name, tensor in open_clip_weights(theirs).items()}
    save_file(state, tmp_path / "open_clip_model.safetensors")
    write_open_clip_config(tmp_path)
    (tmp_path / "spiece").mkdir()
    (tmp_path / "spiece/spiece.model").write_bytes((HERE / "spiece.model").read_bytes())
    T5Tokenizer.from_pretrained(tmp_path / "spiece", extra_ids=0, pad_token="</s>").save_pretrained(tmp_path)
    model, processor = load_model("SigLIPBaseP16", tmp_path), SigLIPProcessor(weights=tmp_path)
    ids, images = processor(text=["a photo of a cat", "DOG!", "2"])["input_ids"], pixels((224, 224), 3)
    ours = model({"images": images, "token_ids": ids})["image_logits"]
    np.testing.assert_allclose(ours, reference_stages(reference, images, ids)["image_logits"], rtol=0, atol=LOGIT)
    keras.utils.clear_session()
