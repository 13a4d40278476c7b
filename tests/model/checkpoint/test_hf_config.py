"""config.json and tokenizer_config.json of a checkpoint."""

import json
import re
import shutil
from dataclasses import replace

import pytest

from model.checkpoint.hf_config import config_json, from_hf, read_config, read_tokenizer_rules, tokenizer_json
from model.checkpoint.hf_image_processor import preprocessor_json, read_preprocessor
from model.config import CheckpointError, SigLIPConfig, VisionConfig
from model.preprocess import BILINEAR, Preprocessor
from model.processor import SigLIPProcessor
from model.published import VARIANTS
from model.text.tokenizer import SIGLIP, SIGLIP_2
from tests.golden.cases import CONFIGS, HERE, NAFLEX
from tests.golden.published import PUBLISHED
from tests.golden.vocabulary import as_tokenizer_json

# config.json of google/siglip-base-patch16-224 as published: it omits keys whose value is the default.
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
    "naflex": NAFLEX,
    **{f"{variant} {name}": w.config for variant, named in VARIANTS.items() for name, w in named.items()},
}


def test_keys_that_config_json_omits_have_the_defaults_of_the_reference():
    assert from_hf(BASE_224) == VARIANTS["SigLIPBaseP16"]["google_224"].config
    assert from_hf({"model_type": "siglip"}) == SigLIPConfig()
    assert from_hf({"model_type": "siglip", "text_config": None, "vision_config": None}) == SigLIPConfig()


def test_patch_size_may_be_height_and_width_as_in_transformers_5():
    assert from_hf({"model_type": "siglip", "vision_config": {"patch_size": [16, 16]}}) == SigLIPConfig()


def test_a_unigram_tokenizer_json_without_a_class_is_that_of_the_first_generation(tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps(as_tokenizer_json(HERE / "spiece.model")))
    for tokenizer_class in ("TokenizersBackend", "PreTrainedTokenizerFast", None):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": tokenizer_class}))
        assert read_tokenizer_rules(tmp_path) == SIGLIP
    (tmp_path / "tokenizer.json").write_bytes((HERE / "tokenizer.json").read_bytes())
    assert read_tokenizer_rules(tmp_path) == SIGLIP_2


def test_image_size_may_be_height_and_width_as_in_transformers_5():
    config = from_hf({"model_type": "siglip", "vision_config": {"image_size": [224, 256]}})
    assert config == SigLIPConfig().with_image_size(224, 256)


def test_text_vision_and_projection_sizes_are_read_separately():
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


