"""Messages between the service and a worker."""

import socket
import time
from functools import partial

import pytest

from app.images.decode_worker import MAX_JSON_BYTES, read_before
from app.images.worker_process import LENGTHS, read_all, receive, send


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("content", [b"", b"abc", bytes(100_000)])
def test_a_message_arrives_whole(pair, content):
    ours, theirs = pair
    send(ours, {"frame": 3}, content)
    assert receive(theirs, read_all) == ({"frame": 3}, content)
    send(theirs, {"width": 1}, content)
    assert receive(ours, partial(read_before, time.monotonic() + 60, 100_000)) == ({"width": 1}, content)


def test_a_closed_connection_is_an_error_on_both_sides(pair):
    ours, theirs = pair
    theirs.sendall(LENGTHS.pack(2, 5) + b"{}abc")  # two bytes are missing
    theirs.close()
    with pytest.raises(ConnectionResetError):
        receive(ours, partial(read_before, time.monotonic() + 60, 100))


@pytest.mark.parametrize(
    "message",
    [
        LENGTHS.pack(2**32 - 1, 0),
        LENGTHS.pack(2, 2**32 - 1) + b"{}",
        LENGTHS.pack(2, 0) + b"[]",
        LENGTHS.pack(2, 0) + b"{a",
        LENGTHS.pack(2, 0) + b"\xff\xff",
    ],
    ids=["long JSON", "long content", "a list", "no JSON", "no UTF-8"],
)
def test_what_a_worker_sends_is_not_trusted(pair, message):
    ours, theirs = pair
    theirs.sendall(message)
    with pytest.raises(ValueError):  # noqa: PT011 (json's own)
        receive(ours, partial(read_before, time.monotonic() + 60, MAX_JSON_BYTES))
