"""What a front end must know about the model that the device process has loaded."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model.config import EncoderInfo


@dataclass(frozen=True)
class ModelFacts:
    """The facts about an encoder, its scale and bias, the folder of its checkpoint, and the shape of its images."""

    info: EncoderInfo
    scale: float
    bias: float
    directory: Path
    image_shape: tuple[int, ...]

    def to_message(self) -> dict[str, Any]:
        """Returns plain values, which `from_message` reads back."""
        return asdict(self) | {"directory": str(self.directory)}

    @classmethod
    def from_message(cls, values: dict[str, Any]) -> "ModelFacts":
        """Returns the facts of a message."""
        size = values["info"]["image_size"]
        info = EncoderInfo(**values["info"] | {"image_size": size and tuple(size)})
        shape = tuple(values["image_shape"])
        return cls(**values | {"info": info, "directory": Path(values["directory"]), "image_shape": shape})
