"""Finds what only one at a time can use on this machine: TCP ports, and subnets for pods.

For daemons that must be told their port before they start; whatever can listen on port 0 by itself should do that.
"""

import contextlib
import ipaddress
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

_POOL = ipaddress.IPv4Network("10.246.0.0/16")


def free_port() -> int:
    """A port on loopback that was free a moment ago; the kernel does not hand out the same one again soon."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def free_subnet() -> Iterator[str]:
    """A /24 for the pods of one node, kept from every other caller on this machine until the block is left."""
    routed = _routes()
    for subnet in _POOL.subnets(new_prefix=24):
        # An address in the abstract namespace serves as the lock: it goes when its process does, however that ends.
        with socket.socket(socket.AF_UNIX) as lock:
            try:
                lock.bind(f"\0testbed subnet {subnet}")
            except OSError:
                continue
            if not any(subnet.overlaps(route) for route in routed):
                yield str(subnet)
                return
    raise LookupError(f"cannot find a free subnet in {_POOL}: end nodes that are no longer needed")


def _routes() -> list[ipaddress.IPv4Network]:
    """Destinations this machine has a route to, the default route aside."""
    found = []
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        fields = line.split()
        address, mask = (struct.pack("=I", int(fields[column], 16)) for column in (1, 7))
        if any(mask):
            found.append(ipaddress.IPv4Network((address, socket.inet_ntoa(mask)), strict=False))
    return found