def test_without_projection_size_the_width_of_the_text_tower_is_used():
    assert from_hf({"model_type": "siglip", "text_config": {"projection_size": None}}).embed_dim == 768


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row.variant}-{row.weights}")
def test_a_published_config_json_gives_the_config_of_its_name(row):
    assert from_hf(row.config_json()) == VARIANTS[row.variant][row.weights].config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "siglip2", "vision_config": {"num_patches": 250}}, "num_patches must be a square number"),
        ({"model_type": "clip"}, "config.json: the checkpoint is a CLIP, which is another architecture"),
        ({"model_type": "bert"}, "model_type must be 'siglip' or 'siglip2', not 'bert'"),
        ({"architectures": ["SiglipForImageClassification"]}, "the checkpoint is an image classifier"),
        ({"vision_config": {"patch_size": [16, 14]}}, "patches must be square. Received: [16, 14]"),
        ({"model_type": None}, "model_type must be 'siglip' or 'siglip2', not None"),
        ({"vision_config": {"hidden_act": "gelu"}}, "hidden_act must be 'gelu_pytorch_tanh', not 'gelu'"),
        ({"vision_config": {"num_channels": 1}}, "only RGB image towers"),
        ({"vision_config": {"vision_use_head": False}}, "only RGB image towers"),
        ({"vision_config": {"hidden_size": 770}}, "width must be a multiple of num_heads"),
        ({"text_config": {"projection_size": 512}}, "embed_dim must equal vision.width"),
        ({"text_config": {"hidden_size": "768"}}, "config.json: "),
        ({"text_config": {"num_attention_heads": 0}}, "config.json: "),
        ({"vision_config": [1]}, "config.json: "),
        ({"vision_config": {"num_hidden_layers": "6"}}, "depth must be a whole number of at least 1. Received: '6'"),
        ({"vision_config": {"image_size": None}}, "image_size must be a whole number of at least 1"),
        ({"vision_config": {"patch_size": 0}}, "patch_size must be a whole number of at least 1. Received: 0"),
        ({"model_type": "siglip2", "vision_config": {"num_patches": 0}}, "grid must be a whole number of at least 1"),
        ({"model_type": "siglip2", "vision_config": {"patch_size": [16, 14]}}, "patches must be square"),
    ],
)
def test_an_unsupported_architecture_is_refused(changes, message):
    with pytest.raises(CheckpointError, match=re.escape(message)):
        from_hf({**BASE_224, **changes})


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "has no config.json"), ("{", "is not JSON"), ("[]", "config.json is not a JSON object")],
)
def test_the_error_names_the_directory_without_a_readable_config(content, message, tmp_path):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_config(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("name", EVERY)
def test_a_written_config_is_equal_when_read_back(name):
    assert from_hf(json.loads(json.dumps(config_json(EVERY[name])))) == EVERY[name]


def test_a_config_for_images_that_are_not_square_is_refused():
    with pytest.raises(ValueError, match="Received: 32 x 64"):
        config_json(CONFIGS["square"].with_image_size(32, 64))


def test_the_written_tokenizer_pads_with_the_end_token_and_has_no_attention_mask():
    written = tokenizer_json(16)
    assert (written["pad_token"], written["eos_token"], written["model_max_length"]) == ("</s>", "</s>", 16)
    assert written["model_input_names"] == ["input_ids"]


@pytest.mark.parametrize(
    ("tokenizer_class", "files", "vocab_size", "rules"),
    [
        ("SiglipTokenizer", [], 256_000, SIGLIP),
        ("SiglipTokenizerFast", ["tokenizer.json"], 256_000, SIGLIP),
        ("T5Tokenizer", ["tokenizer.json"], 256_000, SIGLIP),
        ("T5TokenizerFast", [], 256_000, SIGLIP),
        ("GemmaTokenizer", ["spiece.model"], 400, SIGLIP_2),
        ("GemmaTokenizerFast", [], 400, SIGLIP_2),
        ("Siglip2Tokenizer", [], 400, SIGLIP_2),
        (None, ["spiece.model", "tokenizer.json"], 400, SIGLIP),
        (None, ["tokenizer.model"], 400, SIGLIP_2),
        ("TokenizersBackend", ["tokenizer.json"], 400, SIGLIP_2),
        (None, ["tokenizer.json"], 400, SIGLIP_2),
        (None, [], 256_000, SIGLIP_2),
        (None, [], 32_000, SIGLIP),
    ],
)
def test_tokenizer_rules_follow_the_class_then_the_files_then_the_vocabulary_size(
    tokenizer_class, files, vocab_size, rules, tmp_path
):
    config = replace(CONFIGS["square"], text=replace(CONFIGS["square"].text, vocab_size=vocab_size))
    (tmp_path / "config.json").write_text(json.dumps(config_json(config)))
    for name in files:
        (tmp_path / name).touch()
    if tokenizer_class is None:
        assert read_tokenizer_rules(tmp_path) == rules
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": tokenizer_class}))
    assert read_tokenizer_rules(tmp_path) == rules


@pytest.mark.parametrize("token", ["<unk>", {"content": "<unk>", "__type": "AddedToken", "special": True}])
def test_the_pad_token_of_the_checkpoint_is_used(token, checkpoint, tmp_path):
    directory = shutil.copytree(checkpoint, tmp_path / "other")
    path = directory / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pad_token": token}))
    (ids,) = SigLIPProcessor(weights=directory)(text="")["input_ids"].tolist()
    assert ids == [1] + [2] * 15


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tokenizer_class": "CLIPTokenizer"}, "tokenizer_class must be one of SiglipTokenizer, "),
        ({"do_lower_case": False}, "do_lower_case must be true"),
        ({"pad_token": {"special": True}}, "has no piece 'None'"),
        ([], "tokenizer_config.json is not a JSON object"),
    ],
)
def test_an_unsupported_tokenizer_config_is_refused(values, message, checkpoint, tmp_path):
    directory = shutil.copytree(checkpoint, tmp_path / "other")
    (directory / "tokenizer_config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=message):
        SigLIPProcessor(weights=directory)


def test_written_siglip_2_files_are_read_back_with_the_siglip_2_rules(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(tokenizer_json(64, SIGLIP_2)))
    vision = VisionConfig(image_size=(32, 32))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(preprocessor_json(vision, BILINEAR)))
    assert read_tokenizer_rules(tmp_path) == SIGLIP_2
    assert read_preprocessor(tmp_path, vision, SIGLIP) == Preprocessor((32, 32), BILINEAR)
