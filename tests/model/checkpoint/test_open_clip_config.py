"""open_clip_config.json: the architecture and the image settings."""

import json
import re
import shutil

import pytest

from model.checkpoint.hf_config import read_config
from model.checkpoint.hf_image_processor import read_preprocessor
from model.checkpoint.open_clip_config import open_clip_image_settings, open_clip_model
from model.config import CheckpointError
from model.preprocess import BICUBIC, BILINEAR, Preprocessor
from model.published import VARIANTS
from model.text.tokenizer import SIGLIP, SIGLIP_2
from tests.open_clip import open_clip_config, write_open_clip_config

SO400M = {"width": 1152, "heads": 16, "layers": 27, "mlp_ratio": 3.7362}
SHORT, GEMMA = SO400M | {"context_length": 16}, SO400M | {"vocab_size": 256_000}
LARGE = {"width": 1024, "heads": 16, "layers": 24}


def config_of(timm_name: str, image_size: int, embed_dim: int, **text: object) -> dict:
    values = open_clip_config(**text)
    values["model_cfg"]["vision_cfg"] |= {"timm_model_name": timm_name, "image_size": image_size}
    values["model_cfg"]["embed_dim"] = embed_dim
    return values


# Rows of open_clip's model_configs, at 3.3.0.
@pytest.mark.parametrize(
    ("variant", "weights", "row", "text"),
    [
        ("SigLIPBaseP16", "google_224", ("vit_base_patch16_siglip_224", 224, 768), {}),
        ("SigLIPLargeP16", "google_384", ("vit_large_patch16_siglip_384", 384, 1024), LARGE),
        ("SigLIPSo400mP14", "google_224", ("vit_so400m_patch14_siglip_224", 224, 1152), SHORT),
        ("SigLIPSo400mP14", "google_384", ("vit_so400m_patch14_siglip_384", 384, 1152), SO400M),
        ("SigLIP2BaseP32", "google_256", ("vit_base_patch32_siglip_256", 256, 768), {"vocab_size": 256_000}),
        ("SigLIP2GiantOptP16", "google_256", ("vit_giantopt_patch16_siglip_256", 256, 1536), GEMMA),
    ],
)  # fmt: skip
def test_open_clips_config_gives_the_config_of_the_published_variant(variant, weights, row, text):
    assert open_clip_model(config_of(*row, **text), "x") == VARIANTS[variant][weights].config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "x is not the config of an open_clip SigLIP: KeyError('model_cfg')"),
        ({"model_cfg": []}, "x is not the config of an open_clip SigLIP"),
        (config_of("vit_base_patch16_siglip_gap_224", 224, 768), "it is an open_clip model, but not a SigLIP"),
        ({"model_cfg": {"vision_cfg": {"layers": 12}, "text_cfg": {}}}, "timm_model_name must be like vit_base"),
        (open_clip_config(no_causal_mask=False), "text_cfg's no_causal_mask must be True, not False"),
        (open_clip_config(pool_type="argmax"), "text_cfg's pool_type must be 'last', not 'argmax'"),
        (open_clip_config(proj_bias=False), "text_cfg's proj_bias must be True, not False"),
        (open_clip_config(heads=7), "width must be a multiple of num_heads"),
    ],
)
def test_another_architecture_is_refused(values, message):
    with pytest.raises(CheckpointError, match=re.escape(message)):
        open_clip_model(values, "x")


def test_config_json_is_preferred(checkpoint, tmp_path):
    write_open_clip_config(tmp_path)
    assert read_config(tmp_path) == VARIANTS["SigLIPBaseP16"]["google_224"].config
    shutil.copyfile(checkpoint / "config.json", tmp_path / "config.json")
    assert read_config(tmp_path) == read_config(checkpoint)


@pytest.mark.parametrize(
    ("changes", "resample"),
    [({}, BICUBIC), ({"interpolation": "bilinear"}, BILINEAR), ({"interpolation": None}, BICUBIC)],
)
def test_the_filter_of_open_clips_image_settings_is_used(changes, resample, tmp_path):
    values = open_clip_config()
    values["preprocess_cfg"] = {k: v for k, v in (values["preprocess_cfg"] | changes).items() if v is not None}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(values))
    vision = read_config(tmp_path).vision
    assert read_preprocessor(tmp_path, vision, SIGLIP_2) == Preprocessor((224, 224), resample)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": [0.48, 0.46, 0.41]}, "image_mean must be"),
        ({"interpolation": "random"}, "resample must be one of"),
        ({"resize_mode": "shortest"}, "resize_mode must be 'squash', not 'shortest'"),
    ],
)
def test_other_image_settings_are_refused(changes, message, tmp_path):
    values = open_clip_config()
    values["preprocess_cfg"] |= changes
    (tmp_path / "open_clip_config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=message):
        read_preprocessor(tmp_path, read_config(tmp_path).vision, SIGLIP)


def test_without_image_settings_the_filter_is_open_clips_default():
    assert open_clip_image_settings({}, "x")["resample"] == BICUBIC
