"""The container's health check: `python -m app.healthcheck`.

It checks readiness, not liveness: Docker itself does not restart unhealthy containers, and those that read the status
(Swarm, a proxy, `depends_on`) need to know whether to send requests. It runs every few seconds next to the server, so
it imports only a little of the standard library.

It asks where the service listens: at the address and port of the flags of process 1, which is the server in a
container, or else of the variables.
"""

import http.client
import os
import sys
from collections.abc import Mapping
from itertools import pairwise

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8000  # as in `app.settings`, which imports pydantic
ALL_ADDRESSES = {"0.0.0.0": ["127.0.0.1"], "::": ["127.0.0.1", "::1"]}  # noqa: S104 (compared, not listened on)
TIMEOUT_S = 4  # less than the Dockerfile's --timeout, so that the reason is printed
PROCESS_1 = "/proc/1/cmdline"


def main(command_line: str = PROCESS_1) -> int:
    """Returns 0 if the service in this container is ready; otherwise prints the reason in one line and returns 1."""
    try:
        hosts, port = listening(os.environ, read_arguments(command_line))
        response = ask(hosts, port)
        body = response.read(1000).decode(errors="replace")
    except (OSError, ValueError, http.client.HTTPException) as error:
        print(f"{type(error).__name__}: {error}")
        return 1
    if response.status != http.client.OK:
        print(f"{response.status}: {' '.join(body.split())}")
        return 1
    return 0


def read_arguments(command_line: str) -> list[str]:
    """Returns the arguments of a process that serves, from its file in /proc, or []."""
    try:
        with open(command_line, encoding="utf-8", errors="replace") as file:
            words = file.read().split("\0")
    except OSError:
        return []
    for program, command in pairwise(words):
        if command == "serve" and program.endswith(("app", "siglip")):  # `python -m app serve` or `siglip serve`
            return words[words.index(command) :]
    return []


def listening(environment: Mapping[str, str], arguments: list[str]) -> tuple[list[str], int]:
    """Returns the addresses to try, and the port.

    Raises:
        ValueError: The port is not a number.
    """
    port = value_of("--port", arguments) or environment.get("SIGLIP_PORT", "")
    if "://" in port:  # Kubernetes' variable for a Service named siglip
        port = ""
    port = port or environment.get("AIP_HTTP_PORT", "")
    given = value_of("--host", arguments) or environment.get("SIGLIP_HOST") or DEFAULT_HOST
    hosts = [host for part in given.split(",") if (host := part.strip())]
    return [address for host in hosts for address in ALL_ADDRESSES.get(host, [host])], int(port or DEFAULT_PORT)


def value_of(flag: str, arguments: list[str]) -> str:
    """Returns a flag's value, from `--flag value` or `--flag=value`, or ""."""
    value = ""
    for argument, following in pairwise([*arguments, ""]):
        name, has_value, after = argument.partition("=")
        if name == flag:
            value = after if has_value else following
    return value


def ask(hosts: list[str], port: int) -> http.client.HTTPResponse:
    """Returns the response of the first address that accepts a connection.

    Raises:
        OSError: None does, or the connection failed.
        HTTPException: The response is not one of HTTP.
    """
    for host in hosts:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        try:
            connection.connect()
        except OSError:
            if host != hosts[-1]:
                continue
            raise
        connection.request("GET", "/health/ready")
        return connection.getresponse()
    raise ValueError("SIGLIP_HOST has no address")


if __name__ == "__main__":
    sys.exit(main())
