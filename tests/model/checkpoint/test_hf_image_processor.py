"""The image settings in preprocessor_config.json and processor_config.json."""

import json
import shutil

import pytest

from model.checkpoint.hf_image_processor import preprocessor_json, read_resample
from model.config import CheckpointError
from model.engines.load import load_encoder
from model.processor import SigLIPProcessor
from model.text.tokenizer import SIGLIP, SIGLIP_2


def test_the_written_preprocessor_resizes_bicubically_and_scales_to_minus_one_to_one():
    written = preprocessor_json((224, 224))
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
    assert read_resample(tmp_path, (32, 32), rules) == resample


@pytest.mark.parametrize("values", [{"image_processor": {"do_normalize": False}}, {"image_processor": [1]}, []])
def test_a_nested_image_processor_is_checked_too(values, tmp_path):
    (tmp_path / "processor_config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=r"processor_config\.json"):
        read_resample(tmp_path, (32, 32), SIGLIP)
