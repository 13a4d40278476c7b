"""The image settings in preprocessor_config.json and processor_config.json."""

import json
import shutil

import pytest

from model.checkpoint.hf_image_processor import preprocessor_json, read_preprocessor
from model.config import CheckpointError, NaFlexVisionConfig, VisionConfig
from model.engines.load import load_encoder
from model.patches import NaFlexPreprocessor
from model.preprocess import Preprocessor
from model.processor import SigLIPProcessor
from model.text.tokenizer import SIGLIP, SIGLIP_2

VISION = VisionConfig(image_size=(32, 32))


def test_the_written_preprocessor_resizes_bicubically_and_scales_to_minus_one_to_one():
    written = preprocessor_json(VisionConfig())
    assert written["size"] == {"height": 224, "width": 224}
    assert written["resample"] == 3
    assert written["image_mean"] == written["image_std"] == [0.5] * 3


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("resample", 0),
        ("resample", "bilinear"),
        ("image_mean", [0.48, 0.46, 0.41]),
        ("do_resize", False),
        ("do_center_crop", True),
        ("rescale_factor", 1),
        ("size", {"height": 64, "width": 64}),
        ("size", {"shortest_edge": 32}),
    ],
)
def test_a_checkpoint_with_unsupported_preprocessing_is_refused(key, value, checkpoint, tmp_path):
    directory = shutil.copytree(checkpoint, tmp_path / "other")
    path = directory / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(CheckpointError, match=f"{key} must be"):
        SigLIPProcessor(weights=directory)
    with pytest.raises(CheckpointError, match=f"{key} must be"):
        load_encoder(weights=str(directory), device="cpu")


def test_the_error_for_a_different_image_size_has_both_sizes(checkpoint, tmp_path):
    directory = shutil.copytree(checkpoint, tmp_path / "other")
    (directory / "preprocessor_config.json").write_text(json.dumps({"size": {"height": 48, "width": 48}}))
    with pytest.raises(CheckpointError, match=r"size must be .*32.*32.*, not .*48.*48.*config\.json's image_size"):
        SigLIPProcessor(weights=directory)


@pytest.mark.parametrize(
    ("rules", "nested", "plain", "resample"),
    [
        (SIGLIP, None, None, 3),
        (SIGLIP_2, None, None, 2),
        (SIGLIP_2, None, {}, 3),
        (SIGLIP_2, None, {"resample": None}, 3),
        (SIGLIP, None, {"resample": 1, "size": 32, "do_center_crop": None}, 1),
        (SIGLIP_2, {"image_processor": {"resample": 5}}, None, 5),
        (SIGLIP_2, {"image_processor": {"resample": 2}}, {"resample": 3}, 2),
        (SIGLIP_2, {"processor_class": "SiglipProcessor"}, {"resample": 4}, 4),
    ],
)
def test_the_filter_is_read_where_transformers_reads_it_or_is_the_default_of_the_generation(
    rules, nested, plain, resample, tmp_path
):
    for name, values in (("processor_config.json", nested), ("preprocessor_config.json", plain)):
        if values is not None:
            (tmp_path / name).write_text(json.dumps(values))
    assert read_preprocessor(tmp_path, VISION, rules) == Preprocessor((32, 32), resample)


@pytest.mark.parametrize("values", [{"image_processor": {"do_normalize": False}}, {"image_processor": [1]}, []])
def test_a_nested_image_processor_is_checked_too(values, tmp_path):
    (tmp_path / "processor_config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=r"processor_config\.json"):
        read_preprocessor(tmp_path, VISION, SIGLIP)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (None, NaFlexPreprocessor(256, 16, 2)),
        ({"max_num_patches": None}, NaFlexPreprocessor(256, 16, 2)),
        ({}, NaFlexPreprocessor(256, 16, 2)),
        ({"max_num_patches": 1024, "patch_size": 16, "resample": 3}, NaFlexPreprocessor(1024, 16, 3)),
        (preprocessor_json(NaFlexVisionConfig(), 2), NaFlexPreprocessor(256, 16, 2)),
    ],
)
def test_the_settings_of_a_naflex_have_the_defaults_of_the_reference(values, expected, tmp_path):
    if values is not None:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
    assert read_preprocessor(tmp_path, NaFlexVisionConfig(), SIGLIP_2) == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"patch_size": 14}, r"patch_size must be 16, not 14: it must match config\.json's"),
        ({"max_num_patches": 0}, "max_num_patches must be a whole number, 1 to 4,096"),
        ({"max_num_patches": "256"}, "preprocessor_config.json: max_num_patches must be"),
        ({"do_normalize": False}, "do_normalize must be true"),
    ],
)
def test_a_naflex_with_other_settings_is_refused(values, message, tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=message):
        read_preprocessor(tmp_path, NaFlexVisionConfig(), SIGLIP_2)
