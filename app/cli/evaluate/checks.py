"""The conditions of `siglip evaluate`: mistakes in its arguments, and what makes its exit status 1."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from app.cli import MISTAKE, CommandError
from app.evaluation.comparison import METRICS, Check, check_baseline, check_fail_under
from app.evaluation.evaluation import Evaluation, from_json
from app.evaluation.metrics import Summary
from app.evaluation.names import DataError, read_bytes
from app.evaluation.presets import Verdict
from app.evaluation.result import Estimate
from app.evaluation.thresholds import Goal, check_goal
from app.observability.logs import printable

# Values with which every condition can be checked, to find malformed ones.
ALL_KNOWN = Summary(**dict.fromkeys(METRICS, Estimate(1.0)), false_accept_rate=None)


def check_options(options: argparse.Namespace) -> None:
    """Finds mistakes that can be seen before anything is read.

    Raises:
        CommandError: There is one.
    """
    if options.label_set and not options.server:
        raise CommandError("--label-set needs a running service: name it with --server", MISTAKE)
    if options.preset and (options.labels_file or options.label_set or options.template):
        raise CommandError("--preset has published texts: leave out --labels-file, --label-set and --template", MISTAKE)
    if not (options.precision is not None or options.f1 or options.calibrate):
        if options.write_label_set:
            message = "--write-label-set needs --precision, --f1 or --calibrate: what shall it contain?"
            raise CommandError(message, MISTAKE)
        if options.choose_on:
            raise CommandError("--choose-on needs --precision, --f1 or --calibrate: what shall be chosen?", MISTAKE)
    if options.write_label_set and options.write_label_set.suffix != ".json":
        raise CommandError("--write-label-set writes a .json file", MISTAKE)
    for path in (options.write_label_set, options.report):
        if path and not path.parent.is_dir():
            raise CommandError(f"there is no folder {printable(str(path.parent))}", MISTAKE)
    try:
        if options.precision is not None:
            check_goal(options.precision)
        for condition in options.fail_under:
            check_fail_under(ALL_KNOWN, condition)
    except ValueError as error:
        raise CommandError(str(error), MISTAKE) from None


def goal_of(options: argparse.Namespace) -> Goal | None:
    """Returns the goal of thresholds, or None."""
    precision: float | None = options.precision
    return "f1" if options.f1 else precision


def read_baseline(path: Path) -> Evaluation:
    """Returns a stored result.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return from_json(read_bytes(path))
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def run_checks(options: argparse.Namespace, evaluation: Evaluation, baseline: Evaluation | None) -> Iterator[Check]:
    """Yields the result of each condition.

    Raises:
        CommandError: A metric cannot be computed for these images.
    """
    try:
        for condition in options.fail_under:
            yield check_fail_under(evaluation.summary, condition)
    except ValueError as error:
        raise CommandError(str(error), MISTAKE) from None
    if baseline:
        yield from check_baseline(evaluation.summary, baseline.summary)


def other_images(evaluation: Evaluation, baseline: Evaluation) -> str:
    """Returns a note if a baseline was measured with other images or labels, or ""."""
    if (evaluation.data.images, evaluation.labels) == (baseline.data.images, baseline.labels):
        return ""
    return (
        f"the baseline has {baseline.data.images:,} images and {len(baseline.labels):,} labels, this evaluation "
        f"{evaluation.data.images:,} and {len(evaluation.labels):,}: they may not be comparable"
    )


def failed_checks(
    options: argparse.Namespace, evaluation: Evaluation, baseline: Evaluation | None, verdict: Verdict | None
) -> bool:
    """Prints the result of each condition on stderr. Returns whether one is not fulfilled.

    Raises:
        CommandError: A metric cannot be computed for these images.
    """
    checks = [(check.passed, check.message) for check in run_checks(options, evaluation, baseline)]
    if verdict:
        checks.append((verdict.within, verdict.sentence))
    for passed, message in checks:
        print(f"{'passed' if passed else 'FAILED'}: {message}", file=sys.stderr)
    if baseline and (note := other_images(evaluation, baseline)):
        print(f"warning: {note}", file=sys.stderr)
    return not all(passed for passed, _ in checks)
