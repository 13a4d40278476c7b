import threading

import pytest

from tests.fakes import FakeEncoder


@pytest.mark.parametrize(
    ("path", "status"),
    [("/health/startup", "started"), ("/health/live", "live"), ("/health/ready", "ready"), ("/health", "ready")],
)
def test_a_probe_is_200_when_all_is_well(client, path, status):
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": status})


@pytest.mark.parametrize(("stage", "before"), [("compiling", "before_warm_up"), ("self-test", "before_self_test")])
def test_during_the_start_the_service_is_live_and_says_its_stage(running, stage, before):
    free = threading.Event()
    with running(FakeEncoder(**{before: free.wait}), wait=False) as client:
        while stage not in client.get("/health/startup").text:
            pass
        paths = ("/health/live", "/health/startup", "/health/ready", "/health", "/info")
        answers = {path: client.get(path) for path in paths}
        free.set()
        while client.get("/health/startup").status_code == 503:
            pass
        assert client.get("/health/ready").status_code == 200
    assert [answer.status_code for answer in answers.values()] == [200, 503, 503, 503, 503]
    problem = answers["/health/startup"].json()
    assert (problem["error_type"], problem["detail"]) == ("not_ready", f"The model is not ready: {stage}.")
