"""The two identities of an encoder: what its embeddings mean, and which bits they have.

Whoever stores embeddings, thresholds or examples keeps `model_fingerprint` with them, and does not use them with an
encoder of another one. Whoever caches embeddings uses `cache_key`. Both are defined here only, and shown in `/info`.

| what differs                                             | `model_fingerprint` | `cache_key` |
|----------------------------------------------------------|---------------------|-------------|
| weights, tokenising, image size or patches, resampling   | differs             | differs     |
| pixel pipeline, colour profiles, reduced JPEGs           | differs             | differs     |
| float32, tf32 or float16                                 | same                | differs     |
| int8 or bfloat16, instead of float32                     | differs             | differs     |
| engine, device, version of a package that computes       | same                | differs     |
"""

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from app.images.decode import PIXEL_PIPELINE
from app.settings import Settings
from model.config import EncoderInfo

# The logits of these types are within 0.1 of each other, so thresholds of one are valid for the others.
EXACT_DTYPES = {"float32", "tf32", "float16"}
# The packages that compute pixels, token ids and embeddings. TensorFlow without CUDA is another package.
PACKAGES = ["numpy", "pillow", "pi-heif", "tifffile", "imagecodecs", "sentencepiece", "tokenizers"]
PACKAGES += ["tensorflow", "tensorflow-cpu", "keras", "openvino", "nncf"]


def model_fingerprint(info: EncoderInfo, settings: Settings) -> str:
    """Returns the SHA-256, in hex, of everything that gives an embedding its meaning.

    Embeddings, thresholds and examples are valid for every encoder with the same fingerprint.
    """
    return digest(meaning(info, settings))


def cache_key(info: EncoderInfo, settings: Settings) -> str:
    """Returns the SHA-256, in hex, of everything that the bits of an embedding depend on, except its input.

    It reads the versions of installed packages from disk, which takes milliseconds.
    """
    computed_by = {"dtype": info.dtype, "engine": info.engine, "device": info.device, "versions": versions()}
    return digest(meaning(info, settings) | computed_by)


def meaning(info: EncoderInfo, settings: Settings) -> dict[str, Any]:
    """Returns the facts of `model_fingerprint`.

    Reduced JPEGs are one of them: they change logits by up to 0.25 (`benchmarks/jpeg.py`).
    """
    return {
        "weights": info.sha256,
        "canonicalisation": info.canonicalisation,
        "context_length": info.context_length,
        "image_size": info.image_size and list(info.image_size),
        "preprocessing": info.preprocessing,
        "pixel_pipeline": PIXEL_PIPELINE,
        "color_profiles": settings.color_profiles,
        "reduce_jpegs": settings.reduce_jpegs,
        "precision": "exact" if info.dtype in EXACT_DTYPES else info.dtype,
    }


def versions() -> dict[str, str | None]:
    """Returns the version of each package that computes, or None if it is not installed."""
    return {package: installed_version(package) for package in PACKAGES}


def installed_version(package: str) -> str | None:
    """Returns a package's version, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def digest(facts: dict[str, Any]) -> str:
    """Returns the SHA-256 of facts, in hex."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
