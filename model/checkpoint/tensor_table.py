"""The tensor table: the variables and the layout for each tensor of a Hugging Face SigLIP checkpoint.

`model.checkpoint.weights` reads and writes checkpoints with it. This module must not open files.

Source: tensor names of `transformers.SiglipModel`; the specification was byte-checked against the published files.
"""

from typing import Any, NamedTuple

import keras
import numpy as np

from model.network.naflex import NaFlexTower
from model.network.siglip import SigLIP

IMAGE_POSITIONS = "vision_model.embeddings.position_embedding.weight"
VOCABULARY_TABLE = "text_model.embeddings.token_embedding.weight"


class Slot(NamedTuple):
    """The variables of one checkpoint tensor, concatenated along its axis 0, and its layout; see `to_keras`."""

    layout: str
    variables: tuple[keras.Variable, ...]

    def shape(self) -> tuple[int, ...]:
        """Returns the tensor's shape in the checkpoint."""
        # A broadcast zero has a shape but needs no memory.
        parts = [to_checkpoint(self.layout, np.broadcast_to(0, v.shape)).shape for v in self.variables]
        return parts[0] if len(parts) == 1 else (len(parts) * parts[0][0], *parts[0][1:])


def to_keras(layout: str, tensor: np.ndarray) -> np.ndarray:
    """Returns a checkpoint tensor in the layout of our variable.

    | layout   | checkpoint       | ours         |
    |----------|------------------|--------------|
    | `conv`   | [D, 3, P, P]     | [P, P, 3, D] |
    | `one`    | [1] or [1, N, D] | [] or [N, D] |
    | `same`   | any              | unchanged    |
    """
    match layout:
        case "conv":
            return tensor.transpose(2, 3, 1, 0)
        case "one":
            return tensor[0]
        case _:
            return tensor


def to_checkpoint(layout: str, value: np.ndarray) -> np.ndarray:
    """Returns a variable's value in the layout of the checkpoint; the inverse of `to_keras`."""
    match layout:
        case "conv":
            return value.transpose(3, 2, 0, 1)
        case "one":
            return value[np.newaxis]
        case _:
            return value


def tensor_table(model: SigLIP) -> dict[str, Slot]:
    """Returns a slot for each checkpoint tensor, by name; together they have every variable of the model."""
    vision, text = model.vision, model.text
    patches = "same" if isinstance(vision, NaFlexTower) else "conv"
    return {
        "logit_scale": Slot("one", (model.logit_scale,)),
        "logit_bias": Slot("one", (model.logit_bias,)),
        "vision_model.embeddings.patch_embedding.weight": Slot(patches, (vision.embedding.patches.kernel,)),
        "vision_model.embeddings.patch_embedding.bias": Slot("same", (vision.embedding.patches.bias,)),
        IMAGE_POSITIONS: Slot("same", (vision.embedding.position,)),
        **encoder_slots("vision_model.encoder", vision.blocks),
        **norm_slots("vision_model.post_layernorm", vision.norm),
        "vision_model.head.probe": Slot("same", (vision.head.probe,)),
        **fused_attention_slots("vision_model.head.attention", vision.head.attention),
        **norm_slots("vision_model.head.layernorm", vision.head.norm),
        **mlp_slots("vision_model.head.mlp", vision.head.mlp),
        VOCABULARY_TABLE: Slot("same", (text.embedding.tokens.embeddings,)),
        "text_model.embeddings.position_embedding.weight": Slot("same", (text.embedding.position,)),
        **encoder_slots("text_model.encoder", text.blocks),
        **norm_slots("text_model.final_layer_norm", text.norm),
        **dense_slots("text_model.head", text.head),
    }


def encoder_slots(name: str, blocks: list) -> dict[str, Slot]:
    table: dict[str, Slot] = {}
    for i, block in enumerate(blocks):
        layer = f"{name}.layers.{i}"
        table |= norm_slots(f"{layer}.layer_norm1", block.norm1)
        table |= dense_slots(f"{layer}.self_attn.q_proj", block.attention.query)
        table |= dense_slots(f"{layer}.self_attn.k_proj", block.attention.key)
        table |= dense_slots(f"{layer}.self_attn.v_proj", block.attention.value)
        table |= dense_slots(f"{layer}.self_attn.out_proj", block.attention.out)
        table |= norm_slots(f"{layer}.layer_norm2", block.norm2)
        table |= mlp_slots(f"{layer}.mlp", block.mlp)
    return table


def mlp_slots(name: str, mlp: Any) -> dict[str, Slot]:
    return dense_slots(f"{name}.fc1", mlp.fc1) | dense_slots(f"{name}.fc2", mlp.fc2)


def dense_slots(name: str, dense: Any) -> dict[str, Slot]:
    return {f"{name}.weight": Slot("same", (dense.kernel,)), f"{name}.bias": Slot("same", (dense.bias,))}


def norm_slots(name: str, norm: Any) -> dict[str, Slot]:
    return {f"{name}.weight": Slot("same", (norm.gamma,)), f"{name}.bias": Slot("same", (norm.beta,))}


def fused_attention_slots(name: str, attention: Any) -> dict[str, Slot]:
    """Only the pooling head has query, key and value in one tensor, [3D, D], in this order."""
    parts = (attention.query, attention.key, attention.value)
    return {
        f"{name}.in_proj_weight": Slot("same", tuple(part.kernel for part in parts)),
        f"{name}.in_proj_bias": Slot("same", tuple(part.bias for part in parts)),
        **dense_slots(f"{name}.out_proj", attention.out),
    }
