"""The container's health check, run in a separate process against a real server."""

import os
import socket
import subprocess
import sys
import threading

import pytest

from app.healthcheck import DEFAULT_PORT
from app.settings import Settings
from tests.app.conftest import Running
from tests.fakes import FakeEncoder


def probe(port: int | None, *flags: str, variable: str = "SIGLIP_PORT") -> subprocess.CompletedProcess[str]:
    """Runs the command of the Docker image's HEALTHCHECK."""
    command = [sys.executable, *flags, "-m", "app.healthcheck"]
    environment = os.environ | ({} if port is None else {variable: str(port)})
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_ready_service_is_exit_status_0_without_output(running: Running) -> None:
    with running() as client:
        done = probe(client.base_url.port)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_port_variable_of_vertex_ai_is_read(running: Running) -> None:
    with running() as client:
        assert probe(client.base_url.port, variable="AIP_HTTP_PORT").returncode == 0


def test_a_loading_service_is_exit_status_1_and_one_line_with_the_reason(running: Running) -> None:
    loading = threading.Event()
    with running(FakeEncoder(before_warm_up=lambda: loading.wait() and None), wait=False) as client:
        done = probe(client.base_url.port)
        loading.set()
    assert done.returncode == 1
    assert done.stdout.startswith("503: ")
    assert "not_ready" in done.stdout
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_a_refused_connection_is_exit_status_1_and_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening, so no other process can take the port
        done = probe(taken.getsockname()[1])
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("ConnectionRefusedError")
    assert done.stdout.count("\n") == 1


def test_a_server_of_another_protocol_is_exit_status_1_and_one_line() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def reply() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 mail\r\n")

        thread = threading.Thread(target=reply)
        thread.start()
        done = probe(listener.getsockname()[1])
        thread.join()
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("BadStatusLine")


def test_the_default_port_equals_that_of_the_settings() -> None:
    assert Settings.model_fields["port"].default == DEFAULT_PORT


@pytest.mark.parametrize("package", ["fastapi", "pydantic", "uvicorn", "numpy", "asyncio"])
def test_no_slow_package_is_imported(package: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        done = probe(taken.getsockname()[1], "-X", "importtime")
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "http.client" in imported
    assert package not in imported
