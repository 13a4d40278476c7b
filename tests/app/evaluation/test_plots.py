import re
import subprocess
import sys
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

from app.evaluation.answers import find_answers
from app.evaluation.curves import CurvePoint, coverage_curve, reliabilities
from app.evaluation.plots import coverage_plot, precision_recall_plot, reliability_plot
from tests.app.evaluation.synthetic import scores

SVG = "{http://www.w3.org/2000/svg}"


def parsed(plot: str) -> ElementTree.Element:
    return ElementTree.fromstring(plot)  # noqa: S314 - our own


@pytest.fixture(scope="module")
def plots() -> list[str]:
    logits, truth, _ = scores(images=200, labels=4)
    answers = find_answers(logits, truth)
    curve, reliability = coverage_curve(logits, truth, answers), reliabilities(logits, truth, answers.best)
    return [
        precision_recall_plot(curve),
        coverage_plot(curve),
        reliability_plot("Reliability of the sigmoid", reliability),
        reliability_plot("Reliability after calibration", reliability, reliability),
    ]


def test_a_plot_is_svg_with_a_name_and_texts(plots):
    for plot in plots:
        root = parsed(plot)
        assert root.tag == f"{SVG}svg"
        assert root.get("role") == "img"
        assert root.get("aria-label")
    texts = ["".join(text.itertext()) for text in parsed(plots[0]).iter(f"{SVG}text")]
    assert {"recall", "precision", "0.0", "1.0"} <= set(texts)


def test_plots_have_neither_styles_nor_colours_nor_addresses(plots):
    for plot in plots:
        assert "style" not in plot
        assert re.findall(r"#0{5}\d", plot) == []
        assert set(re.findall(r"https?://[^\"]+", plot)) <= {"http://www.w3.org/2000/svg"}
        assert "stroke-first" in plot


def test_ids_are_unique_over_all_plots_and_every_reference_has_one(plots):
    ids = re.findall(r' id="([^"]+)"', "".join(plots))
    assert len(ids) == len(set(ids))
    for plot in plots:
        references = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', plot)
        assert references
        assert {one or other for one, other in references} <= set(re.findall(r' id="([^"]+)"', plot))


def test_the_line_of_a_plot_goes_through_its_points():
    curve = [
        CurvePoint(
            threshold=0.5, accepted=1, precision=precision, recall=recall, coverage=1.0, top1_precision=1.0,
            false_accept_rate=None,
        )
        for recall, precision in [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0)]
    ]  # fmt: skip
    root = parsed(precision_recall_plot(curve))
    [path] = [
        p.get("d", "") for p in root.iter(f"{SVG}path") if p.get("class") == "stroke-first" and p.get("clip-path")
    ]
    points = [(float(x), float(y)) for x, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", path)]
    (x0, y0), (x1, y1), (x2, y2) = points
    assert (x1, y1) == pytest.approx(((x0 + x2) / 2, (y0 + y2) / 2), abs=1e-3)
    assert x0 < x2  # recall grows to the right
    assert y0 < y2  # precision falls downwards


@pytest.mark.parametrize("logits", [[[0.5]], [[900.0]], [[-900.0]]])
def test_a_single_point_can_be_drawn(logits):
    scored, truth = np.array(logits), np.array([[True]])
    answers = find_answers(scored, truth)
    curve = coverage_curve(scored, truth, answers)
    assert "<svg" in coverage_plot(curve)
    assert "<svg" in precision_recall_plot(curve)
    assert "<svg" in reliability_plot("Reliability", reliabilities(scored, truth, answers.best))


def test_matplotlib_is_imported_when_it_draws_and_pyplot_never():
    program = """
import sys
import app.evaluation.plots as plots
assert "matplotlib" not in sys.modules
plots.precision_recall_plot([])
assert "matplotlib" in sys.modules
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_texts_below_the_axis_do_not_touch():
    truth = np.eye(2, dtype=bool)[np.arange(200) % 2]
    for lowest in (-16, -13, -5):
        logits = np.linspace(lowest, 6, 400).reshape(200, 2)
        root = parsed(coverage_plot(coverage_curve(logits, truth, find_answers(logits, truth))))
        places = {
            float(use.get("x", "nan")): "".join(text.itertext())
            for tick in root.iter(f"{SVG}g")
            if len(uses := list(tick.iter(f"{SVG}use"))) == 1 and len(texts := list(tick.iter(f"{SVG}text"))) == 1
            for use, text in [(uses[0], texts[0])]
        }
        below = sorted(
            (place, text) for place, text in places.items() if text not in ("0.0", "0.2", "0.4", "0.6", "0.8", "1.0")
        )
        assert len(below) >= 3
        for (left, one), (right, other) in pairwise(below):
            assert right - left > 3.2 * (len(one) + len(other)), (one, other)  # a digit of 10 px is 6.4 px wide
