import os
import socket
import subprocess
import sys

import pytest

from app.cli.setting_flags import flaggable
from app.settings import default_text, flag, variable


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIGLIP_")} | variables
    command = [sys.executable, "-m", "app", "serve", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)


def test_help_lists_every_setting():
    done = run("--help")
    assert done.returncode == 0
    shown = "".join(done.stdout.split())  # argparse breaks lines, also inside words
    for name in flaggable():
        assert f"[{flag(name)}" in shown
        default = f"(default:{default_text(name)})" if default_text(name) else ""
        assert f"{default}[{variable(name)}]" in shown
    assert "[--api-keysKEYS]" not in shown


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"SIGLIP_PROT": "80"}, "error: there is no setting SIGLIP_PROT; the nearest is SIGLIP_PORT\n"),
        ({"SIGLIP_PORT": "http"}, "error: SIGLIP_PORT: Input should be a valid integer"),
    ],
)
def test_a_users_mistake_is_a_one_line_error(variables, message):
    done = run(**variables)
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_port_in_use_is_a_one_line_error_that_names_the_setting(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as taken:
        taken.bind((host, 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(SIGLIP_HOST=host, SIGLIP_PORT=str(port))
    line = f"error: SIGLIP_PORT: port {port} of {host} is already in use by another process\n"
    assert (done.returncode, done.stderr) == (2, line)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "not a host"])
def test_an_address_of_another_machine_is_a_one_line_error_that_names_the_setting(host):
    done = run(SIGLIP_HOST=host)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: SIGLIP_HOST: '{host}' is not ")
    assert done.stderr.count("\n") == 1


def test_a_model_that_cannot_be_loaded_ends_the_process_with_a_reason():
    done = run(SIGLIP_MODEL="NoSuchModel", SIGLIP_PORT="0", SIGLIP_LOG_FORMAT="text", TF_CPP_MIN_LOG_LEVEL="3")
    assert done.returncode == 1
    assert "ERROR cannot start:" in done.stderr
    assert "Traceback" not in done.stderr
