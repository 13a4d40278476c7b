"""The measured comparison with transformers, which the README shows."""

from benchmarks.measured import read
from benchmarks.measured_full_size import full_size_table
from tests.golden.published import PUBLISHED
from tests.golden.stages import Difference


def test_every_published_checkpoint_was_compared_and_agrees() -> None:
    rows = {(row["variant"], row["weights"]): row for row in read("full_size")["rows"]}
    assert rows.keys() == {row[:2] for row in PUBLISHED}
    for name, row in rows.items():
        assert Difference(**{field: row[field] for field in Difference._fields}).proves_equal, name


def test_the_table_has_a_row_for_each_variant() -> None:
    lines = full_size_table().splitlines()[2:]
    assert [line.split("`")[1] for line in lines] == list(dict.fromkeys(row.variant for row in PUBLISHED))
