"""Scores of labelled files to the result of `siglip evaluate`: which images are used, all numbers, and warnings."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import NamedTuple

import numpy as np
from pydantic import JsonValue
from tqdm import tqdm  # type: ignore[import-untyped]  # it has no types

from app import __version__
from app.cli.evaluated_labels import EvaluatedLabels
from app.cli.evaluation_checks import goal_of
from app.cli.files import NotScored
from app.cli.score_labelled import ScoredFiles
from app.cli.towers import EncoderFacts
from app.evaluation.comparison import compare
from app.evaluation.evaluation import Evaluation, evaluate
from app.evaluation.names import shown
from app.evaluation.presets import Verdict, expected_accuracy, judge
from app.evaluation.result import Warned
from app.evaluation.truth import LabelledImage, LabelledImages, leaks, truth_matrix
from app.inference.identity import installed_version, versions
from app.label_sets.definition import LabelSetDefinition, own_prompts
from app.observability.logs import printable

# Packages that compute the numbers, in addition to those that compute embeddings.
PACKAGES = ("scikit-learn", "scipy")


class Rows(NamedTuple):
    """The images that can be used, N of them, and the others with the reason."""

    images: list[LabelledImage]
    file_of: np.ndarray
    """The index of each image's file, [N]: copies have the same."""
    digests: list[str]
    """Of each image, N."""
    unusable: list[tuple[str, str]]


def usable_rows(
    images: Sequence[LabelledImage],
    digests: Sequence[str | NotScored],
    faults: dict[str, NotScored],
    row_of: dict[str, int],
) -> Rows:
    """Returns the images that every encoder could embed, and the others with the reason."""
    rows = Rows([], np.empty(0, np.intp), [], [])
    for image, digest in zip(images, digests, strict=True):
        fault = faults.get(digest) if isinstance(digest, str) else digest
        if isinstance(digest, NotScored) or fault:
            rows.unusable.append((image.name, str(fault)))
        else:
            rows.images.append(image)
            rows.digests.append(digest)
    return rows._replace(file_of=np.array([row_of[digest] for digest in rows.digests], np.intp))


def report_unusable(rows: Rows, bar: tqdm) -> None:
    """Prints each file that cannot be used, with the reason, and their number."""
    bar.clear()
    for name, fault in rows.unusable:
        print(f"{printable(name)}: {fault}", file=sys.stderr)
    if rows.unusable:
        total = len(rows.unusable) + len(rows.images)
        print(f"not used: {len(rows.unusable):,} of {total:,} files", file=sys.stderr)


def evaluated(
    options: argparse.Namespace, data: LabelledImages, labels: EvaluatedLabels, rows: Rows, scored: ScoredFiles
) -> tuple[Evaluation, Verdict | None]:
    """Returns all numbers, and what a preset says about them."""
    logits = [each[rows.file_of] for each in scored.logits]
    truth = truth_matrix(rows.images, labels.label_of, len(labels.definition.labels))
    facts = scored.facts[0]
    leaked = leaks(rows.images, rows.digests)
    result = evaluate(
        logits[0],
        truth,
        labels.definition.names,
        model_fingerprint=facts.model_fingerprint,
        versions=used_versions(),
        settings=what_was_evaluated(options, facts, labels.definition, rows, leaked),
        names=[image.name for image in rows.images],
        goal=goal_of(options),
        calibrate_by=options.calibrate,
        groups=rows.file_of,
    )
    comparisons = [
        compare(logits[0], other, truth, ("the evaluation", variant.name))
        for other, variant in zip(logits[1:], options.compare, strict=True)
    ]
    warnings = result.warnings + more_warnings(data, labels, rows, leaked)
    result = replace(result, comparisons=comparisons, warnings=warnings)
    if not labels.preset:
        return result, None
    expected = expected_accuracy(labels.preset, facts.variant, facts.weights)
    verdict = judge(labels.preset, expected, result.summary, len(rows.images))
    return replace(result, settings=result.settings | {"preset": asdict(verdict)}), verdict


def what_was_evaluated(
    options: argparse.Namespace,
    facts: EncoderFacts,
    definition: LabelSetDefinition,
    rows: Rows,
    leaked: Sequence[Sequence[str]],
) -> dict[str, JsonValue]:
    """Returns what was evaluated, for the reader of a result."""
    own = sum(own_prompts(label) is not None for label in definition.labels)
    unusable: list[JsonValue] = [{"path": printable(name), "reason": fault} for name, fault in rows.unusable]
    return {
        "data": printable(str(options.data)),
        "model": f"{facts.variant} {facts.weights}",
        **facts.shown,
        "templates": list(definition.templates) if own < len(definition.labels) else [],
        "labels_with_own_prompts": own,
        "different_files": len(set(rows.digests)),
        "unreadable": unusable,
        "leaks": [[printable(name) for name in names] for names in leaked],
    }


def more_warnings(
    data: LabelledImages, labels: EvaluatedLabels, rows: Rows, leaked: Sequence[Sequence[str]]
) -> list[Warned]:
    """Returns what a reader must know about the files."""
    found = []
    if rows.unusable:
        names = shown([printable(name) for name, _ in rows.unusable])
        total = len(rows.unusable) + len(rows.images)
        found.append(
            Warned("unreadable_files", f"Files that cannot be used: {len(rows.unusable):,} of {total:,} ({names}).")
        )
    if leaked:
        names = shown([" = ".join(map(printable, names)) for names in leaked])
        reason = f"Equal files with different labels: {len(leaked):,} ({names}). The labels of one of them are wrong."
        found.append(Warned("copies_with_other_labels", reason))
    if data.outside:
        names = shown([printable(name) for name in data.outside])
        found.append(Warned("files_outside_labels", f"Files in no label's folder: {len(data.outside):,} ({names})."))
    if labels.note:
        found.append(Warned("labels_by_order", f"{labels.note[:1].upper()}{labels.note[1:]}."))
    return found


def used_versions() -> dict[str, str]:
    """Returns the versions of the packages here that compute, and of this one."""
    found = versions() | {package: installed_version(package) for package in PACKAGES}
    return {"siglip-service": __version__} | {name: version for name, version in found.items() if version}
