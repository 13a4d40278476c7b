import numpy as np
import pytest

from app.label_sets.class_embeddings import embeddings_content, read_embeddings
from tests.app.label_sets.killed import ANIMALS, embeddings
from tests.fakes import EMBED_DIM

ROWS = embeddings(ANIMALS)[:3]


def test_what_is_stored_is_read_bit_for_bit():
    read = read_embeddings(embeddings_content(ROWS), 3, EMBED_DIM)
    assert read is not None
    assert read.dtype == np.float32
    assert np.array_equal(read, ROWS)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        embeddings_content(ROWS)[:-1],
        embeddings_content(ROWS[:2]),
        embeddings_content(np.zeros_like(ROWS)),
        embeddings_content(np.full_like(ROWS, np.nan)),
    ],
)
def test_other_bytes_are_not_embeddings(content):
    assert read_embeddings(content, 3, EMBED_DIM) is None
