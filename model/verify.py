"""Compares published outputs of the published checkpoints with what this code computes from a local checkpoint.

`published.json` has the published values ("facts") and their sources. This module returns lines and prints nothing. It
does not download images: without its image, a fact is "not checked", and the remark has the image's URL.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from model.checkpoint.hf_config import read_config
from model.checkpoint.hub import checkpoint_directory, sha256
from model.checkpoint.variants import load_model
from model.config import CheckpointError, SigLIPConfig
from model.network.siglip import SigLIP
from model.preprocess import ImageLike
from model.processor import SigLIPProcessor, read_image
from model.published import VARIANTS
from model.zero_shot import sigmoid

Fact = Mapping[str, Any]
Verdict = Literal["pass", "fail", "not checked"]


class Line(NamedTuple):
    """One comparison. `remark` has the source of the expected value, and the reason for the tolerance."""

    name: str
    expected: str
    actual: str
    tolerance: str
    verdict: Verdict
    remark: str


def published_facts() -> dict[str, Any]:
    """Returns `published.json`: the facts, and the URLs of the images."""
    facts: dict[str, Any] = json.loads((Path(__file__).parent / "published.json").read_text(encoding="utf-8"))
    return facts


def published_name(config: SigLIPConfig) -> tuple[str, str]:
    """Returns the variant and weights with this architecture, vocabulary size and image size.

    Raises:
        CheckpointError: There are no published values for such a checkpoint.
    """
    known = {fact["checkpoint"] for fact in published_facts()["facts"]}
    for variant, named in VARIANTS.items():
        for weights, published in named.items():
            if f"{variant} {weights}" in known and published.config == config:
                return variant, weights
    raise CheckpointError(
        "there are no published values for a checkpoint of this architecture, so there is nothing to compare"
    )


def verify_weights(variant: str | None, weights: str, images: Mapping[str, Path]) -> list[Line]:
    """Returns the lines for a checkpoint, given by name, directory or hub id; see `verify`.

    Raises:
        CheckpointError: It cannot be loaded, or there are no published values for it.
    """
    directory = checkpoint_directory(variant, weights)
    names = published_name(read_config(directory))
    model, processor = load_model(variant, directory), SigLIPProcessor(weights=directory)
    return verify(directory, names, model, processor, images, published_facts())


def verify(
    directory: Path,
    names: tuple[str, str],
    model: SigLIP,
    processor: SigLIPProcessor,
    images: Mapping[str, Path],
    published: Mapping[str, Any],
) -> list[Line]:
    """Returns a line for each published fact about a checkpoint.

    Args:
        directory: The checkpoint.
        names: Its variant and weights.
        model: Its model, in float32.
        processor: Its processor.
        images: Paths of published images, by their names in `published`.
        published: The result of `published_facts`.
    """
    known = VARIANTS[names[0]][names[1]].sha256
    lines = [compare_hash(directory / name, digest) for name, digest in known.items()]
    about = {" ".join(names)} | ({"c4_en"} if "spiece.model" in known else set())
    for fact in published["facts"]:
        if fact["checkpoint"] in about:
            lines.append(compare(fact, model, processor, images, published["images"]))
    return lines


def compare_hash(path: Path, digest: str) -> Line:
    """Returns the line for one file."""
    found = sha256(path) if path.is_file() else "no such file"
    verdict: Verdict = "pass" if found == digest else "fail" if path.is_file() else "not checked"
    return Line(f"sha256 of {path.name}", digest, found, "exact", verdict, "the hub's file")


def compare(
    fact: Fact,
    model: SigLIP,
    processor: SigLIPProcessor,
    images: Mapping[str, Path],
    sources: Mapping[str, Mapping[str, str]],
) -> Line:
    """Returns the line for one fact."""
    subject = [*map(ascii, fact.get("texts", [])), *(ascii(fact["text"]) for _ in range("text" in fact))]
    name = " ".join([fact["kind"].replace("_", " "), *subject, *([f"in {fact['image']}"] if "image" in fact else [])])
    expected, tolerance = np.atleast_1d(fact["expected"]), fact["tolerance"]
    remark = "; ".join(fact[key] for key in ("source", "why") if key in fact)
    unchecked = Line(name, joined(expected), "-", f"{tolerance:g}", "not checked", remark)
    if "image" in fact and (problem := image_problem(fact["image"], images, sources)):
        return unchecked._replace(remark=problem)
    if fact["kind"] == "token_ids":
        expected = expected[: processor.tokenizer.context_length - 1]
    actual = np.atleast_1d(KINDS[fact["kind"]](fact, model, processor, images))
    agrees = actual.shape == expected.shape and bool(np.all(np.abs(actual - expected) <= tolerance))
    return unchecked._replace(expected=joined(expected), actual=joined(actual), verdict="pass" if agrees else "fail")


def image_problem(name: str, images: Mapping[str, Path], sources: Mapping[str, Mapping[str, str]]) -> str | None:
    """Returns why a published image cannot be used, or None if it can."""
    url, digest = sources[name]["url"], sources[name].get("sha256")
    if name not in images:
        return f"{name} was not given; download it from {url}"
    if digest and (found := sha256(images[name])) != digest:
        return f"{images[name]} is not the image from {url}: its sha256 is {found}"
    return None


def joined(values: np.ndarray) -> str:
    """Returns the numbers as text, separated by spaces."""
    return " ".join(f"{value:.7g}" for value in values)


def token_ids(fact: Fact, _model: SigLIP, processor: SigLIPProcessor, _images: Mapping[str, Path]) -> np.ndarray:
    """Returns the ids without </s>, id 1, at the end and in the padding."""
    (row,) = processor(text=fact["text"])["input_ids"]
    return np.asarray(np.trim_zeros(row - 1, "b") + 1)


def pooled_text(fact: Fact, model: SigLIP, processor: SigLIPProcessor, _images: Mapping[str, Path]) -> np.ndarray:
    """Returns the norm and the first six values of the text tower's output, [7]."""
    (pooled,) = np.asarray(model.text(processor(text=fact["text"])["input_ids"]))
    return np.array([np.linalg.norm(pooled), *pooled[:6]])


