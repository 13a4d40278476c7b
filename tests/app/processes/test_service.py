import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from app.processes.service import shared_out
from app.settings import SettingsError
from tests.app.conftest import Process
from tests.app.image_files import RED, encoded, plain_image
from tests.fakes import FakeEncoder

pytestmark = pytest.mark.slow  # four processes start

IMAGE = encoded(plain_image(RED))


class Service:
    """A running service of several processes."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.process.wait_for(lambda: self.log.count(" ready: ") == 2)
        found = re.search(r"supervisor (\d+), device process (\d+), front ends (\d+), (\d+)", self.log)
        assert found
        self.supervisor, self.device, *self.front_ends = map(int, found.groups())
        self.url = self.process.client.base_url

    @property
    def log(self) -> str:
        return "".join(self.process.log)

    def get(self, path: str) -> httpx.Response:
        """Requests a path on a new connection, which any front end may accept."""
        return httpx.get(self.url.join(path), timeout=30)

    def classify(self, **options) -> httpx.Response:
        return httpx.post(
            self.url.join("/classify"), files={"image": IMAGE}, data={"labels": ["cat", "dog"]}, timeout=30, **options
        )

    def metric(self, line: str) -> float:
        """Returns the value of a series."""
        found = re.search(rf"^{re.escape(line)} (\S+)$", self.get("/metrics").text, re.MULTILINE)
        assert found, line
        return float(found[1])


@pytest.fixture
def start(spawn):
    """Starts a service with two front ends."""

    def start(behaviour: str = "works", **settings) -> Service:
        return Service(spawn(behaviour, **{"processes": 2, "decode_workers": 2} | settings))

    return start


def running(pid: int) -> bool:
    """Returns whether a process runs, and is not a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until_ended(*pids: int) -> None:
    while any(running(pid) for pid in pids):
        time.sleep(0.01)


def test_both_front_ends_answer_as_one_process_would_and_one_scrape_shows_the_sum(start):
    service = start()
    expected = FakeEncoder().logit(plain_image(RED), "This is a photo of cat.")
    with ThreadPoolExecutor(8) as pool:
        responses = [future.result() for future in [pool.submit(service.classify) for _ in range(40)]]
    assert {response.status_code for response in responses} == {200}
    (logit,) = {score["logit"] for r in responses for score in r.json()["scores"] if score["label"] == "cat"}
    assert logit == pytest.approx(expected)
    route = 'siglip_http_requests_total{method="POST",route="/classify",status="200"}'
    assert {service.metric(route) for _ in range(6)} == {40}
    assert service.metric("siglip_image_cache_misses_total") + service.metric("siglip_image_cache_hits_total") == 40
    assert service.metric('siglip_batch_size_sum{tower="image"}') in (1, 2)  # each front end has its own cache
    assert service.metric("siglip_ready") == 1
    assert service.process.exit_after_sigterm() == 0


def test_a_label_set_that_is_put_is_at_once_everywhere_and_survives_a_restart(start):
    service = start()
    for number in range(20):
        name = f"set-{number}"
        assert httpx.put(service.url.join(f"/label-sets/{name}"), json={"labels": ["cat"]}).status_code == 201
        assert {service.get(f"/label-sets/{name}").status_code for _ in range(4)} == {200}
        assert httpx.delete(service.url.join(f"/label-sets/{name}")).status_code == 204
        assert {service.get(f"/label-sets/{name}").status_code for _ in range(4)} == {404}
    assert httpx.put(service.url.join("/label-sets/zoo"), json={"labels": ["cat"]}).status_code == 201
    assert service.process.exit_after_sigterm() == 0
    assert start().get("/label-sets/zoo").json()["labels"] == ["cat"]


def test_all_front_ends_ask_for_the_same_keys(start):
    service = start(api_keys="secret")
    assert {service.classify().status_code for _ in range(8)} == {401}
    assert {service.classify(headers={"X-API-Key": "secret"}).status_code for _ in range(8)} == {200}


def test_a_front_end_that_is_killed_is_replaced_and_the_others_go_on(start):
    service = start()
    with httpx.Client(base_url=service.url, timeout=30) as kept:
        kept.get("/health/ready")  # its connection stays with one of them
        for pid in service.front_ends:
            before = service.log.count(" ready: ")
            os.kill(pid, signal.SIGKILL)
            assert service.classify().status_code == 200  # by the other one, or by the replacement
            service.process.wait_for(lambda before=before: service.log.count(" ready: ") == before + 1)
    assert service.log.count("has ended and is replaced: signal SIGKILL") == 2
    assert service.metric('siglip_http_requests_total{method="POST",route="/classify",status="200"}') == 2
    assert service.process.exit_after_sigterm() == 0


