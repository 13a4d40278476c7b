"""Published names to models with weights: `SigLIPBaseP16(weights="google_224")`."""

from collections.abc import Callable
from pathlib import Path

from model.checkpoint.hf_config import read_config_of
from model.checkpoint.hub import checkpoint_directory
from model.checkpoint.tensor_names import log_wrappers
from model.checkpoint.weights import model_from_checkpoint
from model.config import SigLIPConfig
from model.network.siglip import SigLIP
from model.published import EMBEDDED, VARIANTS, choose_weights


def constructor(variant: str) -> Callable[..., SigLIP]:
    """Returns the function that builds a variant; its default weights are the variant's first."""
    names = list(VARIANTS[variant])

    def build(weights: str | Path | None = names[0], input_shape=None, **options) -> SigLIP:
        return load_model(variant, weights, input_shape=input_shape, **options)

    build.__name__ = build.__qualname__ = variant
    build.__doc__ = f"Returns a {variant} with `weights`: {', '.join(names)}. See `load_model` for the arguments."
    return build


globals().update({variant: constructor(variant) for variant in VARIANTS})  # SigLIPBaseP16, SigLIPLargeP16, ...


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
        variant: A name of `VARIANTS`, or None for the architecture of the directory or hub id.
        weights: A published name, a Hugging Face checkpoint directory, a hub id of this architecture, or None for
            random weights.
        input_shape: (H, W, 3) if not the checkpoint's own; the position embedding is interpolated. Not for NaFlex,
            which accepts images of any shape.
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
    log_wrappers(directory)
    return model_from_checkpoint(resized(config, input_shape), directory, dtype)


def resized(config: SigLIPConfig, input_shape: tuple[int, int, int] | None) -> SigLIPConfig:
    """Returns the config for images of another shape, (H, W, 3)."""
    if input_shape is None:
        return config
    patch = config.vision.patch_size
    if len(input_shape) != 3 or input_shape[2] != 3 or min(input_shape[:2]) < patch:
        raise ValueError(f"input_shape must be (H, W, 3) with sides of at least {patch}. Received: {input_shape}")
    return config.with_image_size(*input_shape[:2])
