"""Finds a TCP port on loopback that nobody uses.

For daemons that must be told their port before they start; whatever can listen on port 0 by itself should do that.
"""

import socket


def free_port() -> int:
    """A port that was free a moment ago; the kernel does not hand out the same one again soon."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
