from dataclasses import replace

from app import __version__
from app.inference.identity import cache_key, model_fingerprint
from app.settings import Settings
from tests.fakes import INFO, FakeEncoder


def test_info_lists_the_model_and_the_limits(client):
    info = client.get("/info").json()
    assert info == {
        "variant": "FakeSigLIP",
        "weights": "fake_8",
        "revision": None,
        "sha256": "0" * 64,
        "demonstration": False,
        "image_size": [8, 8],
        "max_num_patches": None,
        "context_length": 16,
        "embed_dim": 32,
        "vocab_size": 256,
        "dtype": "float32",
        "device": "CPU",
        "engine": "tensorflow",
        "preprocessing": "the mean colour",
        "canonicalisation": "lower case",
        "scale": 10.0,
        "bias": -5.0,
        "pixel_pipeline": 2,
        "color_profiles": "convert",
        "model_fingerprint": model_fingerprint(INFO, Settings()),
        "cache_key": cache_key(INFO, Settings()),
        "limits": {
            "max_body_bytes": 20_000_000,
            "max_image_pixels": 50_000_000,
            "max_side_pixels": 32_768,
            "max_frames": 1_000,
            "max_images": 64,
            "max_labels": 10_000,
            "max_label_characters": 256,
            "max_text_characters": 1_024,
            "max_label_sets": 1_000,
            "max_examples": 10_000,
            "max_label_examples": 1_000,
            "request_timeout_s": 60,
            "max_templates": 100,
            "image_formats": info["limits"]["image_formats"],
        },
        "version": __version__,
    }
    assert {"JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"} <= set(info["limits"]["image_formats"])


def test_info_says_if_the_model_is_the_demonstration(running):
    with running(FakeEncoder(info=replace(INFO, demonstration=True))) as client:
        assert client.get("/info").json()["demonstration"] is True


def test_the_sizes_of_images_are_documented_as_nullable_because_a_model_has_one_of_them(client):
    fields = client.get("/openapi.json").json()["components"]["schemas"]["Info"]["properties"]
    for name in ("image_size", "max_num_patches"):
        assert {"type": "null"} in fields[name]["anyOf"]
