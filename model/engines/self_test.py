"""What a loaded encoder must do before it answers anyone: better no service than wrong scores.

Any checkpoint: its tensors are finite, its embeddings finite and of unit length, and an input's embedding depends
neither on when it is asked for nor on its neighbours in the batch. The embedded checkpoint, known by its tensors, must
also give stored answers at every stage, from an RGB image and texts to the embeddings.

`training/answers.py` stores ours; `tests/parity/test_self_test.py` compares them with the reference's.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from model.config import CheckpointError
from model.engines.encoder import Encoder
from model.published import EMBEDDED, EMBEDDED_DIRECTORY

GOLDEN = EMBEDDED_DIRECTORY / EMBEDDED[1] / "self_test.json"
TEXTS = (
    "A PHOTO, of CATS!",
    "ein Foto eines Hundes",
    "snow_leopard",
    "кошка и СОБАКА",
    "猫と犬。",
    "قطة وكلب",
    "गाय और बिल्ली",
    "",
    "car " * 30,
)
# 1 - cosine that two ways to one embedding may differ by; other inputs were 0.2 away and more. Seen on a CPU: float32
# 5e-12 between batches of the base model; bfloat16 2e-4, and 1.4e-3 from float32. The deepest checkpoint is twice as
# deep, and a GPU may compute float32 as TF32, whose rounding errors, squared as here, are 1/64 of bfloat16's.
# int8 is served only where it stays within a cosine of 0.99 of float32's.
TOLERANCE = {"float32": 1e-4, "bfloat16": 1e-2, "int8": 1e-2}
NORM_TOLERANCE = 1e-4  # normalised in float32, whatever the towers' type


class SelfTestFailed(CheckpointError):
    """The loaded checkpoint does not do what it must; the message says what differs."""


def run(encoder: Encoder, reference: Mapping[str, np.ndarray] | None = None) -> None:
    """Tests an encoder that is warm; it computes four images and ten texts.

    Args:
        encoder: Which.
        reference: `test_inputs` with `image_embeddings` [B, E] and `text_embeddings` [K, E], another engine's.

    Raises:
        SelfTestFailed: The message says what differs.
    """
    if names := encoder.not_finite():
        raise SelfTestFailed(f"self-test: not all numbers are finite in {', '.join(names[:5])}")
    given = reference or test_inputs(encoder)
    check_rows(encoder, "an image", encoder.encode_images, given["images"], given.get("image_embeddings"))
    check_rows(encoder, "a text", encoder.encode_texts, given["token_ids"], given.get("text_embeddings"))
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    if encoder.info.sha256 == golden["sha256"]:
        check_golden(encoder, golden)


def test_inputs(encoder: Encoder) -> dict[str, np.ndarray]:
    """Returns prepared `images` [3, S, S, 3], so that a batch of them is padded to four, and `token_ids` [K, L]."""
    pixels = encoder.prepare_image(test_image())
    return {"images": np.stack([pixels, pixels[::-1], 255 - pixels]), "token_ids": encoder.prepare_text(TEXTS)}


def test_image() -> np.ndarray:
    """Returns an image made by a formula, [61, 97, 3] uint8: of odd sides, and with edges for the resizing to show."""
    y, x = np.mgrid[:61, :97]
    return np.stack([3 * x + 5 * y, x * y // 2, x * x + y], axis=-1).astype(np.uint8)


def check_rows(
    encoder: Encoder,
    name: str,
    encode: Callable[[np.ndarray], np.ndarray],
    inputs: np.ndarray,
    expected: np.ndarray | None,
) -> None:
    """Raises `SelfTestFailed` unless embeddings are finite, of unit length, their inputs' own, and as expected."""
    most = encoder.max_batch
    rows = np.concatenate([encode(inputs[start : start + most]) for start in range(0, len(inputs), most)])
    if not np.isfinite(rows).all():
        raise SelfTestFailed(f"self-test: the embedding of {name} is not finite")
    length = np.linalg.norm(rows, axis=-1)[0]
    if abs(length - 1) > NORM_TOLERANCE:
        raise SelfTestFailed(f"self-test: the embedding of {name} has the length {length:.6g}, and not 1")
    last = slice(min(most, len(inputs)) - 1, min(most, len(inputs)))  # of a batch: alone it has another place, too
    compare(encoder, f"{name} at the end of a batch, beside itself alone,", rows[last], encode(inputs[last]))
    if expected is not None:
        compare(encoder, f"{name} in {encoder.info.dtype}, beside float32,", rows, expected)


def check_golden(encoder: Encoder, golden: dict[str, Any]) -> None:
    """Raises `SelfTestFailed` unless pixels, token ids, scale, bias and embeddings are the stored ones."""
    found = answers(encoder, golden["texts"])
    if found["pixels_sha256"] != golden["pixels_sha256"]:
        raise SelfTestFailed("self-test: images are resized to other pixels than those that the checkpoint knows")
    for text, ours, theirs in zip(golden["texts"], found["token_ids"], golden["token_ids"], strict=True):
        if ours != theirs:
            raise SelfTestFailed(f"self-test: {text!r} gives the tokens {ours}, and not {theirs}")
    for name in ("scale", "bias"):
        if not np.isclose(found[name], golden[name], rtol=1e-5):
            raise SelfTestFailed(f"self-test: the {name} is {found[name]:g}, and not {golden[name]:g}")
    for name in ("image_embeddings", "text_embeddings"):
        compare(encoder, f"a row of the stored {name}", np.array(found[name]), np.array(golden[name]))


def compare(encoder: Encoder, name: str, found: np.ndarray, expected: np.ndarray) -> None:
    """Raises `SelfTestFailed` unless each row of `found` [B, E] is as near to `expected` as the dtype allows."""
    lowest = 1 - TOLERANCE[encoder.info.dtype]
    found, expected = (rows / np.linalg.norm(rows.astype(float), axis=-1, keepdims=True) for rows in (found, expected))
    cosine = (found * expected).sum(axis=-1).min()
    if not cosine >= lowest:  # so that NaN fails too
        raise SelfTestFailed(
            f"self-test: {name} is embedded as something else: the cosine is {cosine:.7f}, and not at least {lowest:g}"
        )


def answers(encoder: Encoder, texts: Sequence[str]) -> dict[str, Any]:
    """Returns what an encoder makes of the test image and of texts at every stage, as JSON values."""
    pixels, token_ids = encoder.prepare_image(test_image()), encoder.prepare_text(texts)
    text_embeddings = np.concatenate([encoder.encode_texts(row[None]) for row in token_ids])
    return {
        "sha256": encoder.info.sha256,
        "scale": encoder.scale,
        "bias": encoder.bias,
        "pixels_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "image_embeddings": encoder.encode_images(pixels[None]).astype(float).round(6).tolist(),
        "texts": texts,
        "token_ids": token_ids.tolist(),
        "text_embeddings": text_embeddings.astype(float).round(6).tolist(),
    }
