"""The inference face on OpenVINO: the same Keras model, its graphs taken from TensorFlow in memory. For the CPU alone.

It shares all but the computing with `model.encoder`, and agrees with it to float32's rounding.
"""

import sys
from typing import Any

import numpy as np

from model.encoder import Encoder, EncoderInfo
from model.processor import SigLIPProcessor
from model.siglip import SigLIP

sys.modules["openvino_telemetry"] = None  # it would tell OpenVINO's maker of every start
import openvino  # noqa: E402

# One caller at a time has all processors; and never bfloat16, which OpenVINO would choose by itself where there is any.
SETTINGS = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}


class OpenVINOEncoder(Encoder):
    """A loaded SigLIP, as the service sees it.

    Args:
        model: With its weights. Its towers are given up once OpenVINO has them.
        processor: Of the same checkpoint.
        info: What to say about it.
        max_batch: The largest batch.
    """

    def __init__(self, model: SigLIP, processor: SigLIPProcessor, info: EncoderInfo, *, max_batch: int):
        super().__init__(model, processor, info, max_batch=max_batch, compile_xla=False)
        self.names_not_finite = super().not_finite()
        vision, text = model.config.vision, model.config.text
        self.image_request = request(self.traced(self.image_tower, (None, *vision.image_size, 3), np.uint8))
        self.text_request = request(self.traced(self.text_tower, (None, text.context_length), np.int32))
        del self.model, self.image_tower, self.text_tower

    def not_finite(self) -> list[str]:
        """Returns the names of the checkpoint's tensors that hold a NaN or an infinity."""
        return self.names_not_finite

    def encode_images(self, images: np.ndarray) -> np.ndarray:
        """Returns image embeddings, [B, E] float32, L2-normalised, from [B, S, S, 3] uint8; 1 <= B <= max_batch."""
        return self.infer(self.image_request, images)

    def encode_texts(self, token_ids: np.ndarray) -> np.ndarray:
        """Returns text embeddings, [B, E] float32, L2-normalised, from [B, L] int32; 1 <= B <= max_batch."""
        return self.infer(self.text_request, token_ids)

    def infer(self, tower: openvino.InferRequest, batch: np.ndarray) -> np.ndarray:
        """Returns a tower's answer, in memory of its own: OpenVINO writes the next one over this one."""
        self.check_rows(batch)
        return tower.infer({0: batch})[0].copy()


def request(traced: Any) -> openvino.InferRequest:
    """Returns OpenVINO's form of a TensorFlow function of one batch, of any size."""
    return openvino.compile_model(openvino.convert_model(traced), "CPU", SETTINGS).create_infer_request()
