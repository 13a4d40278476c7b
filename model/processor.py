"""Converts texts and image files to model inputs.

Oracle: `transformers.SiglipProcessor` with `SiglipImageProcessorPil` and the tokenizers that `model.text.tokenizer`
names. Only for trusted files: nothing here limits their size or format.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from model.checkpoint.hf_config import read_config, read_tokenizer_rules
from model.checkpoint.hf_image_processor import read_preprocessor
from model.checkpoint.hub import checkpoint_directory
from model.config import CheckpointError
from model.patches import NaFlexPreprocessor
from model.preprocess import ImageLike, Preprocessor
from model.text.tokenizer import SigLIPTokenizer


class SigLIPProcessor:
    """Converts texts and images to model inputs, as one checkpoint's files specify.

    Args:
        variant: A name of `VARIANTS`.
        weights: A published name, a checkpoint directory, or a hub id, as for the model.
        multilingual: Short for `weights="google_multilingual_256"`. The other multilingual SigLIP 1 is
            `SigLIPSo400mP16`, which needs no such argument.
        image_size: (H, W) in pixels, needed only if the model was built with an `input_shape`.
        max_num_patches: For NaFlex: the most patches of an image, if not the checkpoint's number, usually 256. More
            patches show more detail, and cost more than proportionally more time.
        revision: The hub commit, branch or tag.

    Raises:
        CheckpointError: The checkpoint has no vocabulary, or requires preprocessing that is not supported, or
            `image_size` is given for a NaFlex, or `max_num_patches` for another model.
        ValueError: `max_num_patches` is not 1 to 4,096.
    """

    def __init__(
        self,
        variant: str | None = None,
        weights: str | Path | None = None,
        *,
        multilingual: bool = False,
        image_size: tuple[int, int] | None = None,
        max_num_patches: int | None = None,
        revision: str | None = None,
    ):
        if multilingual and weights is not None:
            raise ValueError(f"give multilingual or weights, not both. Received: {weights!r}")
        if variant is None and weights is None:
            variant = "SigLIPBaseP16"
        name = "google_multilingual_256" if multilingual else None if weights is None else str(weights)
        self.directory = directory = checkpoint_directory(variant, name, revision=revision, tensors=False)
        config, rules = read_config(directory), read_tokenizer_rules(directory)
        preprocessor = read_preprocessor(directory, config.vision, rules)
        self.preprocessor = with_sizes(preprocessor, image_size=image_size, max_num_patches=max_num_patches)
        self.tokenizer = SigLIPTokenizer(
            rules.vocabulary(directory), config.text.context_length, config.text.vocab_size, rules
        )

    @property
    def image_size(self) -> tuple[int, int] | None:
        """(H, W) of all images in pixels, or None for NaFlex."""
        return self.preprocessor.image_size if isinstance(self.preprocessor, Preprocessor) else None

    @property
    def max_num_patches(self) -> int | None:
        """The most patches of an image for NaFlex, or None."""
        return self.preprocessor.max_num_patches if isinstance(self.preprocessor, NaFlexPreprocessor) else None

    def __call__(
        self,
        text: str | Sequence[str] | None = None,
        image_paths: str | Path | Iterable[str | Path] | None = None,
        images: ImageLike | Iterable[ImageLike] | None = None,
    ) -> dict[str, np.ndarray]:
        """Returns `{"images": [B, H, W, 3] uint8, "input_ids": [K, L] int32}`, or one of them for only images or text.

        The images of a NaFlex are records, [B, R] uint8; see `model.patches`.

        Texts are used without a template. Image files are rotated by their EXIF orientation and converted to RGB.

        Args:
            text: One text or several.
            image_paths: One path or several.
            images: One image or several: Pillow images, or arrays [H, W, 3] uint8; a 4-D array is a batch.

        Raises:
            ValueError: There is no input, or both paths and images, or an array is not [H, W, 3] uint8.
            OSError: A file does not exist or is not an image.
        """
        if image_paths is not None and images is not None:
            raise ValueError("give image_paths or images, not both")
        if text is None and image_paths is None and images is None:
            raise ValueError("give text, image_paths or images. Received nothing")
        inputs = {}
        if image_paths is not None:
            paths = [image_paths] if isinstance(image_paths, (str, Path)) else list(image_paths)
            inputs["images"] = self.pixels(read_image(path) for path in paths)
        if images is not None:
            inputs["images"] = self.pixels(as_rgb(image) for image in as_batch(images))
        if text is not None:
            inputs["input_ids"] = self.tokenizer([text] if isinstance(text, str) else list(text))
        return inputs

    def pixels(self, rgb: Iterable[ImageLike]) -> np.ndarray:
        """Returns the images prepared for the tower, [B, *shape] uint8 with the preprocessor's `shape`."""
        resized = [self.preprocessor(image) for image in rgb]
        return np.stack(resized) if resized else np.empty((0, *self.preprocessor.shape), np.uint8)


def with_sizes(preprocessor: Preprocessor | NaFlexPreprocessor, **sizes: Any) -> Preprocessor | NaFlexPreprocessor:
    """Returns the preprocessor with other sizes, where they are not None.

    Raises:
        CheckpointError: The preprocessor has no such size.
    """
    given = {name: value for name, value in sizes.items() if value is not None}
    for name in given:
        if not hasattr(preprocessor, name):
            raise CheckpointError(f"this checkpoint has no {name}, so leave it out. Images: {preprocessor.description}")
    return replace(preprocessor, **given)


def as_batch(images: ImageLike | Iterable[ImageLike]) -> Iterable[ImageLike]:
    """Returns a single image as a list of one, and several images unchanged."""
    if isinstance(images, np.ndarray):
        return [images] if images.ndim == 3 else list(images)
    return [images] if isinstance(images, Image.Image) else images


def read_image(path: str | Path) -> Image.Image:
    """Returns the image of a file in RGB, rotated by its EXIF orientation."""
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def as_rgb(image: ImageLike) -> ImageLike:
    """Returns a Pillow image in RGB, without transparency as in the reference. Arrays are returned unchanged."""
    return image.convert("RGB") if isinstance(image, Image.Image) else image
