"""What describes a SigLIP: the sizes of its towers, and the facts about a loaded checkpoint. Dataclasses only.

`model.checkpoint.hf_config` maps these names to those of a Hugging Face `config.json`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any


class CheckpointError(Exception):
    """A checkpoint cannot be found, read or trusted; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class TowerConfig:
    """The sizes that the two transformers have in common. Defaults are the base model's."""

    width: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_dim: int = 3072
    layer_norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            sizes = value if isinstance(value, tuple) else (value,)
            if name != "layer_norm_eps" and not all(type(size) is int and size >= 1 for size in sizes):
                raise ValueError(f"{name} must be a whole number of at least 1. Received: {value!r}")
        if self.width % self.num_heads:
            raise ValueError(f"width must be a multiple of num_heads. Received: {self.width}, {self.num_heads}")


@dataclass(frozen=True, kw_only=True)
class VisionConfig(TowerConfig):
    """The image tower; `image_size` is (height, width) in pixels."""

    image_size: tuple[int, int] = (224, 224)
    patch_size: int = 16

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches; pixels that do not fill a patch are dropped (384 / 14 is 27, not 28)."""
        return self.image_size[0] // self.patch_size, self.image_size[1] // self.patch_size


@dataclass(frozen=True, kw_only=True)
class NaFlexVisionConfig(TowerConfig):
    """The image tower of NaFlex, for images of any shape and any number of patches.

    `grid` has the rows and columns of the position embedding, which is resized to each image's patches.
    """

    patch_size: int = 16
    grid: tuple[int, int] = (16, 16)


@dataclass(frozen=True, kw_only=True)
class TextConfig(TowerConfig):
    """The text tower; every text is exactly `context_length` tokens."""

    vocab_size: int = 32_000
    context_length: int = 64


@dataclass(frozen=True, kw_only=True)
class SigLIPConfig:
    """Both towers. `embed_dim` is where they meet: the text head's width, and the image tower's own."""

    vision: VisionConfig | NaFlexVisionConfig = field(default_factory=VisionConfig)
    text: TextConfig = field(default_factory=TextConfig)
    embed_dim: int = 768

    def __post_init__(self) -> None:
        if self.embed_dim != self.vision.width:
            raise ValueError(
                "embed_dim must equal vision.width, since SigLIP has no image projection. "
                f"Received: {self.embed_dim}, {self.vision.width}"
            )

    def with_image_size(self, height: int, width: int) -> "SigLIPConfig":
        """Returns the same model for other images, [H, W, 3].

        Raises:
            ValueError: It is a NaFlex, which accepts images of any shape.
        """
        if isinstance(self.vision, NaFlexVisionConfig):
            raise ValueError("a NaFlex accepts images of any shape, so it has no image size")  # noqa: TRY004 (a value)
        return replace(self, vision=replace(self.vision, image_size=(height, width)))

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON values, which `from_dict` reads back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SigLIPConfig":
        """Returns the config that `to_dict` wrote."""
        sizes: dict[str, Any] = {
            name: tuple(size) if isinstance(size, list) else size for name, size in values["vision"].items()
        }
        vision = VisionConfig(**sizes) if "image_size" in sizes else NaFlexVisionConfig(**sizes)
        return cls(vision=vision, text=TextConfig(**values["text"]), embed_dim=values["embed_dim"])


@dataclass(frozen=True, kw_only=True)
class EncoderInfo:
    """A loaded checkpoint in plain values, for `/info` and the log.

    `sha256` is the checkpoint's fingerprint, `image_size` is (height, width) in pixels or None for NaFlex, and
    `max_num_patches` is a number for NaFlex only. `preprocessing` and `canonicalisation` are sentences, and
    `demonstration` says whether this is the embedded model for pictograms.
    """

    variant: str
    weights: str
    revision: str | None
    sha256: str
    demonstration: bool
    image_size: tuple[int, int] | None
    max_num_patches: int | None = None
    context_length: int
    embed_dim: int
    vocab_size: int
    dtype: str
    device: str
    engine: str
    preprocessing: str
    canonicalisation: str
