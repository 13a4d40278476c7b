import json
import re
import socket
import threading

import pytest

from app.cli import CommandError
from app.cli.client import MAX_TRIES, MAX_WAIT_S, Refused, Service
from tests.app.cli.stub import StubResponse, stub_server

BUSY = StubResponse(429, b"", ("Retry-After", "0"))


def error_of(url: str, path: str = "/info", keys: tuple[str, ...] = ()) -> CommandError:
    with pytest.raises(CommandError) as exc_info, Service(url, list(keys)) as service:
        service.ask("GET", path)
    return exc_info.value


def test_an_error_of_the_service_shows_its_detail_and_the_field(client):
    with pytest.raises(Refused) as exc_info, Service(str(client.base_url), []) as service:
        service.ask("POST", "/classify/batch", json={"images": [], "labels": ["cat"]})
    assert (str(exc_info.value), exc_info.value.code) == (
        "There are 0 images; send 1 to 64. (/images)",
        "invalid_request",
    )


def test_a_key_is_sent_and_the_error_for_a_missing_one_says_where_to_set_it(running):
    with running(api_keys="secret,other") as service_client:
        url = str(service_client.base_url)
        with Service(url, ["other"]) as service:
            assert service.ask("GET", "/label-sets").json() == {"label_sets": []}
        error = error_of(url, "/label-sets")
        assert re.match(r"This service needs an API key\. .* SIGLIP_API_KEYS,", str(error))


def test_a_request_to_a_busy_service_is_repeated_a_limited_number_of_times():
    with stub_server(BUSY, BUSY, StubResponse(200, b"{}")) as (url, requests), Service(url, []) as service:
        assert service.ask("GET", "/info").json() == {}
        assert len(requests) == 3
    with stub_server(BUSY) as (url, requests):
        assert "429 Too Many Requests" in str(error_of(url))
        assert len(requests) == MAX_TRIES


def test_a_request_is_not_repeated_if_retry_after_is_too_long():
    with stub_server(StubResponse(429, b"", ("Retry-After", str(MAX_WAIT_S + 1)))) as (url, requests):
        error_of(url)
        assert len(requests) == 1


def test_a_wait_for_the_next_try_ends_when_the_client_is_closed():
    with stub_server(StubResponse(429, b"", ("Retry-After", str(MAX_WAIT_S)))) as (url, requests):
        errors: list[Exception] = []
        with Service(url, []) as service:

            def ask() -> None:
                try:
                    service.ask("GET", "/info")
                except CommandError as error:
                    errors.append(error)

            thread = threading.Thread(target=ask)
            thread.start()
            while not requests:
                thread.join(0.01)
        thread.join(MAX_WAIT_S / 2)
        assert len(errors) == 1


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (StubResponse(404, b"<html>"), "{url} answers GET /info with 404 Not Found, and is not a SigLIP service"),
        (StubResponse(404, b'{"detail": "Not Found"}'), "{url} answers GET /info with 404 Not Found, and is not"),
        (StubResponse(500, b"[]"), "{url} answers GET /info with 500 Internal Server Error, and is not"),
        (
            StubResponse(301, b"", ("Location", "https://127.0.0.1/")),
            "{url} answers GET /info with 301 Moved Permanently",
        ),
        (
            StubResponse(500, b'{"detail": "No.\\u001b", "error_type": "x", "errors": [], "request_id": "y"}'),
            "No.\\x1b The request_id is y.",
        ),
    ],
)
def test_an_error_response_is_a_one_line_error(response, message):
    with stub_server(response) as (url, _):
        assert str(error_of(url)).startswith(message.format(url=url))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:1", "http://127.0.0.1:1 does not respond: Connection refused"),
        ("http://no.such.host.invalid", "http://no.such.host.invalid does not respond: Name or service not known"),
        ("localhost:8000", "a URL begins with http:// or https://, such as http://127.0.0.1:8000, not localhost:8000"),
        ("ftp://127.0.0.1", "a URL begins with http:// or https://"),
        ("http://[::1", "http://[::1 is not a URL: "),
    ],
)
def test_a_url_without_a_service_is_a_one_line_error(url, message):
    assert str(error_of(url)).startswith(message)


WARNING = {"code": "labels_alike", "message": "Two labels have equal tokens.", "labels": [0, 1]}


def test_each_different_warning_of_a_service_is_printed_once(capsys):
    other = WARNING | {"message": "A label is too long."}
    bodies = [{"warnings": found} for found in ([WARNING], [WARNING, other], [], [WARNING])]
    responses = [StubResponse(200, json.dumps(body, separators=(",", ":")).encode()) for body in bodies]
    with stub_server(*responses) as (url, _), Service(url, []) as service:
        for _ in responses:
            service.ask("POST", "/classify")
    assert capsys.readouterr() == (
        "",
        "warning: Two labels have equal tokens.\nwarning: A label is too long.\n",
    )


def test_a_label_that_looks_like_a_warning_is_not_one(capsys):
    body = {"scores": [{"label": json.dumps({"warnings": [WARNING]}, separators=(",", ":"))}], "warnings": []}
    response = StubResponse(200, json.dumps(body, separators=(",", ":")).encode())
    with stub_server(response) as (url, _), Service(url, []) as service:
        service.ask("POST", "/classify")
    assert capsys.readouterr().err == ""


def test_a_proxy_is_not_used_for_this_machine(client, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with Service(str(client.base_url), []) as service:
        assert service.ask("GET", "/info").status_code == 200
    assert str(error_of("http://siglip.invalid")) == "http://siglip.invalid does not respond: Connection refused"


def test_a_proxy_that_cannot_be_used_is_a_one_line_error(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:1")
    assert str(error_of("http://siglip.invalid")).startswith("the proxy in the environment cannot be used: ")


def test_a_server_that_does_not_speak_http_is_a_one_line_error():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def respond() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=respond)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert str(error_of(url)).startswith(f"{url} does not respond: ")
        thread.join()
