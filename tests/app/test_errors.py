import pytest

from app.errors import Fault, InvalidImage, InvalidRequest, ServiceError


@pytest.mark.parametrize(
    ("message", "detail"), [("x is missing", "x is missing."), ("x is missing.",) * 2, ("did you mean y?",) * 2]
)
def test_an_error_with_one_fault_has_its_message_as_detail(message, detail):
    error = InvalidRequest.at("/x", message)
    assert error.detail == str(error) == detail
    assert error.faults == [Fault("/x", message)]
    assert error.problem("1")["errors"] == [{"pointer": "/x", "message": detail}]


def test_a_problem_has_the_members_that_clients_read():
    faults = [Fault("/a", "first"), Fault("/b", "second")]
    assert InvalidImage("Two faults.", faults).problem("42") == {
        "type": "urn:siglip:error:invalid_image",
        "title": "The image cannot be decoded",
        "status": 422,
        "detail": "Two faults.",
        "error": "Two faults.",
        "error_type": "invalid_image",
        "errors": [{"pointer": "/a", "message": "first"}, {"pointer": "/b", "message": "second"}],
        "request_id": "42",
    }


def test_every_error_has_a_status_and_a_unique_code_and_title():
    kinds = ServiceError.__subclasses__()
    assert len({kind.code for kind in kinds}) == len({kind.title for kind in kinds}) == len(kinds)
    assert all(400 <= kind.status < 600 for kind in kinds)
