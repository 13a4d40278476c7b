"""The tensor table of a SigLIP that open_clip saved; `model.checkpoint.tensor_table` is Hugging Face's.

The image tower is timm's. Both libraries join the query, key and value of a block in one tensor.

Source: open_clip 3.3.0 (`transformer.py`) and timm 1.0.31 (`vision_transformer.py`, `attention_pool.py`).
"""

from typing import Any

from model.checkpoint.tensor_table import Slot, dense_slots, fused_attention_slots, mlp_slots, norm_slots
from model.network.siglip import SigLIP


def open_clip_table(model: SigLIP) -> dict[str, Slot]:
    """Returns a slot for each tensor of open_clip's file, by name; together they have every variable of the model."""
    vision, text, head = model.vision, model.text, model.vision.head
    trunk, pool = "visual.trunk", "visual.trunk.attn_pool"
    kernel = vision.embedding.patches.kernel
    return {
        "logit_scale": Slot("same", (model.logit_scale,)),
        "logit_bias": Slot("same", (model.logit_bias,)),
        f"{trunk}.patch_embed.proj.weight": Slot("conv" if len(kernel.shape) == 4 else "same", (kernel,)),
        f"{trunk}.patch_embed.proj.bias": Slot("same", (vision.embedding.patches.bias,)),
        f"{trunk}.pos_embed": Slot("one", (vision.embedding.position,)),
        **image_block_slots(f"{trunk}.blocks", vision.blocks),
        **norm_slots(f"{trunk}.norm", vision.norm),
        f"{pool}.latent": Slot("same", (head.probe,)),
        **joined_slots(f"{pool}.q", head.attention.query),
        **joined_slots(f"{pool}.kv", head.attention.key, head.attention.value),
        **dense_slots(f"{pool}.proj", head.attention.out),
        **norm_slots(f"{pool}.norm", head.norm),
        **mlp_slots(f"{pool}.mlp", head.mlp),
        "text.token_embedding.weight": Slot("same", (text.embedding.tokens.embeddings,)),
        "text.positional_embedding": Slot("same", (text.embedding.position,)),
        **text_block_slots("text.transformer.resblocks", text.blocks),
        **norm_slots("text.ln_final", text.norm),
        **dense_slots("text.text_projection", text.head),
    }


def image_block_slots(name: str, blocks: list[Any]) -> dict[str, Slot]:
    table: dict[str, Slot] = {}
    for i, block in enumerate(blocks):
        attention = block.attention
        table |= norm_slots(f"{name}.{i}.norm1", block.norm1)
        table |= joined_slots(f"{name}.{i}.attn.qkv", attention.query, attention.key, attention.value)
        table |= dense_slots(f"{name}.{i}.attn.proj", attention.out)
        table |= norm_slots(f"{name}.{i}.norm2", block.norm2)
        table |= mlp_slots(f"{name}.{i}.mlp", block.mlp)
    return table


def text_block_slots(name: str, blocks: list[Any]) -> dict[str, Slot]:
    table: dict[str, Slot] = {}
    for i, block in enumerate(blocks):
        table |= norm_slots(f"{name}.{i}.ln_1", block.norm1)
        table |= fused_attention_slots(f"{name}.{i}.attn", block.attention)
        table |= norm_slots(f"{name}.{i}.ln_2", block.norm2)
        table |= dense_slots(f"{name}.{i}.mlp.c_fc", block.mlp.fc1)
        table |= dense_slots(f"{name}.{i}.mlp.c_proj", block.mlp.fc2)
    return table


def joined_slots(name: str, *parts: Any) -> dict[str, Slot]:
    """One linear layer whose outputs are those of several layers of ours, in this order."""
    return {
        f"{name}.weight": Slot("same", tuple(part.kernel for part in parts)),
        f"{name}.bias": Slot("same", tuple(part.bias for part in parts)),
    }
