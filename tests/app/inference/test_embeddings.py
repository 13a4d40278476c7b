import base64

import numpy as np
import pytest

from app.errors import InvalidRequest
from app.inference.embeddings import EmbedBatchOptions, EmbeddingsBody, EmbeddingsOptions, encode_row
from app.validation import validated

ROW = np.array([0.123456789, -1 / 3, 1.0], np.float32)
OPTIONS = {"labels": ["cat"], "model_fingerprint": "0" * 64}


def test_base64_is_exact_and_little_endian():
    encoded = encode_row(ROW, "base64")
    assert isinstance(encoded, str)
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(encoded), "<f4"), ROW)
    assert encode_row(ROW.astype(">f4"), "base64") == encoded


def test_numbers_have_seven_digits():
    assert encode_row(ROW, "float") == [0.1234568, -0.3333333, 1.0]


def test_embeddings_have_no_frame():
    with pytest.raises(InvalidRequest, match="unknown field"):
        validated(EmbeddingsOptions, OPTIONS | {"frame": 1}, strict=True)


@pytest.mark.parametrize(
    ("schema", "values", "message"),
    [
        (EmbeddingsOptions, {"labels": ["cat"]}, "model_fingerprint is missing."),
        (EmbeddingsOptions, {"model_fingerprint": "0" * 64}, "labels is missing. Send labels, or label_set"),
        (EmbeddingsOptions, OPTIONS | {"label_set": "pets"}, "label_set replaces labels and templates."),
        (EmbeddingsBody, OPTIONS, "embeddings is missing."),
        (EmbeddingsBody, OPTIONS | {"embeddings": "AAAA"}, "embeddings: input should be a valid list."),
        (EmbeddingsBody, OPTIONS | {"embeddings": [], "embedings": []}, "unknown field; did you mean embeddings?"),
        (EmbedBatchOptions, {"encoding_format": "hex"}, "encoding_format: input should be 'float' or 'base64'."),
    ],
)
def test_a_wrong_field_is_named(schema, values, message):
    with pytest.raises(InvalidRequest) as error:
        validated(schema, values, strict=True)
    assert error.value.detail.startswith(message)
