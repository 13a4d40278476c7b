import errno
import socket

import pytest

from app.http.sockets import address_fault, open_sockets
from app.settings import SettingsError


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::", "localhost"])
def test_every_address_of_a_host_can_be_connected_to(host):
    sockets = open_sockets(host, 0)
    for opened in sockets:
        opened.listen()
        address, port = opened.getsockname()[:2]
        with socket.create_connection((address, port), timeout=10):
            accepted, _ = opened.accept()
            accepted.close()
        opened.close()
    assert sockets


def test_no_socket_stays_open_after_a_failure():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SettingsError, match=r"^SIGLIP_PORT: port \d+ of localhost is already in use"):
            open_sockets("localhost", taken.getsockname()[1])


def test_the_error_for_a_port_that_only_root_may_use_names_the_port():
    error = OSError(errno.EACCES, "Permission denied")
    expected = "SIGLIP_PORT: this user may not listen on port 80; choose one above 1023"
    assert address_fault("0.0.0.0", 80, error) == expected
