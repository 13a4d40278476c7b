import errno
import socket
from contextlib import ExitStack

import pytest

from app.http.sockets import address_fault, open_sockets
from app.settings import SettingsError


@pytest.mark.parametrize(
    ("hosts", "reached"),
    [
        (["127.0.0.1"], ["127.0.0.1"]),
        (["::1"], ["::1"]),
        (["0.0.0.0"], ["127.0.0.1"]),
        (["::"], ["::1", "127.0.0.1"]),
        (["localhost"], ["127.0.0.1"]),
        (["127.0.0.1", "::1"], ["127.0.0.1", "::1"]),
        (["::", "0.0.0.0"], ["::1", "127.0.0.1"]),
        (["::", "127.0.0.1"], ["::1", "127.0.0.1"]),
        (["127.0.0.1", "127.0.0.1"], ["127.0.0.1"]),
    ],
)
def test_every_address_can_be_connected_to_at_one_port(hosts, reached):
    with ExitStack() as stack:
        sockets = [stack.enter_context(opened) for opened in open_sockets(hosts, 0)]
        for opened in sockets:
            opened.listen()
        (port,) = {opened.getsockname()[1] for opened in sockets}
        for address in reached:
            stack.enter_context(socket.create_connection((address, port), timeout=10))


def test_only_the_listed_addresses_are_bound():
    with ExitStack() as stack:
        sockets = [stack.enter_context(opened) for opened in open_sockets(["::1"], 0)]
        sockets[0].listen()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", sockets[0].getsockname()[1]), timeout=10)


@pytest.mark.parametrize("hosts", [[], ["192.0.2.1"], ["127.0.0.1", "192.0.2.1"]])
def test_an_address_of_another_machine_is_an_error(hosts):
    with pytest.raises(SettingsError, match=r"^SIGLIP_HOST: .* is not an address of this machine"):
        open_sockets(hosts, 0)


def test_no_socket_stays_open_after_a_failure():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SettingsError, match=r"^SIGLIP_PORT: port \d+ of localhost is already in use"):
            open_sockets(["localhost"], taken.getsockname()[1])


def test_the_error_for_a_port_that_only_root_may_use_names_the_port():
    error = OSError(errno.EACCES, "Permission denied")
    expected = "SIGLIP_PORT: this user may not listen on port 80; choose one above 1023"
    assert address_fault("0.0.0.0", 80, error) == expected
