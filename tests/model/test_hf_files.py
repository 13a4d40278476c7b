"""The JSON files beside the tensors."""

import json
import re
import shutil

import pytest

from model.config import VARIANTS, CheckpointError, SigLIPConfig
from model.encoder import load_encoder
from model.hf_files import config_json, from_hf, preprocessor_json, read_config, tokenizer_json
from model.processor import SigLIPProcessor
from tests.golden.cases import CONFIGS
from tests.golden.published import PUBLISHED

# config.json of google/siglip-base-patch16-224 as it is published: what equals a default is left out.
BASE_224 = {
    "architectures": ["SiglipModel"],
    "initializer_factor": 1.0,
    "model_type": "siglip",
    "text_config": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "model_type": "siglip_text_model",
        "num_attention_heads": 12,
        "vocab_size": 32000,
    },
    "torch_dtype": "float32",
    "transformers_version": "4.37.0.dev0",
    "vision_config": {"model_type": "siglip_vision_model", "patch_size": 16},
}

EVERY = {
    **CONFIGS,
    **{f"{variant} {name}": w.config for variant, named in VARIANTS.items() for name, w in named.items()},
}


def test_keys_that_config_json_omits_take_the_reference_s_defaults():
    assert from_hf(BASE_224) == VARIANTS["SigLIPBaseP16"]["google_224"].config
    assert from_hf({"model_type": "siglip"}) == SigLIPConfig()
    assert from_hf({"model_type": "siglip", "text_config": None, "vision_config": None}) == SigLIPConfig()


def test_text_vision_and_projection_sizes_are_read_apart():
    config = from_hf(
        {
            "model_type": "siglip",
            "vision_config": {
                "hidden_size": 1536,
                "num_hidden_layers": 40,
                "num_attention_heads": 16,
                "image_size": 256,
            },
            "text_config": {
                "hidden_size": 1152,
                "num_attention_heads": 16,
                "projection_size": 1536,
                "vocab_size": 256000,
            },
        }
    )
    assert (config.vision.width, config.text.width, config.embed_dim) == (1536, 1152, 1536)
    assert (config.vision.depth, config.text.depth) == (40, 12)


def test_no_projection_size_means_the_text_tower_s_width():
    assert from_hf({"model_type": "siglip", "text_config": {"projection_size": None}}).embed_dim == 768


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row.variant}-{row.weights}")
def test_the_published_config_json_means_the_named_architecture(row):
    assert from_hf(row.config_json()) == VARIANTS[row.variant][row.weights].config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "siglip2"}, "model_type must be 'siglip', not 'siglip2'"),
        ({"model_type": None}, "model_type must be 'siglip', not None"),
        ({"vision_config": {"hidden_act": "gelu"}}, "hidden_act must be 'gelu_pytorch_tanh', not 'gelu'"),
        ({"vision_config": {"num_channels": 1}}, "only RGB image towers"),
        ({"vision_config": {"vision_use_head": False}}, "only RGB image towers"),
        ({"vision_config": {"hidden_size": 770}}, "width must be a multiple of num_heads"),
        ({"text_config": {"projection_size": 512}}, "embed_dim must equal vision.width"),
        ({"text_config": {"hidden_size": "768"}}, "config.json: "),
        ({"text_config": {"num_attention_heads": 0}}, "config.json: "),
        ({"vision_config": [1]}, "config.json: "),
    ],
)
def test_another_architecture_is_refused(changes, message):
    with pytest.raises(CheckpointError, match=re.escape(message)):
        from_hf({**BASE_224, **changes})


@pytest.mark.parametrize(
    ("content", "message"), [(None, "has no config.json"), ("{", "is not JSON"), ("[]", "config.json: ")]
)
def test_a_directory_without_a_readable_config_is_named(content, message, tmp_path):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_config(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("name", EVERY)
def test_a_written_config_is_read_back(name):
    assert from_hf(json.loads(json.dumps(config_json(EVERY[name])))) == EVERY[name]


def test_a_config_for_images_that_are_not_square_is_refused():
    with pytest.raises(ValueError, match="Received: 32 x 64"):
        config_json(CONFIGS["square"].with_image_size(32, 64))


def test_the_preprocessor_squashes_bicubically_to_minus_one_and_one():
    written = preprocessor_json((224, 224))
    assert written["size"] == {"height": 224, "width": 224}
    assert written["resample"] == 3
    assert written["image_mean"] == written["image_std"] == [0.5] * 3


def test_the_tokenizer_pads_with_its_end_and_makes_no_mask():
    written = tokenizer_json(16)
    assert (written["pad_token"], written["eos_token"], written["model_max_length"]) == ("</s>", "</s>", 16)
    assert written["model_input_names"] == ["input_ids"]


@pytest.mark.parametrize(("key", "value"), [("resample", 2), ("image_mean", [0.48, 0.46, 0.41]), ("do_resize", False)])
def test_a_checkpoint_that_wants_other_pixels_is_refused_and_not_scored_wrongly(key, value, checkpoint, tmp_path):
    directory = shutil.copytree(checkpoint, tmp_path / "other")
    path = directory / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(CheckpointError, match=f"{key} must be"):
        SigLIPProcessor(weights=directory)
    with pytest.raises(CheckpointError, match=f"{key} must be"):
        load_encoder(weights=str(directory), device="cpu")


def test_a_checkpoint_that_does_not_say_gets_the_usual_pixels(checkpoint, tmp_path):
    directory = shutil.copytree(checkpoint, tmp_path / "other")
    (directory / "preprocessor_config.json").write_text("{}")
    assert SigLIPProcessor(weights=directory).image_size == SigLIPProcessor(weights=checkpoint).image_size
    (directory / "preprocessor_config.json").unlink()
    assert SigLIPProcessor(weights=directory).image_size == SigLIPProcessor(weights=checkpoint).image_size
