"""The tables of a report, as HTML. Every text from outside is escaped."""

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from math import ceil

from app.evaluation.comparison import Comparison, Difference
from app.evaluation.evaluation import Evaluation
from app.evaluation.result import Estimate

MAX_MATRIX_LABELS = 200  # 40,000 cells; Chromium lays them out in less than a second
FEW_LABELS = 25  # a matrix of more labels does not fit on paper
MAX_CONFUSIONS = 20
SHADES = 5  # of a matrix cell: right1 to right5 in the style sheet


def number(value: float | None) -> str:
    """Returns a share with three digits, or a dash."""
    return "–" if value is None else f"{value:.3f}"


def interval(estimate: Estimate | None) -> str:
    """Returns the ends of the interval, or nothing."""
    if estimate is None or estimate.low is None:
        return ""
    return f"{number(estimate.low)} to {number(estimate.high)}"


def table(name: str, header: Sequence[str], rows: Iterable[Sequence[str]], css: str = "") -> str:
    """Returns a table that scrolls by itself. The first cell of each row is its header; cells are HTML already."""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    lines = (f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>' for row in rows)
    return _scrolling(name, f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>", css)


def _scrolling(name: str, content: str, css: str) -> str:
    classes = f"scroll {css}".strip()
    return f'<div class="{classes}" role="region" tabindex="0" aria-label="{escape(name)}">{content}</div>'


def label_table(evaluation: Evaluation) -> str:
    """Returns a row for each label, the lowest F1 first; labels without images last."""
    header = ["label", "images", "predicted", "precision", "recall", "F1", "average precision"]
    tuned = evaluation.thresholds.per_label if evaluation.thresholds else None
    if tuned:
        header += ["threshold", "its source", "precision there", "recall there"]
    rows = []
    for label in sorted(evaluation.per_label, key=lambda label: 2.0 if label.f1 is None else label.f1):
        row = [escape(label.label), str(label.support), str(label.predicted)]
        row += [number(value) for value in (label.precision, label.recall, label.f1, label.average_precision)]
        if tuned:
            own = tuned[label.index]
            threshold = "accepts nothing" if own.threshold is None else f"{own.threshold:.4g}"
            row += [threshold, own.source, number(own.precision), number(own.recall)]
        rows.append(row)
    return table("Labels", header, rows)


def confusion_table(evaluation: Evaluation) -> str:
    """Returns the most frequent confusions."""
    names = evaluation.labels
    listed = evaluation.confusions[:MAX_CONFUSIONS]
    rows = [[escape(names[each.true]), escape(names[each.predicted]), str(each.images)] for each in listed]
    return table("Confusions", ["true label", "best label", "images"], rows, "texts")


def comparison_table(comparisons: Sequence[Comparison]) -> str:
    """Returns the paired differences."""
    header = ["second compared with first", "images", "top-1", "macro F1", "mAP", "p (top-1)"]
    rows = [
        [
            f"{escape(each.second)} compared with {escape(each.first)}",
            str(each.images),
            *(_difference(difference) for difference in (each.top1, each.macro_f1, each.map)),
            number(each.p_value),
        ]
        for each in comparisons
    ]
    return table("Comparisons", header, rows)


def _difference(difference: Difference | None) -> str:
    if difference is None:
        return "–"
    change = difference.difference
    ends = "" if change.low is None or change.high is None else f" ({change.low:+.3f} to {change.high:+.3f})"
    return f"{change.value:+.3f}{ends}"


def matrix_labels(evaluation: Evaluation) -> list[int]:
    """Returns the labels of the matrix, in their order: all that have images or were predicted, or those with the most
    mistakes if these are too many."""
    used = [label.index for label in evaluation.per_label if label.support or label.predicted]
    if len(used) <= MAX_MATRIX_LABELS:
        return used
    mistakes: Counter[int] = Counter()
    for each in evaluation.confusions:
        mistakes[each.true] += each.images
        mistakes[each.predicted] += each.images
    return sorted(index for index, _ in mistakes.most_common(MAX_MATRIX_LABELS))


def confusion_matrix(evaluation: Evaluation) -> str:
    """Returns the matrix: a row for each true label, a column for each best label. Empty cells mean 0."""
    shown = matrix_labels(evaluation)
    names, per_label = [escape(label) for label in evaluation.labels], evaluation.per_label
    counts = {(each.true, each.predicted): each.images for each in evaluation.confusions}
    counts |= {(i, i): round((per_label[i].recall or 0) * per_label[i].support) for i in shown}
    head = "".join(f'<th scope="col"><span>{names[column]}</span></th>' for column in shown)
    lines = []
    for row in shown:
        cells = "".join(_cell(counts.get((row, column), 0), row == column, per_label[row].support) for column in shown)
        lines.append(f'<tr><th scope="row">{names[row]}</th>{cells}</tr>')
    content = (
        f'<table class="matrix"><thead><tr><th scope="col">true label</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )
    return _scrolling("Confusion matrix", content, "wide" if len(shown) > FEW_LABELS else "")


def _cell(count: int, right: bool, support: int) -> str:
    if not count:
        return "<td></td>"
    shade = min(SHADES, ceil(SHADES * count / support))
    return f'<td class="{"right" if right else "wrong"}{shade}">{count}</td>'
