"""Plots of a report as inline SVG, by matplotlib without its global state in pyplot.

The SVG has neither colours nor `style` attributes: classes name them, and the report's style sheet sets them for light,
dark and paper. So a strict Content Security Policy can forbid inline styles.
"""

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from app.evaluation.curves import CurvePoint, Reliabilities, ReliabilityBin

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SVG = "http://www.w3.org/2000/svg"
HREF = "{http://www.w3.org/1999/xlink}href"
# Colours that stand for classes: matplotlib writes them, `_inline` replaces them.
INK, FIRST, SECOND, RULE = "#000001", "#000002", "#000003", "#000004"
CLASSES = {INK: "ink", FIRST: "first", SECOND: "second", RULE: "rule"}
SHOWN_THRESHOLDS = (1e-6, 1e-5, 1e-4, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
MIN_TICK_DISTANCE = 0.13  # of the axis: the width of 0.0001


def precision_recall_plot(curve: Sequence[CurvePoint]) -> str:
    """Returns precision over recall of all answers, as SVG."""
    known = [
        (point.recall, point.precision) for point in curve if point.recall is not None and point.precision is not None
    ]
    plot = _Plot("Precision and recall of all answers", "recall", "precision")
    plot.axes.plot([recall for recall, _ in known], [precision for _, precision in known], ".-", color=FIRST)
    plot.axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return plot.svg()


def coverage_plot(curve: Sequence[CurvePoint]) -> str:
    """Returns coverage, and the precision of the best label, over the threshold, as SVG."""
    plot = _Plot("Coverage and precision over thresholds", "threshold on the sigmoid", "share")
    # Log-odds, because useful thresholds may be near 0; clipped, because the sigmoid of a high logit is 1.
    odds = [_log_odds(point.threshold) for point in curve]
    precisions = [np.nan if point.top1_precision is None else point.top1_precision for point in curve]
    plot.axes.plot(odds, [point.coverage for point in curve], "-", color=FIRST, label="images with an accepted label")
    plot.axes.plot(odds, precisions, "--", color=SECOND, label="of these, best label true")
    ticks = _spaced_thresholds(min(odds), max(odds)) or [round(curve[0].threshold, 6)]
    plot.axes.set(ylim=(-0.02, 1.02))
    plot.axes.set_xticks([_log_odds(value) for value in ticks], [f"{value:g}" for value in ticks])
    plot.legend()
    return plot.svg()


def _spaced_thresholds(low: float, high: float) -> list[float]:
    """Returns thresholds between two log-odds, the highest first, without those whose text would touch the next one."""
    spaced: list[float] = []
    for value in reversed(SHOWN_THRESHOLDS):
        place = _log_odds(value)
        room = _log_odds(spaced[-1]) - place if spaced else high - low
        if low <= place <= high and room >= MIN_TICK_DISTANCE * (high - low):
            spaced.append(value)
    return spaced


def reliability_plot(title: str, sigmoid: Reliabilities, probability: Reliabilities | None = None) -> str:
    """Returns the share of true answers over the score: of the best labels, and after calibration, as SVG."""
    plot = _Plot(title, "score", "share that is true")
    plot.axes.plot([0, 1], [0, 1], ":", color=INK)
    if probability is None:
        _draw_bins(plot.axes, sigmoid.answers.bins, "o-", FIRST, "sigmoid, all answers")
        _draw_bins(plot.axes, sigmoid.top1.bins, "s--", SECOND, "sigmoid, best label")
    else:
        _draw_bins(plot.axes, sigmoid.answers.bins, "s--", SECOND, "sigmoid")
        _draw_bins(plot.axes, probability.answers.bins, "o-", FIRST, "probability")
    plot.axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    plot.legend()
    return plot.svg()


def _draw_bins(axes: "Axes", bins: Sequence[ReliabilityBin], line: str, color: str, label: str) -> None:
    axes.plot([each.mean_score for each in bins], [each.share_true for each in bins], line, color=color, label=label)


def _log_odds(share: float) -> float:
    clipped = min(max(share, 1e-9), 1 - 1e-9)
    return float(np.log(clipped / (1 - clipped)))


class _Plot:
    """One pair of axes, in the report's colours."""

    def __init__(self, title: str, xlabel: str, ylabel: str) -> None:
        from matplotlib.figure import Figure  # takes a second

        self._title = title
        self._figure = Figure(figsize=(4.6, 3.6), layout="constrained")
        self.axes = self._figure.add_subplot()
        self._figure.patch.set_visible(False)
        self.axes.patch.set_visible(False)
        self.axes.set_xlabel(xlabel, color=INK)
        self.axes.set_ylabel(ylabel, color=INK)
        self.axes.tick_params(color=RULE, labelcolor=INK)
        self.axes.grid(visible=True, color=RULE, linewidth=0.5)
        for spine in self.axes.spines.values():
            spine.set_color(RULE)

    def legend(self) -> None:
        self.axes.legend(frameon=False, labelcolor=INK, loc="best")

    def svg(self) -> str:
        from matplotlib import rc_context

        written = io.StringIO()
        # Texts stay texts. This option of the backend has no other place; it is set back at once.
        with rc_context({"svg.fonttype": "none"}):
            self._figure.savefig(written, format="svg", metadata={"Date": None})
        return _inline(written.getvalue(), self._title)


def _inline(written: str, title: str) -> str:
    """Returns matplotlib's SVG for a place inside HTML: unique ids, classes instead of styles, and a name."""
    root = ElementTree.fromstring(written)  # noqa: S314 - matplotlib wrote it
    prefix = re.sub(r"\W+", "-", title.lower())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    names = {element.get("id"): f"{prefix}-{n}" for n, element in enumerate(root.iter()) if element.get("id")}
    for element in root.iter():
        for name, value in list(element.attrib.items()):
            if name == "id":
                element.set("id", names[value])
            elif name == HREF:
                del element.attrib[name]
                element.set("href", f"#{names[value[1:]]}")
            elif value.startswith("url(#"):
                element.set(name, f"url(#{names[value[5:-1]]})")
        _set_classes(element)
    root.set("role", "img")
    root.set("aria-label", title)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    ElementTree.register_namespace("", SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _set_classes(element: ElementTree.Element) -> None:
    """Replaces `style` by attributes, and the colours by classes such as `stroke-first`."""
    classes = []
    for declaration in filter(None, (part.strip() for part in element.attrib.pop("style", "").split(";"))):
        name, value = (part.strip() for part in declaration.split(":", 1))
        if value in CLASSES:
            classes.append(f"{name}-{CLASSES[value]}")
        elif not name.startswith("font"):  # the page's font
            element.set(name, value)
    if classes:
        element.set("class", " ".join(classes))
