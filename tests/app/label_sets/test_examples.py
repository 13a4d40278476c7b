"""Examples as they are stored."""

import base64
import hashlib

import numpy as np
import pytest

from app.label_sets.examples import Example, embedding_of, stored_example

ROW = np.array([0.6, 0.8], np.float32)
OURS = "1" * 64


def test_an_embedding_is_kept_bit_for_bit():
    example = stored_example(ROW, OURS, "2" * 64)
    assert (example.digest, example.model_fingerprint) == ("2" * 64, OURS)
    assert embedding_of(example, 2).tobytes() == ROW.tobytes()


def test_an_example_without_a_file_has_the_digest_of_its_embedding():
    assert stored_example(ROW, OURS).digest == hashlib.sha256(ROW.tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"123", "is not base64 of float32"),
        (ROW.tobytes() * 2, "has 4 numbers; this model's embeddings have 2"),
        ((2 * ROW).tobytes(), "is not L2-normalised"),
        (np.array([np.nan, 1], np.float32).tobytes(), "is not L2-normalised"),
    ],
)
def test_damaged_embeddings_are_errors(content, fault):
    with pytest.raises(ValueError, match=fault):
        embedding_of(Example(embedding=base64.b64encode(content).decode()), 2)
