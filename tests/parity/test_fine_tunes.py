"""Fine-tunes saved by transformers: in shards, in bfloat16, with the processor files of its current version."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    AutoProcessor,
    GemmaTokenizer,
    SiglipImageProcessorPil,
    SiglipProcessor,
    SiglipTokenizer,
)

from model.checkpoint.hf_config import config_json
from model.checkpoint.variants import load_model
from model.checkpoint.weights import save_checkpoint
from model.config import SigLIPConfig, TextConfig, VisionConfig
from model.engines.load import load_encoder
from model.processor import SigLIPProcessor
from model.text.tokenizer import SIGLIP, SIGLIP_2, SigLIPTokenizer, TokenizerRules, lower
from tests.golden.cases import HERE, photos
from tests.golden.stages import LOGIT
from tests.golden.vocabulary import train_gemma_vocabulary
from tests.parity.reference import HUB_SETTINGS, reference_model

TEXTS = ["a photo of a cat", "DOG!", "snow_leopard", "猫", "", "two  spaces and <b>"]
TOWER = {"width": 32, "depth": 2, "num_heads": 4, "mlp_dim": 64}
LARGE_PIXELS = SigLIPConfig(
    vision=VisionConfig(image_size=(448, 448), patch_size=14, **TOWER),
    text=TextConfig(vocab_size=777, context_length=24, **TOWER),
    embed_dim=32,
)
SMALL = replace(LARGE_PIXELS, vision=replace(LARGE_PIXELS.vision, image_size=(32, 32), patch_size=16))


def fine_tune(directory: Path, config: SigLIPConfig, rules: TokenizerRules, **image_options: object) -> Path:
    """Saves a fine-tune by transformers, with its files and no others, and returns the directory."""
    model = reference_model(config_json(config)).to(torch.bfloat16)
    model.save_pretrained(directory, max_shard_size="50KB")
    if rules is SIGLIP:
        tokenizer = SiglipTokenizer(str(HERE / "spiece.model"), model_input_names=["input_ids"])
    else:
        train_gemma_vocabulary(directory.parent / "tokenizer.model")
        tokenizer = GemmaTokenizer.from_pretrained(directory.parent, model_input_names=["input_ids"], **HUB_SETTINGS)
    side = config.vision.image_size[0]
    pixels = SiglipImageProcessorPil(size={"height": side, "width": side}, **image_options)
    SiglipProcessor(pixels, tokenizer).save_pretrained(directory)
    return directory


def assert_logits_agree(directory: Path, rules: TokenizerRules) -> None:
    """Asserts that our code and transformers compute the same logits from the files of a directory."""
    photo = photos()["noise 480 x 640"]
    processor = SigLIPProcessor(weights=directory)
    inputs = processor(text=TEXTS, images=photo)
    ours = load_model(None, directory)({"images": inputs["images"], "token_ids": inputs["input_ids"]})
    length = processor.tokenizer.context_length
    theirs = AutoProcessor.from_pretrained(directory, use_fast=False)(
        text=[lower(text) for text in TEXTS] if rules is SIGLIP_2 else TEXTS,
        images=photo,
        padding="max_length",
        max_length=length,
        truncation=True,
        return_tensors="pt",
    )
    assert inputs["input_ids"].tolist() == theirs["input_ids"].tolist()
    reference = AutoModel.from_pretrained(directory, dtype="float32")
    logits = reference(input_ids=theirs["input_ids"], pixel_values=theirs["pixel_values"]).logits_per_image
    np.testing.assert_allclose(ours["image_logits"], logits.numpy(), rtol=0, atol=LOGIT)
    encoder = load_encoder(weights=str(directory), device="cpu", max_batch=1)
    image = encoder.encode_images(encoder.preprocessor(photo)[None])
    texts = np.concatenate([encoder.encode_texts(encoder.prepare_text([text])) for text in TEXTS])
    np.testing.assert_allclose(encoder.scale * image @ texts.T + encoder.bias, logits.numpy(), rtol=0, atol=LOGIT)


@pytest.mark.parametrize("resample", [2, 3])
@pytest.mark.parametrize("config", [LARGE_PIXELS, SMALL], ids=["448 px, patch 14", "32 px"])
@pytest.mark.parametrize("rules", [SIGLIP, SIGLIP_2], ids=["SigLIP", "SigLIP 2"])
def test_a_fine_tune_saved_by_transformers_gives_the_same_logits_as_in_transformers(rules, config, resample, tmp_path):
    directory = fine_tune(tmp_path / "tuned", config, rules, resample=resample)
    names = {path.name for path in directory.iterdir()}
    assert {"processor_config.json", "model.safetensors.index.json"} <= names
    assert "preprocessor_config.json" not in names
    assert json.loads((directory / "config.json").read_text())["dtype"] == "bfloat16"
    assert_logits_agree(directory, rules)


@pytest.mark.parametrize("rules", [SIGLIP, SIGLIP_2], ids=["SigLIP", "SigLIP 2"])
def test_a_checkpoint_saved_by_save_checkpoint_gives_the_same_logits_in_transformers(rules, tmp_path):
    source = fine_tune(tmp_path / "tuned", SMALL, rules, resample=2)
    path = train_gemma_vocabulary(tmp_path / "tokenizer.model") if rules is SIGLIP_2 else HERE / "spiece.model"
    tokenizer = SigLIPTokenizer(path, 24, 777, rules)
    save_checkpoint(load_model(None, source), tmp_path / "saved", tokenizer=tokenizer, resample=2)
    assert_logits_agree(tmp_path / "saved", rules)
