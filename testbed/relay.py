"""A TCP relay in front of a daemon, to do to a link what mobile networks and NAT boxes do to it.

Owns: connections between whoever dials `address` and the target. A link can be cut (reset, and nobody gets through), be
stalled (half-open: everything is accepted, nothing arrives), be slow, be led elsewhere, and be mended.
"""

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Self

_CHUNK = 16 * 1024


class Relay:
    """Relays from the moment it is made until `close`; every method may be called while it does."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._open, self._flowing = True, threading.Event()
        self._flowing.set()
        self._rate = 0.0
        self._closed = False
        self.carried = 0
        """Bytes relayed so far, both ways."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True, name="relay").start()

    @property
    def address(self) -> str:
        """Where to dial."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def cut(self) -> None:
        """Reset what is connected; from now on whoever dials is hung up on."""
        self._open = False
        self._drop()

    def stall(self) -> None:
        """Nothing arrives any more, though nobody is told; what is sent meanwhile arrives after `mend`."""
        self._flowing.clear()

    def slow(self, bytes_per_second: float) -> None:
        """Let each direction of each connection carry no more than this; 0 ends that."""
        self._rate = bytes_per_second

    def lead(self, target: str) -> None:
        """From now on connect to *target*; what is connected is reset."""
        self._target = target
        self._drop()

    def mend(self) -> None:
        """End a cut or a stall."""
        self._open = True
        self._flowing.set()

    def close(self) -> None:
        self._closed = True
        self._flowing.set()
        # Closing alone does not wake the thread that waits in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True, name="relay connection").start()

    def _connect(self, near: socket.socket) -> None:
        host, _, port = self._target.rpartition(":")
        with near:
            try:
                if not self._open:
                    return
                far = socket.create_connection((host, int(port)), timeout=10)
            except OSError:
                return
            far.settimeout(None)
            with far:
                self._join(near, far)

    def _join(self, near: socket.socket, far: socket.socket) -> None:
        pair = {near, far}
        with self._lock:
            if not self._open or self._closed:
                return
            self._connections |= pair
        back = threading.Thread(target=self._pump, args=(far, near), daemon=True, name="relay back")
        back.start()
        self._pump(near, far)
        back.join()
        with self._lock:
            self._connections -= pair

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(_CHUNK):
                self._flowing.wait()
                if self._rate:
                    time.sleep(len(data) / self._rate)
                sink.sendall(data)
                self.carried += len(data)
        except OSError:
            pass
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _drop(self) -> None:
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
