"""The OpenAPI document. schemathesis generates requests from it and checks the responses of a running service."""

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app.main import create_app
from app.settings import Settings
from tests.fakes import FakeEncoder

VERTEX = {"aip_predict_route": "/v1/endpoints/1:predict", "aip_health_route": "/v1/endpoints/1"}
DOCUMENT = create_app(Settings(**VERTEX)).openapi()
OPERATIONS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]


@pytest.fixture(scope="module")
def address(running):
    with running(FakeEncoder(), max_labels=50, **VERTEX) as client:
        yield str(client.base_url)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_response_is_documented(address, path, method):
    operation = schemathesis.openapi.from_dict(DOCUMENT)[path][method]

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(operation.as_strategy())
    def check(case):
        # A generated timeout of a few milliseconds would cause a 504, which test_deadline.py tests.
        case.headers.pop("X-Request-Timeout-Ms", None)
        # A request that fits the document may still be refused with 4xx: random bytes are not an image, for example.
        case.call_and_validate(base_url=address, excluded_checks=[positive_data_acceptance])

    check()


def resolved(schema):
    """Returns the alternatives of a schema, without references to the components."""
    if "$ref" in schema:
        return resolved(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    return [one for part in schema["anyOf"] for one in resolved(part)] if "anyOf" in schema else [schema]


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_request_response_and_error_has_an_example_that_fits(path, method):
    operation = DOCUMENT["paths"][path][method]
    bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
    for content in (content for body in bodies for content in body.get("content", {}).values()):
        schema = content.get("schema", {"type": "string"})
        if schema.get("format") == "binary":  # an image itself
            continue
        shown = [example["value"] for example in content.get("examples", {}).values()]
        shown += [content["example"]] if "example" in content else []
        for example in shown or [one["example"] for one in resolved(schema)]:
            jsonschema.validate(example, {**schema, "components": DOCUMENT["components"]})


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_response_documents_its_request_id(path, method):
    for status, response in DOCUMENT["paths"][path][method]["responses"].items():
        assert "X-Request-Id" in response["headers"]
        assert ("Retry-After" in response["headers"]) == (status == "429")


def test_operations_that_need_a_key_document_it():
    document = create_app(Settings(api_keys="k")).openapi()
    assert document["components"]["securitySchemes"].keys() == {"bearer", "header"}
    assert document["paths"]["/classify"]["post"]["security"] == [{"bearer": []}, {"header": []}]
    assert "security" not in document["paths"]["/health"]["get"]
    assert "securitySchemes" not in DOCUMENT["components"]
    assert "security" not in DOCUMENT["paths"]["/classify"]["post"]


def test_the_timeout_header_is_documented_as_a_parameter():
    (name,) = [p["name"] for p in DOCUMENT["paths"]["/classify"]["post"]["parameters"] if p["in"] == "header"]
    assert name == "X-Request-Timeout-Ms"
