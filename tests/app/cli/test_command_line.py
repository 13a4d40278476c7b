"""What all commands have in common, tested with `python -m app` as a process."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path

import pytest

from app import __version__
from app.cli.command_line import COMMANDS, main

ROOT = Path(__file__).parents[3]


def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIGLIP_")} | variables
    command = [sys.executable, "-m", "app", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True)


def test_help_lists_commands_and_exit_statuses_without_slow_imports():
    check = """if True:
        import contextlib, sys
        from app.cli.command_line import main
        with contextlib.suppress(SystemExit):
            main(["--help"])
        print({"fastapi", "huggingface_hub", "keras", "numpy", "pydantic", "tensorflow", "tqdm"} & set(sys.modules))
    """
    shown = subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, text=True).stdout
    assert [name for name in COMMANDS if f"\n  {name} " not in shown] == []
    assert [status for status in ("0", "1", "2", "130", "141") if f"\n  {status:3}  " not in shown] == []
    assert shown.endswith("\nset()\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_a_help_that_does_not_import_tensorflow(name):
    check = """if True:
        import contextlib, sys
        from app.cli.command_line import main
        with contextlib.suppress(SystemExit):
            main([sys.argv[1], "--help"])
        print({"huggingface_hub", "keras", "tensorflow"} & set(sys.modules))
    """
    shown = subprocess.run([sys.executable, "-c", check, name], check=True, capture_output=True, text=True).stdout
    assert f"usage: siglip {name}" in shown
    assert shown.endswith("\nset()\n")


def test_without_a_command_the_help_is_shown(capsys):
    assert main([]) == 2
    assert "commands, each with its own --help:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["clasify"], "invalid choice: 'clasify'"), (["classify", "x.png"], "one of the arguments --labels")],
)
def test_a_mistake_in_the_arguments_is_reported_with_the_usage(arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("usage: siglip")
    assert message in shown


def test_version_prints_the_services_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_every_command_has_a_module():
    for name in COMMANDS:
        assert callable(import_module(f"app.cli.{name.replace('-', '_')}").main)


@pytest.fixture
def sigint_enabled():
    """Enables SIGINT. If a shell runs the tests in the background, they and their child processes ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("sigint_enabled")
def test_an_interrupt_while_waiting_for_a_service_gives_130_and_no_traceback():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = start("classify", "samples/cat.png", "--labels", "cat", "--server", url)
        connection, _ = listener.accept()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
        connection.close()
    assert (process.returncode, output, errors) == (130, "", "")


def content_length(request: bytes) -> int:
    found = re.search(rb"content-length: (\d+)", request, re.IGNORECASE)
    assert found
    return int(found[1])


def test_a_rejected_key_ends_the_command_while_other_requests_are_pending():
    problem = json.dumps({"detail": "no", "error_type": "unauthorized", "errors": []})
    response = f"HTTP/1.1 401 Unauthorized\r\nContent-Length: {len(problem)}\r\n\r\n{problem}"
    with socket.socket() as listener, ExitStack() as connections:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        paths = sorted(["samples/car.png", "samples/cat.png", "samples/dog.png"], key=os.path.getsize)
        process = start("classify", *paths, "--labels", "cat", "--server", url)
        opened = [connections.enter_context(listener.accept()[0]) for _ in paths]
        # The first file is the smallest. The command waits for its response first.
        first = min(opened, key=lambda connection: content_length(connection.recv(65_536)))
        first.sendall(response.encode())
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, "")
    assert errors.startswith("error: no ")


@pytest.mark.parametrize("module", ["argparse", "app.cli.command_line", "fastapi", "uvicorn.lifespan.on"])
def test_sigterm_ends_the_service_at_any_moment_of_its_start(module, tmp_path):
    code = """if True:
        import os, runpy, signal, sys
        class Finder:
            def find_spec(self, name, *_):
                if name == os.environ["STOP_AT"]:
                    print("stopping", flush=True)
                    os.kill(os.getpid(), signal.SIGTERM)
        sys.meta_path.insert(0, Finder())
        sys.argv[1:] = ["serve"]
        runpy.run_module("app", run_name="__main__")
    """
    settings = {"SIGLIP_PORT": "0", "SIGLIP_DATA_DIR": str(tmp_path), "SIGLIP_LOG_FORMAT": "text", "STOP_AT": module}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "stopping\n"), done.stderr
    assert "Traceback" not in done.stderr


def test_sigterm_ends_another_command_with_the_signals_status(tmp_path):
    os.mkfifo(tmp_path / "labels.txt")  # the command waits for a writer
    process = start("classify", "samples", "--labels-file", str(tmp_path / "labels.txt"))
    with (tmp_path / "labels.txt").open("w"):
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
    process.communicate()


def test_a_closed_pipe_ends_the_command_without_an_error(spawn):
    service = spawn()
    paths = ["samples/cat.png"] * 500
    process = start("classify", *paths, "--labels", "cat", "--json", "--server", str(service.client.base_url))
    assert process.stdout
    assert process.stderr
    assert process.stdout.readline().startswith('{"path"')
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), errors) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_cannot_be_written_is_a_one_line_error(unbuffered, tmp_path):
    (tmp_path / "zoo.txt").write_text("cat")
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "app", "label-sets", "check", str(tmp_path)]
        environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
        done = subprocess.run(command, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: [Errno 28] No space left on device\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_a_closed_stream_causes_no_traceback(closed, tmp_path):
    command = f"{sys.executable} -m app label-sets check {tmp_path} {closed}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
