"""The stored outputs of the self-test, compared with transformers."""

import hashlib
import json

import numpy as np
import torch
from PIL import Image
from transformers import AutoModel, AutoProcessor

from model.engines import self_test
from model.engines.self_test import GOLDEN


def test_the_stored_outputs_equal_those_of_transformers():
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    model = AutoModel.from_pretrained(GOLDEN.parent, dtype="float32")
    processor = AutoProcessor.from_pretrained(GOLDEN.parent)
    batch = processor(
        text=golden["texts"],
        images=Image.fromarray(self_test.test_image()),
        padding="max_length",
        truncation=True,
        return_tensors="pt",
    )
    pixels = ((batch["pixel_values"][0].numpy().astype(float) + 1) * 127.5).round().astype(np.uint8).transpose(1, 2, 0)
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == golden["pixels_sha256"]
    assert batch["input_ids"].tolist() == golden["token_ids"]
    with torch.no_grad():
        output = model(**batch)
    np.testing.assert_allclose(model.logit_scale.exp().item(), golden["scale"], rtol=1e-6)
    np.testing.assert_allclose(model.logit_bias.item(), golden["bias"], rtol=1e-6)
    # Stored with six decimal places; 5e-6 is also the tolerance of test_towers.py.
    np.testing.assert_allclose(output.image_embeds.numpy(), golden["image_embeddings"], rtol=0, atol=5e-6)
    np.testing.assert_allclose(output.text_embeds.numpy(), golden["text_embeddings"], rtol=0, atol=5e-6)
