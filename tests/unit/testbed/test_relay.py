"""A relay passes everything on until it is told not to."""

import socket
import threading
from collections.abc import Iterator

import pytest

from testbed.process import wait_for
from testbed.relay import Relay


class Echo:
    """Says its name, then sends back what it gets."""

    def __init__(self, name: bytes) -> None:
        self._name = name
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            connection.sendall(self._name)
            while data := connection.recv(4096):
                connection.sendall(data)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo(b"a")
    yield server
    server.close()


def dial(relay: Relay) -> socket.socket:
    host, _, port = relay.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=5)


def test_bytes_pass_and_are_counted(echo: Echo) -> None:
    with Relay(echo.address) as relay, dial(relay) as near:
        assert near.recv(1) == b"a"
        near.sendall(b"hello")
        assert near.recv(5) == b"hello"
        wait_for(lambda: relay.carried == 11, 5, "all bytes counted")


def test_a_cut_ends_what_is_connected_and_hangs_up_until_it_is_mended(echo: Echo) -> None:
    with Relay(echo.address) as relay:
        with dial(relay) as near:
            assert near.recv(1) == b"a"
            relay.cut()
            assert near.recv(1) == b""
        with dial(relay) as near:
            assert near.recv(1) == b""
        relay.mend()
        with dial(relay) as near:
            assert near.recv(1) == b"a"


def test_a_stall_holds_everything_back_and_tells_nobody(echo: Echo) -> None:
    with Relay(echo.address) as relay, dial(relay) as near:
        assert near.recv(1) == b"a"
        relay.stall()
        near.sendall(b"held")
        near.settimeout(0.1)
        with pytest.raises(TimeoutError):
            near.recv(1)
        relay.mend()
        near.settimeout(5)
        assert near.recv(4) == b"held"


def test_a_relay_leads_elsewhere(echo: Echo) -> None:
    other = Echo(b"b")
    with Relay(echo.address) as relay:
        with dial(relay) as near:
            assert near.recv(1) == b"a"
            relay.lead(other.address)
            assert near.recv(1) == b""
        with dial(relay) as near:
            assert near.recv(1) == b"b"
    other.close()


def test_a_closed_relay_leaves_no_connection(echo: Echo) -> None:
    relay = Relay(echo.address)
    with dial(relay) as near:
        assert near.recv(1) == b"a"
        relay.stall()
        relay.close()
        assert near.recv(1) == b""
