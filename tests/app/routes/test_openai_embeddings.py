"""What test_openai.py does not see over HTTP: the schema that it documents."""

import jsonschema
import pytest

from app.routes.openai_embeddings import INPUT, EmbeddingsBody
from app.routes.openai_inputs import read_inputs

URL = "data:image/png;base64,AAAA"


@pytest.mark.parametrize(
    "given",
    [
        "cat",
        ["cat", URL],
        {"text": "cat"},
        {"image": "AAAA"},
        {"image_url": URL},
        [{"type": "image_url", "image_url": {"url": URL, "detail": "auto"}}],
    ],
)
def test_every_accepted_shape_of_the_input_is_documented(given):
    assert read_inputs(given, 10, 2)
    jsonschema.validate(given, INPUT)


@pytest.mark.parametrize("given", [[], [1, 2], [[1], [2]], None, {"txt": "cat"}])
def test_other_shapes_are_not_documented(given):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(given, INPUT)


def test_the_schema_has_no_references_which_would_point_into_another_document():
    assert "$ref" not in str(EmbeddingsBody.model_json_schema())
