import threading

import pytest

from tests.fakes import FakeEncoder


@pytest.mark.parametrize(
    ("path", "status"),
    [("/health/startup", "started"), ("/health/live", "live"), ("/health/ready", "ready"), ("/health", "ready")],
)
def test_each_probe_is_200_when_the_service_is_ready(client, path, status):
    response = client.get(path)
    assert (response.status_code, response.json()) == (200, {"status": status})


@pytest.mark.parametrize(("stage", "before"), [("compiling", "before_warm_up"), ("self-test", "before_self_test")])
def test_during_the_start_the_service_is_live_and_reports_its_stage(running, stage, before):
    free = threading.Event()
    with running(FakeEncoder(**{before: free.wait}), wait=False) as client:
        while stage not in client.get("/health/startup").text:
            pass
        paths = ("/health/live", "/health/startup", "/health/ready", "/health", "/info")
        responses = {path: client.get(path) for path in paths}
        free.set()
        while client.get("/health/startup").status_code == 503:
            pass
        assert client.get("/health/ready").status_code == 200
    assert [response.status_code for response in responses.values()] == [200, 503, 503, 503, 503]
    problem = responses["/health/startup"].json()
    assert (problem["error_type"], problem["detail"]) == ("not_ready", f"The model is not ready: {stage}.")


def test_if_the_device_hangs_the_service_is_not_ready_and_later_not_live(spawn):
    process = spawn("sticks", wait=False, canary_s=0.2)
    statuses = []
    while not statuses or statuses[-1] != (503, 503):
        ready, live = (process.client.get(f"/health/{probe}") for probe in ("ready", "live"))
        if not statuses or statuses[-1] != (ready.status_code, live.status_code):
            statuses.append((ready.status_code, live.status_code))
    assert statuses[-2:] == [(503, 200), (503, 503)]
    assert "Restart this process" in live.json()["detail"]


def test_if_the_device_fails_the_service_is_not_ready_until_it_works_again(running):
    works = threading.Event()

    def before_batch() -> None:
        if not works.is_set():
            raise RuntimeError("lost")

    with running(FakeEncoder(before_batch), canary_s=0.05, wait=False) as client:
        while "a forward pass on the device has failed (RuntimeError)" not in client.get("/health/ready").text:
            pass
        assert client.get("/health/startup").status_code == 200  # it has succeeded once, and does not change back
        works.set()
        while client.get("/health/ready").status_code != 200:
            pass
        assert client.get("/health/live").status_code == 200
