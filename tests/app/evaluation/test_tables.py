import re
from dataclasses import replace

import numpy as np
import pytest

from app.evaluation.comparison import compare
from app.evaluation.evaluation import Evaluation, evaluate
from app.evaluation.result import Estimate
from app.evaluation.tables import (
    comparison_table,
    confusion_matrix,
    confusion_table,
    interval,
    label_table,
    matrix_labels,
    number,
)
from tests.app.evaluation.synthetic import scores

BY = {"model_fingerprint": "f1", "versions": {}}


def evaluated(labels: list[str], **options) -> Evaluation:
    logits, truth, _ = scores(images=max(600, 5 * len(labels)), labels=len(labels))
    return evaluate(logits, truth, labels, **BY, **options)


def cells(html: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    return [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]


def test_numbers_have_three_digits_or_a_dash():
    assert (number(0.12345), number(1.0), number(None)) == ("0.123", "1.000", "–")
    assert interval(Estimate(0.5, 0.4, 0.6)) == "0.400 to 0.600"
    assert (interval(Estimate(0.5)), interval(None)) == ("", "")


def test_the_table_of_labels_has_the_lowest_f1_first_and_labels_without_images_last():
    logits, truth, _ = scores(images=100, labels=3)
    logits[:, 1] = np.random.default_rng(0).normal(size=100)
    truth[:, 0] = False
    result = evaluate(logits, truth, ["a", "b", "c"], **BY, goal="f1")
    header, *rows = cells(label_table(result))
    assert len(header) == 11
    assert [row[0] for row in rows] == ["b", "c", "a"]
    b = result.per_label[1]
    assert rows[0][1:7] == [
        str(b.support), str(b.predicted), *(number(x) for x in (b.precision, b.recall, b.f1, b.average_precision)),
    ]  # fmt: skip
    assert rows[2][3:7] == ["–"] * 4


def test_texts_are_escaped_in_every_table():
    nasty = ["<script>alert(1)</script>", "\"&'", "c"]
    result = evaluated(nasty)
    tables = label_table(result) + confusion_table(result) + confusion_matrix(result)
    tables += comparison_table([compare(np.eye(3), np.eye(3), np.eye(3, dtype=bool), ("<b>", "<i>"))])
    assert "<script" not in tables
    assert "<b>" not in tables
    assert "<i>" not in tables
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in tables


def test_the_matrix_counts_every_image_in_its_row_and_column():
    result = evaluated([f"label {i}" for i in range(15)])
    logits, truth, _ = scores(images=600, labels=15)
    expected = np.zeros((15, 15), dtype=int)
    for scored, true in zip(logits, truth, strict=True):
        if true.any():
            expected[true.argmax(), scored.argmax()] += 1
    _, *rows = cells(confusion_matrix(result))
    assert [[int(cell or 0) for cell in row[1:]] for row in rows] == expected.tolist()


def test_a_cell_is_shaded_by_its_share_of_the_row():
    best, true = [0] * 9 + [1, 1], [0] * 10 + [1]
    result = evaluate(np.eye(2)[best], np.eye(2, dtype=bool)[true], ["a", "b"], **BY)
    html = confusion_matrix(result)
    assert '<td class="right5">9</td><td class="wrong1">1</td>' in html
    assert '<td></td><td class="right5">1</td>' in html


@pytest.mark.parametrize(("count", "wide"), [(15, False), (200, True)])
def test_a_large_matrix_is_marked_because_it_does_not_fit_on_paper(count, wide):
    result = evaluated([f"label {i}" for i in range(count)])
    html = confusion_matrix(result)
    assert len(cells(html)) == count + 1
    assert ('class="scroll wide"' in html) == wide


def test_a_matrix_of_too_many_labels_has_those_with_the_most_mistakes():
    true = np.repeat(np.arange(300), 2)
    best = true.copy()
    best[:20:2] = 299  # labels 0 to 9 are taken for label 299 once
    result = evaluate(np.eye(300)[best], np.eye(300, dtype=bool)[true], [f"label {i}" for i in range(300)], **BY)
    assert matrix_labels(result) == [*range(10), 299]


def test_a_difference_has_its_sign_and_interval():
    first, truth, _ = scores(images=100, labels=3)
    found = compare(first, -first, truth)
    _, row = cells(comparison_table([found]))
    change = found.top1.difference
    assert row[2] == f"{change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f})"
    without = replace(found, top1=None, macro_f1=None, map=None, p_value=None)
    assert cells(comparison_table([without]))[1][2:] == ["–"] * 4
