"""The published names to ready models: `SigLIPBaseP16(weights="google_224")`."""

from pathlib import Path

from model.checkpoint.hf_config import read_config_of
from model.checkpoint.hub import checkpoint_directory
from model.checkpoint.weights import model_from_checkpoint
from model.config import EMBEDDED, VARIANTS, SigLIPConfig, choose_weights
from model.network.siglip import SigLIP


def SigLIPBaseP16(weights: str | None = "google_224", input_shape=None, **options) -> SigLIP:
    """Returns the base model, patch 16; see `load_model`."""
    return load_model("SigLIPBaseP16", weights, input_shape=input_shape, **options)


def SigLIPLargeP16(weights: str | None = "google_256", input_shape=None, **options) -> SigLIP:
    """Returns the large model, patch 16; see `load_model`."""
    return load_model("SigLIPLargeP16", weights, input_shape=input_shape, **options)


def SigLIPSo400mP14(weights: str | None = "google_224", input_shape=None, **options) -> SigLIP:
    """Returns the shape-optimised 400M model, patch 14; see `load_model`."""
    return load_model("SigLIPSo400mP14", weights, input_shape=input_shape, **options)


def SigLIP2BaseP32(weights: str | None = "google_256", input_shape=None, **options) -> SigLIP:
    """Returns the base SigLIP 2, patch 32; see `load_model`."""
    return load_model("SigLIP2BaseP32", weights, input_shape=input_shape, **options)


def SigLIP2BaseP16(weights: str | None = "google_224", input_shape=None, **options) -> SigLIP:
    """Returns the base SigLIP 2, patch 16; see `load_model`."""
    return load_model("SigLIP2BaseP16", weights, input_shape=input_shape, **options)


def SigLIP2LargeP16(weights: str | None = "google_256", input_shape=None, **options) -> SigLIP:
    """Returns the large SigLIP 2, patch 16; see `load_model`."""
    return load_model("SigLIP2LargeP16", weights, input_shape=input_shape, **options)


def SigLIP2So400mP14(weights: str | None = "google_224", input_shape=None, **options) -> SigLIP:
    """Returns the shape-optimised 400M SigLIP 2, patch 14; see `load_model`."""
    return load_model("SigLIP2So400mP14", weights, input_shape=input_shape, **options)


def SigLIP2So400mP16(weights: str | None = "google_256", input_shape=None, **options) -> SigLIP:
    """Returns the shape-optimised 400M SigLIP 2, patch 16; see `load_model`."""
    return load_model("SigLIP2So400mP16", weights, input_shape=input_shape, **options)


def SigLIP2GiantOptP16(weights: str | None = "google_256", input_shape=None, **options) -> SigLIP:
    """Returns the giant SigLIP 2, patch 16, whose text tower is the 400M's; see `load_model`."""
    return load_model("SigLIP2GiantOptP16", weights, input_shape=input_shape, **options)


def SigLIPTinyP16(weights: str | None = "pictograms_64", input_shape=None, **options) -> SigLIP:
    """Returns the embedded demonstration model for pictograms, patch 16; see `load_model`."""
    return load_model("SigLIPTinyP16", weights, input_shape=input_shape, **options)


def load_model(
    variant: str | None,
    weights: str | Path | None,
    *,
    input_shape: tuple[int, int, int] | None = None,
    revision: str | None = None,
    dtype: str = "float32",
) -> SigLIP:
    """Returns a model with its weights.

    Args:
        variant: A name of `VARIANTS`, or None to take whatever architecture a directory or hub id has.
        weights: A published name, a Hugging Face checkpoint directory, a hub id of this architecture, or None for
            random weights.
        input_shape: (H, W, 3) if not the checkpoint's own; the position embedding is interpolated.
        revision: The hub commit, branch or tag.
        dtype: A Keras dtype policy for the towers.

    Raises:
        CheckpointError: The checkpoint is unknown, unreachable, incomplete or of another architecture.
        ValueError: `input_shape` is not (H, W, 3) or smaller than a patch.
    """
    if weights is None:
        variant, name = choose_weights(variant, None) or EMBEDDED
        return SigLIP(resized(VARIANTS[variant][name].config, input_shape), dtype=dtype)
    directory = checkpoint_directory(variant, str(weights), revision=revision)
    config = read_config_of(variant, directory)
    return model_from_checkpoint(resized(config, input_shape), directory, dtype)


def resized(config: SigLIPConfig, input_shape: tuple[int, int, int] | None) -> SigLIPConfig:
    """Returns the config for images of another shape, (H, W, 3)."""
    if input_shape is None:
        return config
    patch = config.vision.patch_size
    if len(input_shape) != 3 or input_shape[2] != 3 or min(input_shape[:2]) < patch:
        raise ValueError(f"input_shape must be (H, W, 3) with sides of at least {patch}. Received: {input_shape}")
    return config.with_image_size(*input_shape[:2])
