"""The running service against its own OpenAPI document, by requests that schemathesis makes up from it."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app.config import Settings
from app.main import create_app
from tests.fakes import FakeEncoder

DOCUMENT = create_app(Settings()).openapi()
OPERATIONS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]


@pytest.fixture(scope="module")
def address(running):
    with running(FakeEncoder(), max_labels=50) as client:
        yield str(client.base_url)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_one_that_the_contract_names(address, path, method):
    operation = schemathesis.openapi.from_dict(DOCUMENT)[path][method]

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(operation.as_strategy())
    def check(case):
        # Random bytes are no image and random words no template: what fits the document may still be refused, with 4xx.
        case.call_and_validate(base_url=address, excluded_checks=[positive_data_acceptance])

    check()
