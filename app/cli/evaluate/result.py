"""Scores of labelled files to the result of `siglip evaluate`: which images are used, all numbers, and warnings."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
from pydantic import JsonValue
from tqdm import tqdm  # type: ignore[import-untyped]  # it has no types

from app.batch.files import NotScored
from app.cli import CommandError
from app.cli.evaluate.checks import goal_of
from app.cli.evaluate.data_sets import DataSets
from app.cli.evaluate.scoring import ScoredFiles
from app.cli.evaluate.wordings import EvaluatedLabels
from app.evaluation.comparison import compare
from app.evaluation.evaluation import Evaluation
from app.evaluation.inputs import Inputs, evaluate_inputs, example_warnings
from app.evaluation.names import shown
from app.evaluation.presets import Verdict, expected_accuracy, judge
from app.evaluation.result import Warned
from app.evaluation.truth import LabelledImage, LabelledImages, truth_matrix
from app.observability.logs import printable


def usable_inputs(data: DataSets, digests: Sequence[str | NotScored], faults: dict[str, NotScored]) -> Inputs:
    """Returns the images that every encoder could embed, and the others with the reason.

    An image to choose on is left out if its file is among those that the numbers are about.

    Args:
        data: The images.
        digests: Of each image the SHA-256 of its file, or the reason why it cannot be used.
        faults: SHA-256 of a file without an embedding -> the reason.
    """
    unusable: list[tuple[str, str]] = []
    reported: list[tuple[LabelledImage, str]] = []
    to_choose_on: list[tuple[LabelledImage, str]] = []
    for number, (image, digest) in enumerate(zip(data.all.images, digests, strict=True)):
        fault = faults.get(digest) if isinstance(digest, str) else digest
        if isinstance(digest, NotScored) or fault:
            unusable.append((image.name, str(fault)))
        else:
            (reported if number < data.num_reported else to_choose_on).append((image, digest))
    name_of = {digest: image.name for image, digest in reversed(reported)}  # of copies, the first one
    used = reported + [(image, digest) for image, digest in to_choose_on if digest not in name_of]
    return Inputs(
        images=[image for image, _ in used],
        digests=[digest for _, digest in used],
        unusable=unusable,
        num_reported=len(reported) if data.num_reported < len(data.all.images) else None,
        in_both=[(name_of[digest], image.name) for image, digest in to_choose_on if digest in name_of],
    )


def check_inputs(inputs: Inputs) -> None:
    """Raises CommandError if there are no images to report on, or none to choose on."""
    if inputs.num_reported == 0 or not inputs.images:
        raise CommandError("no file can be used")
    if inputs.num_reported == len(inputs.images):
        reason = "all of them are in DATA too" if inputs.in_both else "all of them are unreadable"
        raise CommandError(f"no file of --choose-on can be used: {reason}")


def report_unusable(inputs: Inputs, bar: tqdm) -> None:
    """Prints each file that cannot be used, with the reason, and their number."""
    bar.clear()
    for name, fault in inputs.unusable:
        print(f"{printable(name)}: {fault}", file=sys.stderr)
    if inputs.unusable:
        print(f"not used: {len(inputs.unusable):,} of {inputs.num_files:,} files", file=sys.stderr)


def evaluated(
    options: argparse.Namespace,
    data: LabelledImages,
    labels: EvaluatedLabels,
    inputs: Inputs,
    scored: ScoredFiles,
    row_of: dict[str, int],
) -> tuple[Evaluation, Verdict | None]:
    """Returns all numbers, and what a preset says about them.

    Args:
        options: The command's arguments.
        data: The labelled images.
        labels: The labels.
        inputs: The images that can be used.
        scored: The scores of all files.
        row_of: SHA-256 of a file -> its row in the scores.
    """
    rows = [row_of[digest] for digest in inputs.digests]
    logits = [each[rows] for each in scored.logits]
    facts = scored.facts[0]
    settings: dict[str, JsonValue] = {
        "data": [printable(str(path)) for path in options.data],
        "model": f"{facts.variant} {facts.weights}",
        **facts.shown,
    }
    if options.choose_on:
        settings["chosen_on"] = [printable(str(path)) for path in options.choose_on]
    result = evaluate_inputs(
        inputs,
        logits[0],
        labels.definition,
        labels.label_of,
        model_fingerprint=facts.model_fingerprint,
        settings=settings,
        goal=goal_of(options),
        calibrate_by=options.calibrate,
    )
    reported = np.arange(len(rows) if inputs.num_reported is None else inputs.num_reported)
    truth = truth_matrix([inputs.images[row] for row in reported], labels.label_of, len(labels.definition.labels))
    comparisons = [
        compare(logits[0][reported], other[reported], truth, ("the evaluation", variant.name))
        for other, variant in zip(logits[1:], options.compare, strict=True)
    ]
    warnings = [*result.warnings, *data_warnings(data, labels), *example_warnings(inputs, labels.definition)]
    result = replace(result, comparisons=comparisons, warnings=warnings)
    if not labels.preset:
        return result, None
    expected = expected_accuracy(labels.preset, facts.variant, facts.weights)
    verdict = judge(labels.preset, expected, result.summary, result.data.images)
    return replace(result, settings=result.settings | {"preset": asdict(verdict)}), verdict


def data_warnings(data: LabelledImages, labels: EvaluatedLabels) -> list[Warned]:
    """Returns what a reader must know about the folders and their labels."""
    found = []
    if data.outside:
        names = shown([printable(name) for name in data.outside])
        found.append(Warned("files_outside_labels", f"Files in no label's folder: {len(data.outside):,} ({names})."))
    if labels.note:
        found.append(Warned("labels_by_order", f"{labels.note[:1].upper()}{labels.note[1:]}."))
    return found
