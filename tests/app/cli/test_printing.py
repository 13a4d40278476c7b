import csv
import json
from io import StringIO

import pytest

from app.cli.printing import csv_rows, json_line, printable, table_rows
from app.schemas import ImageFacts, Score, ScoredImage

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