def logits(fact: Fact, model: SigLIP, processor: SigLIPProcessor, images: Mapping[str, Path]) -> np.ndarray:
    """Returns the logits of one image, [K]."""
    rgb: ImageLike = read_image(images[fact["image"]])
    if fact.get("resize") == "bilinear":
        # The processor does not change an image that has the right size already.
        rgb = bilinear(np.asarray(rgb), processor.preprocessor.shape)
    inputs = processor(text=fact["texts"], images=rgb)
    (row,) = np.asarray(model({"images": inputs["images"], "token_ids": inputs["input_ids"]})["image_logits"])
    return np.asarray(row)


def text_head_is_identity(_fact: Fact, model: SigLIP, *_: object) -> float:
    """Returns 1 if the text head's kernel is the identity matrix, else 0."""
    kernel = np.asarray(model.text.head.kernel)
    return float(kernel.shape[0] == kernel.shape[1] and np.allclose(kernel, np.eye(len(kernel))))


KINDS: Mapping[str, Callable[..., np.ndarray | float]] = {
    "scale": lambda _fact, model, *_: np.exp(np.float64(model.logit_scale)),
    "log_scale": lambda _fact, model, *_: float(model.logit_scale),
    "bias": lambda _fact, model, *_: float(model.logit_bias),
    "token_ids": token_ids,
    "pooled_text": pooled_text,
    "text_head_is_identity": text_head_is_identity,
    "logits": logits,
    "sigmoid": lambda *inputs: sigmoid(logits(*inputs)),
}


def bilinear(rgb: np.ndarray, image_size: tuple[int, ...]) -> np.ndarray:
    """Returns an image resized as in big_vision: `tf.image.resize` without antialiasing, then truncated to uint8."""
    values = rgb.astype(np.float32)
    for axis, size in ((1, image_size[1]), (0, image_size[0])):
        centres = np.maximum((np.arange(size) + 0.5) * values.shape[axis] / size - 0.5, 0)
        low = centres.astype(int)
        high = np.minimum(low + 1, values.shape[axis] - 1)
        share = np.float32(centres - low).reshape([-1 if i == axis else 1 for i in range(3)])
        values = values.take(low, axis) + (values.take(high, axis) - values.take(low, axis)) * share
    return values.clip(0, 255).astype(np.uint8)
