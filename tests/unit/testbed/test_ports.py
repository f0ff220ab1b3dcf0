"""What is handed out is handed out once."""

import ipaddress
import socket

from testbed.ports import free_port, free_subnet


def test_a_free_port_can_be_listened_on() -> None:
    with socket.create_server(("127.0.0.1", free_port())):
        pass


def test_a_subnet_is_kept_from_others_until_it_is_given_back() -> None:
    with free_subnet() as one:
        with free_subnet() as other:
            assert not ipaddress.IPv4Network(one).overlaps(ipaddress.IPv4Network(other))
        with free_subnet() as again:
            assert again == other
