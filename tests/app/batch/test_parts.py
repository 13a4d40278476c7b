from io import BytesIO
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow.parquet import read_table

from app.batch.embedding import LocalEmbedding
from app.batch.files import NotScored
from app.batch.parts import Columns, PartRows, chunk_of, part_name
from app.inference.acceptance import TunedImage, TunedScore
from app.schemas import ImageFacts, Score, ScoredImage

FACTS = ImageFacts(width=1, height=1, format="PNG", notes=[])
SCORES = {"logit": 1.5, "sigmoid": 0.75, "softmax": 0.5}


def embedding(first: float) -> LocalEmbedding:
    return LocalEmbedding(np.array([first, 0, 0], np.float32), "0" * 64, FACTS)


def rows(part: PartRows) -> list[dict[str, Any]]:
    return read_table(BytesIO(part.content())).to_pylist()


def scored(*labels: str) -> ScoredImage:
    return ScoredImage(image=FACTS, scores=[Score(label=label, **SCORES) for label in labels])


def test_a_row_is_an_image_and_a_label_and_an_image_without_scores_is_a_row_with_its_reason():
    part = PartRows(Columns(), {"model": "fake"})
    part.add("a.png", scored("cat", "dog"), embedding(1))
    part.add_failed("b.png", NotScored("The file is damaged."))
    part.add("c.png", scored(), embedding(1))
    nothing = dict.fromkeys(("label", "logit", "sigmoid", "softmax", "accepted", "error"))
    assert rows(part) == [
        {"path": "a.png", "label": "cat", **SCORES, "accepted": None, "error": None},
        {"path": "a.png", "label": "dog", **SCORES, "accepted": None, "error": None},
        {"path": "b.png", **nothing, "error": "The file is damaged."},
        {"path": "c.png", **nothing},
    ]
    assert read_table(BytesIO(part.content())).schema.metadata == {b"model": b"fake"}


def test_the_embedding_is_in_the_first_row_of_each_image():
    part = PartRows(Columns(embed_dim=3), {})
    part.add("a.png", scored("cat", "dog"), embedding(1))
    part.add_failed("b.png", NotScored("no"))
    part.add("c.png", scored(), embedding(0.5))
    assert [row["embedding"] for row in rows(part)] == [[1, 0, 0], None, None, [0.5, 0, 0]]
    assert read_table(BytesIO(part.content())).schema.field("embedding").type == pyarrow.list_(pyarrow.float32(), 3)


def test_what_is_accepted_and_the_probability_are_columns():
    part = PartRows(Columns(probability=True), {})
    score = TunedScore(label="cat", **SCORES, accepted=True, probability=0.25)
    part.add("a.png", TunedImage(image=FACTS, scores=[score], accepted_labels=[]), embedding(1))
    (row,) = rows(part)
    assert (row["accepted"], row["probability"]) == (True, 0.25)
    assert list(row) == ["path", "label", "logit", "sigmoid", "softmax", "accepted", "probability", "error"]


def test_a_part_with_nothing_but_failures_has_the_same_columns_as_another():
    failed, good = (PartRows(Columns(probability=True, embed_dim=3), {}) for _ in "ab")
    failed.add_failed("a.png", NotScored("no"))
    good.add("a.png", scored("cat"), embedding(1))
    schemas = [read_table(BytesIO(part.content())).schema for part in (failed, good)]
    assert schemas[0] == schemas[1]


@pytest.mark.parametrize(("chunk", "name"), [(0, "part-000000.parquet"), (1_234_567, "part-1234567.parquet")])
def test_a_part_is_named_by_its_chunk(chunk, name):
    assert part_name(chunk) == name
    assert chunk_of(name) == chunk


@pytest.mark.parametrize(
    "name", ["_SUCCESS", "_job", "part-1.parquet", "part-0000001.parquet", ".part-000001.parquet.x.tmp"]
)
def test_other_files_are_not_parts(name):
    assert chunk_of(name) is None
