"""SigLIP and SigLIP 2 in Keras 3: the published variants, a small embedded one, their processor and loss.

    from model import SigLIPBaseP16, SigLIPProcessor

    processor, model = SigLIPProcessor(), SigLIPBaseP16(weights="google_224")
    inputs = processor(text=["a cat", "a dog"], image_paths="photo.jpg")
    output = model({"images": inputs["images"], "token_ids": inputs["input_ids"]})

A library on its own: no HTTP, no asyncio, no settings. Names are imported when they are first used, so that the NumPy
parts (`model.zero_shot`) do not import Keras, which takes seconds.
"""

import os
from importlib import import_module
from typing import Any

from model.published import VARIANTS

# TensorFlow reads it when it is imported, later. Without it, TensorFlow turns oneDNN off on processors without VNNI,
# where it is faster too (docs/speed.md).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

MODULES = dict.fromkeys(VARIANTS, "model.checkpoint.variants") | {
    "CheckpointError": "model.config",
    "SigLIP": "model.network.siglip",
    "SigLIPConfig": "model.config",
    "SigLIPLoss": "model.network.loss",
    "SigLIPProcessor": "model.processor",
    "load_checkpoint": "model.checkpoint.weights",
    "save_checkpoint": "model.checkpoint.weights",
}
__all__ = list(MODULES)


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(MODULES[name]), name)
