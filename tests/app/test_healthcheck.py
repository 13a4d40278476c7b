"""The container's health check, run in a separate process against a real server."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app.healthcheck import DEFAULT_HOST, DEFAULT_PORT, listening, read_arguments
from app.http.sockets import open_sockets
from app.settings import Settings
from tests.app.conftest import Running
from tests.fakes import FakeEncoder


def probe(port: int, *flags: str, variable: str = "SIGLIP_PORT", host: str = "") -> subprocess.CompletedProcess[str]:
    """Runs the command of the Docker image's HEALTHCHECK."""
    command = [sys.executable, *flags, "-m", "app.healthcheck"]
    environment = os.environ | {variable: str(port), "SIGLIP_HOST": host}
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


def test_the_defaults_equal_those_of_the_settings() -> None:
    assert Settings.model_fields["host"].default == [DEFAULT_HOST]
    assert Settings.model_fields["port"].default == DEFAULT_PORT


@pytest.mark.parametrize(
    ("variables", "arguments", "hosts", "port"),
    [
        ({}, [], ["127.0.0.1"], 8000),
        ({"SIGLIP_HOST": "", "SIGLIP_PORT": ""}, [], ["127.0.0.1"], 8000),
        ({"SIGLIP_HOST": "0.0.0.0"}, [], ["127.0.0.1"], 8000),
        ({"SIGLIP_HOST": "::"}, [], ["127.0.0.1", "::1"], 8000),
        ({"SIGLIP_HOST": "192.0.2.1, ::1"}, [], ["192.0.2.1", "::1"], 8000),
        ({"SIGLIP_PORT": "tcp://10.96.0.7:80"}, [], ["127.0.0.1"], 8000),
        ({"SIGLIP_PORT": "tcp://10.96.0.7:80", "AIP_HTTP_PORT": "8080"}, [], ["127.0.0.1"], 8080),
        ({"SIGLIP_PORT": "9000", "AIP_HTTP_PORT": "8080"}, [], ["127.0.0.1"], 9000),
        ({"SIGLIP_PORT": "9000"}, ["serve", "--port", "9001", "--host=::1"], ["::1"], 9001),
        ({}, ["serve", "--port=9001", "--model", "x", "--port", "9002"], ["127.0.0.1"], 9002),
    ],
)
def test_the_check_asks_where_the_service_listens(
    variables: dict[str, str], arguments: list[str], hosts: list[str], port: int
) -> None:
    assert listening(variables, arguments) == (hosts, port)


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["python", "-m", "app", "serve", "--port", "9000"], ["serve", "--port", "9000"]),
        (["/opt/bin/siglip", "serve"], ["serve"]),
        (["docker-init", "--", "python", "-m", "app", "serve", "--port=1"], ["serve", "--port=1"]),
        (["caddy", "serve", "--port", "9000"], []),
        (["/sbin/init"], []),
    ],
)
def test_the_flags_of_process_1_are_read_if_it_is_the_service(
    tmp_path: Path, words: list[str], arguments: list[str]
) -> None:
    (tmp_path / "cmdline").write_bytes("\0".join([*words, ""]).encode())
    read = read_arguments(str(tmp_path / "cmdline"))
    assert [word for word in read if word] == arguments
    assert read_arguments(str(tmp_path / "missing")) == []


@pytest.mark.parametrize("host", ["::", "::1", "192.0.2.1,127.0.0.1"])
def test_another_address_than_the_default_is_asked(host: str) -> None:
    """A stand-in for the service, on the address that is listed last."""
    last = host.rpartition(",")[2]
    with open_sockets([last], 0)[0] as listener:
        listener.listen()

        def reply() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        thread = threading.Thread(target=reply)
        thread.start()
        done = probe(listener.getsockname()[1], host=host)
        thread.join()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("package", ["fastapi", "pydantic", "uvicorn", "numpy", "asyncio"])
def test_no_slow_package_is_imported(package: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        done = probe(taken.getsockname()[1], "-X", "importtime")
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "http.client" in imported
    assert package not in imported
