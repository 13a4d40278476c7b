"""The self-test of a loaded encoder, run before the first request: no service is better than wrong scores.

For every checkpoint it checks that all tensors are finite, that embeddings are finite and have unit length, and that an
input's embedding is the same each time and does not depend on the other inputs of its batch. For the embedded
checkpoint, recognised by the sha256 of its tensors, it also compares every stage, from an RGB image and texts to the
embeddings, with stored answers.

`training/answers.py` stores the answers; `tests/parity/test_self_test.py` compares them with the reference's.
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
# The largest 1 - cosine between two computations of one embedding; for different inputs it was at least 0.2.
# Measured with the base model on a CPU: float32 differed by 5e-12 between batches, bfloat16 by 2e-4, and bfloat16 from
# float32 by 1.4e-3. The square of the rounding error counts here: TF32's and float16's is 1/64 of bfloat16's, and
# benchmarks/fidelity.py has their emulated difference from float32. The deepest checkpoint has about twice the layers.
# int8 is used only if its cosine with float32 is at least 0.99.
TOLERANCE = {"float32": 1e-4, "tf32": 1e-4, "float16": 1e-4, "bfloat16": 1e-2, "int8": 1e-2}
NORM_TOLERANCE = 1e-4  # embeddings are normalised in float32 for every dtype


class SelfTestFailed(CheckpointError):
    """The loaded checkpoint gives wrong results; the message says which."""


def run(encoder: Encoder, reference: Mapping[str, np.ndarray] | None = None) -> None:
    """Tests an encoder that is warmed up, with four images and ten texts.

    Args:
        encoder: The encoder.
        reference: `test_inputs` with their `image_embeddings` [B, E] and `text_embeddings` [K, E], from another engine.

    Raises:
        SelfTestFailed: A result is wrong; the message says which.
    """
    if names := encoder.not_finite():
        raise SelfTestFailed(f"self-test: NaN or infinity in {', '.join(names[:5])}")
    given = reference or test_inputs(encoder)
    check_rows(encoder, "an image", encoder.encode_images, given["images"], given.get("image_embeddings"))
    check_rows(encoder, "a text", encoder.encode_texts, given["token_ids"], given.get("text_embeddings"))
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    if encoder.info.sha256 == golden["sha256"]:
        check_golden(encoder, golden)


def test_inputs(encoder: Encoder) -> dict[str, np.ndarray]:
    """Returns prepared `images` [3, *shape], three so that their batch is padded to four, and `token_ids` [K, L].

    The images have different shapes, because a NaFlex masks the padding of each.
    """
    image = test_image()
    images = [encoder.preprocessor(rgb) for rgb in (image, image.swapaxes(0, 1), 255 - image[:, :20])]
    return {"images": np.stack(images), "token_ids": encoder.prepare_text(TEXTS)}


def test_image() -> np.ndarray:
    """Returns an image made by a formula, [61, 97, 3] uint8; odd sides and sharp edges make resizing errors visible."""
    y, x = np.mgrid[:61, :97]
    return np.stack([3 * x + 5 * y, x * y // 2, x * x + y], axis=-1).astype(np.uint8)


def check_rows(
    encoder: Encoder,
    name: str,
    encode: Callable[[np.ndarray], np.ndarray],
    inputs: np.ndarray,
    expected: np.ndarray | None,
) -> None:
    """Raises `SelfTestFailed` unless embeddings are finite, of unit length, independent of the batch and as expected.

    Args:
        encoder: The encoder.
        name: "an image" or "a text", for messages.
        encode: The encoder's method for these inputs.
        inputs: Images [B, S, S, 3] or token ids [B, L].
        expected: Their embeddings [B, E] from another engine; None skips this comparison.
    """
    size = encoder.max_batch
    rows = np.concatenate([encode(inputs[start : start + size]) for start in range(0, len(inputs), size)])
    if not np.isfinite(rows).all():
        raise SelfTestFailed(f"self-test: NaN or infinity in the embedding of {name}")
    length = np.linalg.norm(rows, axis=-1)[0]
    if abs(length - 1) > NORM_TOLERANCE:
        raise SelfTestFailed(f"self-test: the embedding of {name} has length {length:.6g} instead of 1")
    # The last input of the first batch: alone, it is also at another index.
    last = slice(min(size, len(inputs)) - 1, min(size, len(inputs)))
    compare(encoder, f"the embeddings of {name} at the end of a batch and alone", rows[last], encode(inputs[last]))
    if expected is not None:
        compare(
            encoder, f"the embeddings of {name} in {encoder.info.dtype} and in the float32 reference", rows, expected
        )


def check_golden(encoder: Encoder, golden: dict[str, Any]) -> None:
    """Raises `SelfTestFailed` unless pixels, token ids, scale, bias and embeddings equal the stored ones."""
    found = answers(encoder, golden["texts"])
    if found["pixels_sha256"] != golden["pixels_sha256"]:
        raise SelfTestFailed("self-test: the pixels of the resized test image differ from the stored ones")
    for text, token_ids, stored in zip(golden["texts"], found["token_ids"], golden["token_ids"], strict=True):
        if token_ids != stored:
            raise SelfTestFailed(f"self-test: {text!r} gives the token ids {token_ids} instead of {stored}")
    for name in ("scale", "bias"):
        if not np.isclose(found[name], golden[name], rtol=1e-5):
            raise SelfTestFailed(f"self-test: the {name} is {found[name]:g} instead of {golden[name]:g}")
    for name in ("image_embeddings", "text_embeddings"):
        compare(encoder, f"the computed and the stored {name}", np.array(found[name]), np.array(golden[name]))


def compare(encoder: Encoder, both: str, found: np.ndarray, expected: np.ndarray) -> None:
    """Raises `SelfTestFailed` unless `found` and `expected`, both [B, E], agree within the dtype's tolerance."""
    lowest = 1 - TOLERANCE[encoder.info.dtype]
    found, expected = (rows / np.linalg.norm(rows.astype(float), axis=-1, keepdims=True) for rows in (found, expected))
    cosine = (found * expected).sum(axis=-1).min()
    if not cosine >= lowest:  # true for NaN too
        raise SelfTestFailed(f"self-test: {both} differ: their cosine is {cosine:.7f}, but must be at least {lowest:g}")


def answers(encoder: Encoder, texts: Sequence[str]) -> dict[str, Any]:
    """Returns the results of every stage for the test image and texts, as JSON values."""
    pixels, token_ids = encoder.preprocessor(test_image()), encoder.prepare_text(texts)
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
