"""SigLIP and SigLIP 2 in Keras 3: the published sizes, the embedded small one, their processor and loss.

    from model import SigLIPBaseP16, SigLIPProcessor

    processor, model = SigLIPProcessor(), SigLIPBaseP16(weights="google_224")
    inputs = processor(text=["a cat", "a dog"], image_paths="photo.jpg")
    output = model({"images": inputs["images"], "token_ids": inputs["input_ids"]})

A library on its own: no HTTP, no asyncio, no settings. Names are imported when they are first used, so that the
NumPy parts (`model.zero_shot`) do not pull in Keras, which takes seconds.
"""

import os
from importlib import import_module
from typing import Any

# For TensorFlow, which is imported later. It would leave oneDNN off on processors without VNNI, where it takes less
# time too (docs/speed.md).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

FRONT_DOOR = {
    "CheckpointError": "model.config",
    "SigLIP": "model.network.siglip",
    "SigLIP2BaseP16": "model.checkpoint.variants",
    "SigLIP2BaseP32": "model.checkpoint.variants",
    "SigLIP2GiantOptP16": "model.checkpoint.variants",
    "SigLIP2LargeP16": "model.checkpoint.variants",
    "SigLIP2So400mP14": "model.checkpoint.variants",
    "SigLIP2So400mP16": "model.checkpoint.variants",
    "SigLIPBaseP16": "model.checkpoint.variants",
    "SigLIPConfig": "model.config",
    "SigLIPLargeP16": "model.checkpoint.variants",
    "SigLIPLoss": "model.network.loss",
    "SigLIPProcessor": "model.processor",
    "SigLIPSo400mP14": "model.checkpoint.variants",
    "SigLIPTinyP16": "model.checkpoint.variants",
    "load_checkpoint": "model.checkpoint.weights",
    "save_checkpoint": "model.checkpoint.weights",
}
__all__ = list(FRONT_DOOR)


def __getattr__(name: str) -> Any:
    if name not in FRONT_DOOR:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(FRONT_DOOR[name]), name)