def test_the_places_of_a_killed_front_end_are_free_again(start):
    service = start("slow", max_queue_items=1, canary_s=600)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(service.classify)
        service.process.wait_for(lambda: service.metric("siglip_queue_depth") == 1)
        assert service.classify().status_code == 429  # whichever front end it is
        for pid in service.front_ends:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(httpx.HTTPError):
            waiting.result()
    service.process.wait_for(lambda: service.log.count(" ready: ") == 4)
    assert service.metric("siglip_queue_depth") == 0
    assert service.classify().status_code == 200


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_if_the_device_process_ends_the_service_ends_as_failed(start, number):
    service = start("slow")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(service.classify)
        service.process.wait_for(lambda: service.metric("siglip_queue_depth") == 1)
        os.kill(service.device, number)
        with suppress(httpx.HTTPError):  # its connection may be closed
            assert waiting.result().json()["error_type"] == "internal_error"
    assert service.process.exit_status() == 1
    wait_until_ended(*service.front_ends)
    assert "the device process has ended" in service.log


def test_if_the_device_thread_ends_the_service_ends_as_failed(spawn):
    process = spawn("dies", processes=2, decode_workers=2, canary_s=0.2, wait=False)
    assert process.exit_status() == 1


def test_a_device_that_hangs_makes_the_service_not_live(spawn):
    process = spawn("sticks", processes=2, decode_workers=2, canary_s=0.05, wait=False)
    process.wait_for(lambda: process.client.get("/health/live").status_code == 503)
    assert "does not respond" in process.client.get("/health/live").text
    assert process.exit_after_sigterm() == 0


def test_if_the_supervisor_is_killed_all_others_end(start):
    service = start()
    os.kill(service.supervisor, signal.SIGKILL)
    wait_until_ended(service.device, *service.front_ends)
    service.process.exit_status()


def test_sigterm_drains_all_front_ends(start):
    service = start("slow", drain_s=1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(service.classify)
        service.process.wait_for(lambda: service.metric("siglip_queue_depth") == 1)
        service.process.popen.send_signal(signal.SIGTERM)
        service.process.wait_for(lambda: service.get("/health/ready").status_code == 503)
        assert service.classify().status_code == 200  # still served during the drain
        assert waiting.result().status_code == 200
    assert service.process.exit_status() == 0
    with socket.socket() as probe:
        assert probe.connect_ex((service.url.host, service.url.port)) != 0
    wait_until_ended(service.device, *service.front_ends)


def test_a_second_signal_ends_everything_at_once(start):
    service = start("slow", drain_s=600)
    service.process.popen.send_signal(signal.SIGTERM)
    service.process.wait_for(lambda: service.get("/health/ready").status_code == 503)
    service.process.popen.send_signal(signal.SIGTERM)
    assert service.process.exit_status() == 128 + signal.SIGTERM
    wait_until_ended(service.device, *service.front_ends)


def test_during_the_start_the_stage_is_shown_and_sigterm_ends_it(spawn):
    process = spawn("never loads", processes=2, decode_workers=2, wait=False)
    process.wait_for(lambda: "compiling" in process.client.get("/health/ready").text)
    assert process.client.get("/health/live").status_code == 200
    assert process.exit_after_sigterm() == 0


def test_a_front_end_that_cannot_start_ends_the_service_as_failed(spawn, tmp_path):
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "zoo.csv").touch()
    process = spawn(processes=2, decode_workers=2, label_sets_dir=tmp_path / "sets", wait=False)
    assert process.exit_status() == 1
    assert "a label set is a .txt or a .json file" in "".join(process.log)


def test_a_worker_that_decodes_belongs_to_one_front_end_and_their_number_is_the_configured_one():
    assert shared_out(5, 2) == [3, 2]
    assert shared_out(3, 3) == [1, 1, 1]
    with pytest.raises(SettingsError, match="4 processes need as many decode workers, and there are 3"):
        shared_out(3, 4)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"SIGLIP_API_KEYS_FILE": "missing"}, "SIGLIP_API_KEYS_FILE missing cannot be read"),
        ({"SIGLIP_DECODE_WORKERS": "1"}, "2 processes need as many decode workers, and there are 1"),
        ({"TMPDIR": "{long}"}, "Set TMPDIR to a folder with a short path"),
    ],
)
def test_mistakes_in_settings_are_reported_once_before_a_process_starts(tmp_path, variables, message):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    variables = {name: value.format(long=long) for name, value in variables.items()}
    defaults = {"SIGLIP_PROCESSES": "2", "SIGLIP_DECODE_WORKERS": "2", "SIGLIP_PORT": "0"}
    command = [sys.executable, "-m", "app", "serve"]
    ended = subprocess.run(command, env=os.environ | defaults | variables, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert message in ended.stderr
