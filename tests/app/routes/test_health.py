import threading

import pytest

from tests.fakes import FakeEncoder


@pytest.mark.parametrize(
    ("path", "status"), [("/health/live", "live"), ("/health/ready", "ready"), ("/health", "ready")]
)
def test_a_probe_is_200_when_all_is_well(client, path, status):
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": status})


def test_during_the_start_the_service_is_live_and_not_ready(running):
    free = threading.Event()
    with running(FakeEncoder(before_warm_up=free.wait), wait=False) as client:
        while "compiling" not in client.get("/health/ready").text:
            pass
        answers = {path: client.get(path).status_code for path in ("/health/live", "/health/ready", "/health", "/info")}
        free.set()
        while client.get("/health/ready").status_code == 503:
            pass
    assert answers == {"/health/live": 200, "/health/ready": 503, "/health": 503, "/info": 503}
