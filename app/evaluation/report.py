"""The report of an evaluation: one HTML file that needs no network and runs no script."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template

from app.evaluation.evaluation import Evaluation, ImageAnswer
from app.evaluation.held_out import Accepted
from app.evaluation.plots import coverage_plot, precision_recall_plot, reliability_plot
from app.evaluation.result import Estimate
from app.evaluation.statements import how_chosen, warning_text
from app.evaluation.tables import (
    FEW_LABELS,
    comparison_table,
    confusion_matrix,
    confusion_table,
    interval,
    label_table,
    matrix_labels,
    number,
    table,
)

JPEG = b"\xff\xd8\xff"


def render_report(
    evaluation: Evaluation, thumbnails: Mapping[int, bytes] | None = None, title: str = "Evaluation"
) -> str:
    """Returns the HTML.

    Args:
        evaluation: The numbers.
        thumbnails: Row of an image -> a small JPEG. `evaluation.mistakes` and `evaluation.doubtful` name the rows that
            are shown; an image without a thumbnail is shown by its name.
        title: The heading.

    Raises:
        ValueError: A thumbnail is not a JPEG.
    """
    for image, data in (thumbnails or {}).items():
        if not data.startswith(JPEG):
            raise ValueError(f"the thumbnail of image {image + 1} is not a JPEG")
    sections = (
        _summary(evaluation),
        _thresholds(evaluation),
        _comparisons(evaluation),
        _plots(evaluation),
        _confusions(evaluation),
        _labels(evaluation),
        _images("The most confident mistakes", evaluation.mistakes, evaluation, thumbnails or {}),
        _images("The most doubtful images", evaluation.doubtful, evaluation, thumbnails or {}),
        _facts(evaluation),
    )
    page = files("app.evaluation").joinpath("report.html").read_text(encoding="utf-8")
    body = "\n".join(part for section in sections for part in section)
    return Template(page).substitute(title=escape(title), policy=_policy(page), body=body)


def _policy(page: str) -> str:
    """Returns a Content Security Policy that allows this style sheet and images inside the file, and nothing else."""
    found = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(found[1].encode() if found else b"").digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"


def _summary(evaluation: Evaluation) -> Iterator[str]:
    data, summary = evaluation.data, evaluation.summary
    facts = [f"{data.images} images", f"{data.labels} labels"]
    facts += [f"{data.none_images} images of none of these"] if data.none_images else []
    facts += ["several labels an image"] if data.multi_label else []
    yield f'<p class="soft">{", ".join(facts)}. The ranges are 95 % intervals.</p>'
    if evaluation.warnings:
        items = "".join(f"<li>{escape(warning_text(evaluation, warning))}</li>" for warning in evaluation.warnings)
        yield f'<ul class="warnings">{items}</ul>'
    reliability = evaluation.reliability
    shown: list[tuple[str, Estimate | None]] = [
        ("top-1", summary.top1),
        ("top-5", summary.top5),
        ("macro precision", summary.macro_precision),
        ("macro recall", summary.macro_recall),
        ("macro F1", summary.macro_f1),
        ("mAP", summary.map),
        ("false accepts at sigmoid 0.5", summary.false_accept_rate),
        ("calibration error, best label", Estimate(reliability.top1.expected_calibration_error)),
    ]
    yield _numbers([(name, estimate) for name, estimate in shown if estimate is not None])
    rule = "its best label" if data.decision == "top1" else "each label with a sigmoid of at least 0.5"
    yield f'<p class="soft">Precision, recall and F1 count, for an image, {rule}.</p>'


def _numbers(shown: Sequence[tuple[str, Estimate]]) -> str:
    cells = (
        f"<div><dt>{escape(name)}</dt><dd><b>{number(estimate.value)}</b> {interval(estimate)}</dd></div>"
        for name, estimate in shown
    )
    return f'<dl class="numbers">{"".join(cells)}</dl>'


def _thresholds(evaluation: Evaluation) -> Iterator[str]:
    thresholds = evaluation.thresholds
    if thresholds is None:
        return
    yield "<h2>Thresholds</h2>"
    asked = "the best F1" if thresholds.asked is None else f"a precision of {thresholds.asked:g}"
    one = "accepts nothing" if thresholds.threshold is None else f"is {thresholds.threshold:.4g}"
    yield f"<p>For {asked}. The threshold of the set {one}. Each label's is in the table of labels.</p>"
    yield f"<p>{escape(how_chosen(evaluation))}</p>"
    measured = [
        (name, accepted)
        for name, accepted in (
            ("one for the set", thresholds.with_set_threshold),
            ("one for each label", thresholds.with_label_thresholds),
        )
        if accepted
    ]
    if measured:
        yield "<p>An answer is one label of one image.</p>"
        header = ["threshold", "accepted answers", "precision", "recall", "F1", "coverage", "false accepts"]
        yield table("Thresholds", header, [[name, *_accepted(accepted)] for name, accepted in measured])


def _accepted(accepted: Accepted) -> list[str]:
    def both(estimate: Estimate | None) -> str:
        return "–" if estimate is None else f"{number(estimate.value)} ({interval(estimate)})"

    return [
        str(accepted.accepted),
        both(accepted.precision),
        both(accepted.recall),
        number(accepted.f1),
        number(accepted.coverage),
        both(accepted.false_accept_rate),
    ]


def _comparisons(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.comparisons:
        yield "<h2>Comparisons</h2>"
        yield "<p>Differences on the same images. An interval that contains 0 shows no difference.</p>"
        yield comparison_table(evaluation.comparisons)


def _plots(evaluation: Evaluation) -> Iterator[str]:
    reliability, calibration = evaluation.reliability, evaluation.calibration
    plots = [
        (precision_recall_plot(evaluation.curve), "Precision and recall of all answers, over thresholds."),
        (coverage_plot(evaluation.curve), "Coverage and the precision of the best label, over thresholds."),
        (
            reliability_plot("Reliability of the sigmoid", reliability),
            "Reliability of the sigmoid. On the dotted line, of the answers scored 0.8, 80 % are true. "
            f"Calibration error: {number(reliability.answers.expected_calibration_error)} over all answers, "
            f"{number(reliability.top1.expected_calibration_error)} over the best labels.",
        ),
    ]
    if calibration and calibration.before and calibration.after:
        plot = reliability_plot("Reliability after calibration", calibration.before, calibration.after)
        before, after = calibration.before.answers, calibration.after.answers
        words = (
            "Reliability over all answers of images that were not used for fitting. Calibration error: "
            f"{number(before.expected_calibration_error)} before, {number(after.expected_calibration_error)} after."
        )
        plots.append((plot, words))
    figures = (f"<figure>{plot}<figcaption>{words}</figcaption></figure>" for plot, words in plots)
    yield f'<h2>Plots</h2><div class="plots">{"".join(figures)}</div>'


def _confusions(evaluation: Evaluation) -> Iterator[str]:
    if not evaluation.confusions:
        return
    yield "<h2>Confusions</h2>"
    yield confusion_table(evaluation)
    shown = matrix_labels(evaluation)
    if evaluation.data.decision != "top1":
        return
    yield "<h3>Matrix</h3><p>Rows are true labels, columns are best labels, cells are images.</p>"
    used = sum(1 for label in evaluation.per_label if label.support or label.predicted)
    if len(shown) < used:
        yield f"<p>Only the {len(shown)} labels with the most mistakes are shown.</p>"
    if evaluation.confusions_left_out:
        yield f"<p>{evaluation.confusions_left_out} rare pairs of labels are left out.</p>"
    if len(shown) > FEW_LABELS:
        yield '<p class="paper">The matrix is too large for paper. Open this file in a browser to see it.</p>'
    yield confusion_matrix(evaluation)


def _labels(evaluation: Evaluation) -> Iterator[str]:
    yield "<h2>Labels</h2><p>The lowest F1 first. Labels without images come last.</p>"
    yield label_table(evaluation)


def _images(
    heading: str, answers: Sequence[ImageAnswer], evaluation: Evaluation, thumbnails: Mapping[int, bytes]
) -> Iterator[str]:
    if answers:
        figures = (_image(answer, evaluation.labels, thumbnails.get(answer.image)) for answer in answers)
        yield f"<h2>{heading}</h2><p>The true label in bold, then the best labels with their sigmoid.</p>"
        yield f'<div class="images">{"".join(figures)}</div>'


def _image(answer: ImageAnswer, labels: Sequence[str], thumbnail: bytes | None) -> str:
    true = ", ".join(labels[index] for index in answer.true) or "none of these"
    lines = [f"<b>{escape(true)}</b>", f"<span>{answer.score:.4g} {escape(labels[answer.best])}</span>"]
    if answer.second is not None:
        lines.append(f"<span>{answer.second_score:.4g} {escape(labels[answer.second])}</span>")
    lines.append(f'<span class="soft" title="{escape(answer.name)}">{escape(answer.name)}</span>')
    image = ""
    if thumbnail is not None:
        image = f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(thumbnail).decode()}">'
    return f"<figure>{image}<figcaption>{''.join(lines)}</figcaption></figure>"


def _facts(evaluation: Evaluation) -> Iterator[str]:
    facts = {"model_fingerprint": evaluation.model_fingerprint, "schema_version": str(evaluation.schema_version)}
    for name, value in {**evaluation.settings, **evaluation.versions}.items():
        facts[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    yield f'<h2>What was evaluated</h2><dl class="facts">{rows}</dl>'
