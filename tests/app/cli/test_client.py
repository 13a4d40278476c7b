import re
import socket
import threading

import pytest

from app.cli import CommandError
from app.cli.client import MAX_TRIES, MAX_WAIT_S, Refused, Service
from tests.app.cli.stub import Answer, answering

BUSY = Answer(429, b"", ("Retry-After", "0"))


def error_of(url: str, path: str = "/info", keys: tuple[str, ...] = ()) -> CommandError:
    with pytest.raises(CommandError) as told, Service(url, list(keys)) as service:
        service.ask("GET", path)
    return told.value


def test_a_services_error_is_its_detail_and_where(client):
    with pytest.raises(Refused) as told, Service(str(client.base_url), []) as service:
        service.ask("POST", "/classify/batch", json={"images": [], "labels": ["cat"]})
    assert (str(told.value), told.value.code) == ("There are 0 images; send 1 to 64. (/images)", "invalid_request")


def test_a_key_is_sent_and_a_missing_one_is_told_with_where_to_put_it(running):
    with running(api_keys="secret,other") as service_client:
        url = str(service_client.base_url)
        with Service(url, ["other"]) as service:
            assert service.ask("GET", "/label-sets").json() == {"label_sets": []}
        error = error_of(url, "/label-sets")
        assert re.match(r"This service needs an API key\. .* SIGLIP_API_KEYS,", str(error))


def test_a_busy_service_is_asked_again_and_only_so_often():
    with answering(BUSY, BUSY, Answer(200, b"{}")) as (url, asked), Service(url, []) as service:
        assert service.ask("GET", "/info").json() == {}
        assert len(asked) == 3
    with answering(BUSY) as (url, asked):
        assert "429 Too Many Requests" in str(error_of(url))
        assert len(asked) == MAX_TRIES


def test_a_service_that_wants_to_be_left_alone_for_long_is():
    with answering(Answer(429, b"", ("Retry-After", str(MAX_WAIT_S + 1)))) as (url, asked):
        error_of(url)
        assert len(asked) == 1


def test_a_wait_for_another_try_ends_when_the_service_is_closed():
    with answering(Answer(429, b"", ("Retry-After", str(MAX_WAIT_S)))) as (url, asked):
        errors: list[Exception] = []
        with Service(url, []) as service:

            def ask() -> None:
                try:
                    service.ask("GET", "/info")
                except CommandError as error:
                    errors.append(error)

            thread = threading.Thread(target=ask)
            thread.start()
            while not asked:
                thread.join(0.01)
        thread.join(MAX_WAIT_S / 2)
        assert len(errors) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(404, b"<html>"), "{url} answers GET /info with 404 Not Found, and is not a SigLIP service"),
        (Answer(404, b'{"detail": "Not Found"}'), "{url} answers GET /info with 404 Not Found, and is not"),
        (Answer(500, b"[]"), "{url} answers GET /info with 500 Internal Server Error, and is not"),
        (Answer(301, b"", ("Location", "https://127.0.0.1/")), "{url} answers GET /info with 301 Moved Permanently"),
        (
            Answer(500, b'{"detail": "No.\\u001b", "error_type": "x", "errors": [], "request_id": "y"}'),
            "No.\\x1b The request_id is y.",
        ),
    ],
)
def test_an_answer_that_is_no_success_is_one_line(answer, message):
    with answering(answer) as (url, _):
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
def test_a_url_that_leads_to_no_service_is_one_line(url, message):
    assert str(error_of(url)).startswith(message)


def test_a_proxy_is_not_asked_for_this_machine(client, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with Service(str(client.base_url), []) as service:
        assert service.ask("GET", "/info").status_code == 200
    assert str(error_of("http://siglip.invalid")) == "http://siglip.invalid does not respond: Connection refused"


def test_a_proxy_that_cannot_be_used_is_one_line(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:1")
    assert str(error_of("http://siglip.invalid")).startswith("the proxy in the environment cannot be used: ")


def test_what_is_no_http_is_one_line():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert str(error_of(url)).startswith(f"{url} does not respond: ")
        thread.join()
