"""Which library named the tensors of a checkpoint: Hugging Face's transformers, or open_clip."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from model.checkpoint.open_clip_table import open_clip_table
from model.checkpoint.tensor_table import IMAGE_POSITIONS, VOCABULARY_TABLE, Slot, tensor_table
from model.network.siglip import SigLIP


class Naming(NamedTuple):
    """A library's names for the tensors of a SigLIP.

    Attributes:
        table: Returns a slot for each tensor of a model.
        image_positions: The name of the image tower's position embedding.
        token_table: The name of the table of token embeddings.
    """

    table: Callable[[SigLIP], dict[str, Slot]]
    image_positions: str
    token_table: str


HUGGING_FACE = Naming(tensor_table, IMAGE_POSITIONS, VOCABULARY_TABLE)
OPEN_CLIP = Naming(open_clip_table, "visual.trunk.pos_embed", "text.token_embedding.weight")


def naming_of(names: Iterable[str]) -> Naming:
    """Returns the naming that these names follow; Hugging Face's if it is neither."""
    return OPEN_CLIP if any(name.startswith("visual.trunk.") for name in names) else HUGGING_FACE
