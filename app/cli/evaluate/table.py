"""The result of `siglip evaluate` as a table for people. Numbers come first, since labels have any length and width."""

from collections.abc import Iterator

from app.evaluation.comparison import Comparison, Difference
from app.evaluation.evaluation import Evaluation
from app.evaluation.held_out import Accepted
from app.evaluation.result import Estimate
from app.evaluation.statements import how_chosen
from app.observability.logs import printable

ROWS = 10  # labels and confusions; --json and --report have all


def evaluation_table(evaluation: Evaluation) -> str:
    """Returns the table, several lines."""
    parts = (_summary, _labels, _confusions, _choosing, _thresholds, _calibration, _comparisons)
    blocks = ["\n".join(lines) for part in parts if (lines := list(part(evaluation)))]
    return "\n\n".join(blocks) + "\n"


def _summary(evaluation: Evaluation) -> Iterator[str]:
    data, summary = evaluation.data, evaluation.summary
    none = f", {data.none_images:,} images of none of them" if data.none_images else ""
    yield f"images {data.images:,}, labels {data.labels:,}{none}"
    yield "  value  95 % interval"
    rows: list[tuple[str, Estimate | None]] = [
        ("top-1", summary.top1),
        ("top-5", summary.top5),
        ("macro precision", summary.macro_precision),
        ("macro recall", summary.macro_recall),
        ("macro F1", summary.macro_f1),
        ("mean average precision", summary.map),
        ("false accepts at sigmoid 0.5", summary.false_accept_rate),
        ("calibration error of the sigmoid", Estimate(evaluation.reliability.answers.expected_calibration_error)),
    ]
    for name, estimate in rows:
        if estimate is not None:
            yield f"{estimate.value:7.4f}  {_interval(estimate):16}  {name}"


def _interval(estimate: Estimate | None) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    return f"{estimate.low:.4f} to {estimate.high:.4f}"


def _number(value: float | None) -> str:
    return "      -" if value is None else f"{value:7.4f}"


def _labels(evaluation: Evaluation) -> Iterator[str]:
    known = sorted((label for label in evaluation.per_label if label.support), key=lambda label: label.f1 or 0)
    if not known:
        return
    yield "     F1  precision   recall  images  label, the lowest F1 first"
    for label in known[:ROWS]:
        numbers = f"{_number(label.f1)}    {_number(label.precision)}  {_number(label.recall)}  {label.support:6,}"
        yield f"{numbers}  {printable(label.label)}"
    if len(known) > ROWS:
        yield f"and {len(known) - ROWS:,} more labels"


def _confusions(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.confusions:
        yield " images  true label -> best label"
    names = [printable(label) for label in evaluation.labels]
    for confusion in evaluation.confusions[:ROWS]:
        yield f"{confusion.images:7,}  {names[confusion.true]} -> {names[confusion.predicted]}"


def _choosing(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.thresholds or evaluation.calibration:
        yield printable(how_chosen(evaluation))


def _thresholds(evaluation: Evaluation) -> Iterator[str]:
    thresholds = evaluation.thresholds
    if not thresholds:
        return
    asked = "the best F1" if thresholds.asked is None else f"a precision of {thresholds.asked:g}"
    one = "none reaches it" if thresholds.threshold is None else f"{thresholds.threshold:.4g}"
    own = sum(label.source == "label" for label in thresholds.per_label)
    nothing = sum(label.threshold is None for label in thresholds.per_label)
    yield f"thresholds for {asked}; for the set: {one}"
    yield f"labels with their own threshold: {own:,}; labels that accept nothing: {nothing:,}"
    for name, accepted in (
        ("one threshold for the set", thresholds.with_set_threshold),
        ("a threshold for each label", thresholds.with_label_thresholds),
    ):
        if accepted:
            yield from _accepted(name, accepted)


def _accepted(name: str, accepted: Accepted) -> Iterator[str]:
    yield f"with {name}, on images not used for choosing:"
    for what, estimate in (
        ("precision of the accepted answers", accepted.precision),
        ("recall", accepted.recall),
        ("images with an accepted label", Estimate(accepted.coverage)),
        ("false accepts of images without a label", accepted.false_accept_rate),
    ):
        if estimate is not None:
            yield f"{estimate.value:7.4f}  {_interval(estimate):16}  {what}"


def _calibration(evaluation: Evaluation) -> Iterator[str]:
    calibration = evaluation.calibration
    if not calibration:
        return
    yield f"calibration: slope {calibration.slope:.4f}, intercept {calibration.intercept:.4f}"
    if calibration.before and calibration.after:
        errors = (each.answers.expected_calibration_error for each in (calibration.before, calibration.after))
        before, after = errors
        yield f"calibration error on images not used for fitting: {before:.4f} before, {after:.4f} after"


def _comparisons(evaluation: Evaluation) -> Iterator[str]:
    for comparison in evaluation.comparisons:
        yield f"{printable(comparison.second)} compared with {printable(comparison.first)}:"
        yield from _comparison(comparison)


def _comparison(comparison: Comparison) -> Iterator[str]:
    differences: list[tuple[str, Difference | None]] = [
        ("top-1", comparison.top1),
        ("macro F1", comparison.macro_f1),
        ("mean average precision", comparison.map),
    ]
    for name, each in differences:
        if each:
            change = each.difference
            ends = "" if change.low is None or change.high is None else f"{change.low:+.4f} to {change.high:+.4f}"
            yield f"{change.value:+7.4f}  {ends:18}  {name}: {each.second:.4f} instead of {each.first:.4f}"
