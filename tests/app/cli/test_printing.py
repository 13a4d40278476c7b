import csv
import json
from io import StringIO

import pytest

from app.cli.printing import CSV, JSON, TABLE, csv_rows, json_line, printable, table_rows, warning_line
from app.inference.acceptance import AcceptedLabel, TunedImage, TunedScore
from app.schemas import ImageFacts, ResponseWarning, Score, ScoredImage

FACTS = ImageFacts(width=2, height=1, format="PNG", notes=["exif_orientation_applied"])


def scored(*labels: str) -> ScoredImage:
    scores = [Score(label=label, logit=-0.5, sigmoid=0.37754, softmax=0.5) for label in labels]
    return ScoredImage(image=FACTS, scores=scores)


def test_the_table_has_the_path_and_then_a_line_per_label():
    assert (
        table_rows("a/cat.png", scored("cat", "雪豹")) == "a/cat.png\n  0.3775   0.5000  cat\n  0.3775   0.5000  雪豹\n"
    )


def test_the_table_says_if_no_label_reaches_the_threshold():
    assert table_rows("cat.png", scored()).splitlines()[1].strip() == "no label reaches the threshold"


def test_json_is_one_line_with_the_path_and_the_services_response():
    line = json_line("ü\n.png", scored("cat"))
    assert line.count("\n") == 1
    assert json.loads(line) == {"path": "ü\n.png", **scored("cat").model_dump()}


def test_csv_has_a_row_per_label_with_quotes_where_needed():
    rows = list(csv.reader(StringIO(csv_rows('a,"b".png', scored("cat", "two\nlines")))))
    assert rows == [
        ['a,"b".png', "cat", "-0.5", "0.37754", "0.5"],
        ['a,"b".png', "two\nlines", "-0.5", "0.37754", "0.5"],
    ]


def tuned(accepted: list[bool | None], accepted_labels: list[str] | None, probability: float | None) -> TunedImage:
    """Returns an image of the labels a, b, ..., accepted or not."""
    scores = [
        TunedScore(label=label, logit=-0.5, sigmoid=0.37754, softmax=0.5, accepted=each, probability=probability)
        for label, each in zip("abc", accepted, strict=False)
    ]
    labels = accepted_labels and [AcceptedLabel(index=i, label=label) for i, label in enumerate(accepted_labels)]
    return TunedImage(image=FACTS, scores=scores, accepted_labels=labels if labels else accepted_labels)


TUNED = {
    "an accepted label": (
        tuned([True, False], ["a"], 0.25),
        ["  0.3775   0.5000       0.2500  yes       a", "  0.3775   0.5000       0.2500  no        b"],
        [
            ["a", "-0.5", "0.37754", "0.5", "true", "0.25", '["a"]'],
            ["b", "-0.5", "0.37754", "0.5", "false", "0.25", '["a"]'],
        ],
    ),
    "none of these": (
        tuned([False], [], None),
        [f"{'':42}none of these", "  0.3775   0.5000            -  no        a"],
        [["a", "-0.5", "0.37754", "0.5", "false", "", "[]"]],
    ),
    "not in force": (
        tuned([None], None, None),
        ["  0.3775   0.5000            -  -         a"],
        [["a", "-0.5", "0.37754", "0.5", "", "", ""]],
    ),
    "an accepted label that --top-k cuts": (
        tuned([True], ["a", "z"], None),
        ["  0.3775   0.5000            -  yes       a", f"{'':32}yes       z"],
        [["a", "-0.5", "0.37754", "0.5", "true", "", '["a", "z"]']],
    ),
    "nothing shown and none accepted": (tuned([], [], None), [f"{'':42}none of these"], []),
    "nothing shown and not in force": (tuned([], None, None), [f"{'':42}no label reaches the threshold"], []),
}


@pytest.mark.parametrize(("scored", "table", "rows"), TUNED.values(), ids=TUNED)
def test_every_format_says_what_is_accepted(scored, table, rows):
    header = " sigmoid  softmax  probability  accepted  label"
    assert TABLE.text("cat.png", scored, is_first=True).splitlines() == [header, "cat.png", *table]
    assert TABLE.text("cat.png", scored, is_first=False).splitlines() == ["cat.png", *table]
    columns, *found = csv.reader(StringIO(CSV.text("cat.png", scored, is_first=True)))
    assert columns == ["path", "label", "logit", "sigmoid", "softmax", "accepted", "probability", "accepted_labels"]
    assert found == [["cat.png", *row] for row in rows]
    assert json.loads(JSON.text("cat.png", scored, is_first=True)) == {"path": "cat.png"} | scored.model_dump()


def test_a_warning_is_one_line():
    warning = ResponseWarning(code="labels_alike", message="They look\nalike.", labels=[0, 1])
    assert warning_line(warning) == "warning: They look\\nalike."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cat ü 猫", "cat ü 猫"),
        ("\x1b[31mred\n", "\\x1b[31mred\\n"),
        ("\u202eevil", "\\u202eevil"),
        ("\udcff", "\\udcff"),
    ],
)
def test_control_characters_are_escaped(text, shown):
    assert printable(text) == shown
