"""Scored images with their true labels to a result that also says what was evaluated, and which images were not."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from pydantic import JsonValue

from app import __version__
from app.evaluation.answers import Logits
from app.evaluation.calibration import By
from app.evaluation.evaluation import Evaluation, evaluate
from app.evaluation.names import shown
from app.evaluation.result import Warned
from app.evaluation.thresholds import Goal
from app.evaluation.truth import LabelledImage, leaks, truth_matrix
from app.inference.embeddings import encode_row
from app.inference.identity import installed_version, versions
from app.label_sets.definition import LabelSetDefinition, own_prompts
from app.label_sets.examples import Example
from app.observability.logs import printable
from model.config import EncoderInfo

# Packages that compute the numbers, in addition to those that compute embeddings.
PACKAGES = ("scikit-learn", "scipy")


class Inputs(NamedTuple):
    """The images of an evaluation: N that can be used, and the others with the reason."""

    images: list[LabelledImage]
    digests: list[str]
    """Of each image, N; copies of an image have the same."""
    unusable: list[tuple[str, str]]
    """The name, and the reason."""
    num_reported: int | None = None
    """All numbers are about so many images, the first ones; thresholds and calibration are chosen on the others. None:
    everything is about all images."""
    in_both: Sequence[tuple[str, str]] = ()
    """Names of equal files: the first is reported on, so the second is not used to choose on."""

    @property
    def num_files(self) -> int:
        """The number of all files, also of those that are not used."""
        return len(self.images) + len(self.unusable) + len(self.in_both)


def evaluate_inputs(
    inputs: Inputs,
    logits: Logits,
    definition: LabelSetDefinition,
    label_of: Sequence[int],
    *,
    model_fingerprint: str,
    settings: Mapping[str, JsonValue],
    goal: Goal | None = None,
    calibrate_by: By | None = None,
) -> Evaluation:
    """Returns all numbers. Copies of an image are never separated.

    Args:
        inputs: The images.
        logits: Their scores, [N, K].
        definition: The K labels.
        label_of: The index of the label that each key of the images stands for.
        model_fingerprint: Which weights and rules made the logits.
        settings: What was evaluated, as the caller describes it. The images and the texts are added.
        goal: Thresholds to choose, or None.
        calibrate_by: Calibration to fit, or None.
    """
    leaked = leaks(inputs.images, inputs.digests)
    place_of: dict[str, int] = {}
    result = evaluate(
        logits,
        truth_matrix(inputs.images, label_of, len(definition.labels)),
        definition.names,
        model_fingerprint=model_fingerprint,
        versions=used_versions(),
        settings={**settings, **described_texts(definition), **described_images(inputs, leaked)},
        names=[image.name for image in inputs.images],
        goal=goal,
        calibrate_by=calibrate_by,
        groups=[place_of.setdefault(digest, len(place_of)) for digest in inputs.digests],
        chosen_on=None if inputs.num_reported is None else np.arange(len(logits)) >= inputs.num_reported,
    )
    unusable = unusable_warnings([name for name, _ in inputs.unusable], inputs.num_files)
    copies = [*in_both_warnings(inputs.in_both), *copies_warnings(leaked)]
    return replace(result, warnings=[*result.warnings, *unusable, *copies])


def renumbered(evaluation: Evaluation, numbers: Sequence[int]) -> Evaluation:
    """Returns the result with the caller's numbers of its N images instead of their rows."""
    mistakes, doubtful = (
        [replace(answer, image=numbers[answer.image]) for answer in answers]
        for answers in (evaluation.mistakes, evaluation.doubtful)
    )
    return replace(evaluation, mistakes=mistakes, doubtful=doubtful)


def described_model(info: EncoderInfo) -> dict[str, JsonValue]:
    """Returns the encoder, for the reader of a result."""
    return {
        "model": f"{info.variant} {info.weights}",
        "engine": info.engine,
        "dtype": info.dtype,
        "device": info.device,
        "weights_sha256": info.sha256,
    }


def described_texts(definition: LabelSetDefinition) -> dict[str, JsonValue]:
    """Returns the wording of the labels, for the reader of a result."""
    own = sum(own_prompts(label) is not None for label in definition.labels)
    templates: list[JsonValue] = list(definition.templates) if own < len(definition.labels) else []
    return {"templates": templates, "labels_with_own_prompts": own}


def described_images(inputs: Inputs, leaked: Sequence[Sequence[str]]) -> dict[str, JsonValue]:
    """Returns the images, for the reader of a result."""
    facts: dict[str, JsonValue] = {
        "different_files": len(set(inputs.digests[: inputs.num_reported])),
        "unreadable": [{"path": printable(name), "reason": fault} for name, fault in inputs.unusable],
        "leaks": [[printable(name) for name in names] for names in leaked],
    }
    if inputs.num_reported is not None:
        facts["in_both"] = [[printable(name) for name in names] for names in inputs.in_both]
    return facts


def unusable_warnings(names: Sequence[str], total: int) -> list[Warned]:
    """Returns a warning about the images of `total` that cannot be used, or none."""
    if not names:
        return []
    reason = f"Files that cannot be used: {len(names):,} of {total:,} ({shown(list(map(printable, names)))})."
    return [Warned("unreadable_files", reason)]


def in_both_warnings(in_both: Sequence[Sequence[str]]) -> list[Warned]:
    """Returns a warning about images to choose on that are also reported on, or none."""
    if not in_both:
        return []
    reason = (
        f"Files to choose on that are also reported on: {len(in_both):,} ({equal_files(in_both)}). They are not used."
    )
    return [Warned("files_in_both", reason)]


def copies_warnings(leaked: Sequence[Sequence[str]]) -> list[Warned]:
    """Returns a warning about equal images with different labels, or none."""
    if not leaked:
        return []
    count, names = len(leaked), equal_files(leaked)
    reason = f"Equal files with different labels: {count:,} ({names}). The labels of one of them are wrong."
    return [Warned("copies_with_other_labels", reason)]


def equal_files(groups: Sequence[Sequence[str]]) -> str:
    """Returns the names of equal files, the first groups of them."""
    return shown([" = ".join(map(printable, names)) for names in groups])


def example_warnings(inputs: Inputs, definition: LabelSetDefinition, rows: np.ndarray | None = None) -> list[Warned]:
    """Returns a warning about images that are examples of the label set, or none.

    Args:
        inputs: N images.
        definition: The label set, which has learnt from its examples.
        rows: The embeddings of the images, [N, E] float32, if their files are not known: an example is recognised by
            its file or by its embedding.
    """
    known = {
        value
        for example in definition.examples
        if isinstance(example, Example)
        for value in (example.digest, example.embedding)
    }
    found = [
        image.name
        for index, (image, digest) in enumerate(zip(inputs.images, inputs.digests, strict=True))
        if known and (digest in known or (rows is not None and encode_row(rows[index], "base64") in known))
    ]
    if not found:
        return []
    reason = (
        f"Images that are examples of the label set: {len(found):,} ({shown(list(map(printable, found)))}). It has "
        "learnt them, so the numbers are too good. Evaluate other images."
    )
    return [Warned("images_in_examples", reason)]


def used_versions() -> dict[str, str]:
    """Returns the versions of the packages here that compute, and of this one."""
    found = versions() | {package: installed_version(package) for package in PACKAGES}
    return {"siglip-service": __version__} | {name: version for name, version in found.items() if version}
