import re
from dataclasses import replace

import pytest

from app.inference.identity import cache_key, model_fingerprint, versions
from app.settings import Settings
from model.engines.encoder import checkpoint_info
from model.patches import NaFlexPreprocessor
from model.processor import SigLIPProcessor
from model.published import EMBEDDED, EMBEDDED_DIRECTORY
from tests.fakes import INFO

SETTINGS = Settings()


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "1" * 64},
        {"canonicalisation": "as it is"},
        {"context_length": 64},
        {"image_size": (16, 8)},
        {"preprocessing": "the median colour"},
        {"dtype": "int8"},
        {"dtype": "bfloat16"},
    ],
)
def test_another_encoder_has_another_fingerprint_and_another_cache_key(change):
    other = replace(INFO, **change)
    assert model_fingerprint(other, SETTINGS) != model_fingerprint(INFO, SETTINGS)
    assert cache_key(other, SETTINGS) != cache_key(INFO, SETTINGS)


def test_another_number_of_patches_gives_another_fingerprint_and_another_cache_key():
    few, many = (
        replace(INFO, image_size=None, max_num_patches=count, preprocessing=NaFlexPreprocessor(count).description)
        for count in (64, 256)
    )
    assert model_fingerprint(few, SETTINGS) != model_fingerprint(many, SETTINGS)
    assert cache_key(few, SETTINGS) != cache_key(many, SETTINGS)


@pytest.mark.parametrize("settings", [Settings(color_profiles="ignore"), Settings(reduce_jpegs=True)])
def test_other_pixels_give_another_fingerprint_and_another_cache_key(settings):
    assert model_fingerprint(INFO, settings) != model_fingerprint(INFO, SETTINGS)
    assert cache_key(INFO, settings) != cache_key(INFO, SETTINGS)


@pytest.mark.parametrize("change", [{"dtype": "float16"}, {"dtype": "tf32"}, {"engine": "openvino"}, {"device": "GPU"}])
def test_the_same_model_computed_in_another_way_shares_the_fingerprint_but_not_the_cache(change):
    other = replace(INFO, **change)
    assert model_fingerprint(other, SETTINGS) == model_fingerprint(INFO, SETTINGS)
    assert cache_key(other, SETTINGS) != cache_key(INFO, SETTINGS)


def test_names_do_not_matter():
    other = replace(INFO, variant="Other", weights="copy", revision="main", demonstration=True)
    assert model_fingerprint(other, SETTINGS) == model_fingerprint(INFO, SETTINGS)
    assert cache_key(other, SETTINGS) == cache_key(INFO, SETTINGS)


def test_both_are_hashes_in_hex_and_differ():
    both = model_fingerprint(INFO, SETTINGS), cache_key(INFO, SETTINGS)
    assert all(re.fullmatch("[0-9a-f]{64}", identity) for identity in both)
    assert both[0] != both[1]


def test_versions_are_those_of_the_installed_packages():
    found = versions()
    assert found["numpy"] == __import__("numpy").__version__
    assert found["pillow"] == __import__("PIL").__version__


def test_the_fingerprint_changes_only_on_purpose():
    """Another wording in `preprocessing` or `canonicalisation` is enough to make all stored embeddings foreign."""
    directory = EMBEDDED_DIRECTORY / EMBEDDED[1]
    info = checkpoint_info(
        *EMBEDDED, directory, SigLIPProcessor(weights=directory), dtype="float32", device="CPU", engine="tensorflow"
    )
    retrained = replace(info, sha256="0" * 64)
    assert model_fingerprint(retrained, SETTINGS) == "657a5bb64e46161eb32dff6ffe7c4e91c85ebd8c470837e312f25907ad492e43"
