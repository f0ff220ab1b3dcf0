"""What samples are pushed to: an HTTP server that remembers what came, in which order, and can be away."""

import http.server
import json
import threading
from typing import Any

from testbed.ports import free_port
from testbed.soak.devices.records import Arrival

_LONGEST = 64 << 10


class Sink:
    """Serves from `start` to `stop`, as often as one likes, on one port."""

    def __init__(self) -> None:
        self.port = free_port()
        self._arrivals: dict[str, list[Arrival]] = {}
        self._lock = threading.Lock()
        self._server: http.server.ThreadingHTTPServer | None = None
        self._refusing = False

    def start(self) -> None:
        self._refusing = False
        if self._server:
            return
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), _LONGEST))
                taken = sink._take(self.headers.get("Idempotency-Key", ""), body)
                self.send_response(204 if taken else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:  # noqa: ANN401
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="sink", daemon=True).start()

    def _take(self, key: str, body: bytes) -> bool:
        """Whether it is here: an answer that nobody reads is a repeat later."""
        if self._refusing:
            return False
        told = json.loads(body)
        with self._lock:
            arrival = Arrival(key, int(told["seq"]), str(told["value"]))
            self._arrivals.setdefault(told["device"], []).append(arrival)
        return True

    def refuse(self) -> None:
        """Answer that it cannot, until the next `start`."""
        self._refusing = True

    def stop(self) -> None:
        """Nobody listens any more; what came is kept."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        # A connection that is still open must not go on being served.
        self._refusing = True

    def arrivals(self, device: str) -> tuple[Arrival, ...]:
        with self._lock:
            return tuple(self._arrivals.get(device, ()))

    def lose(self, device: str, place: int) -> Arrival:
        """Forget one, as if it had never come."""
        with self._lock:
            return self._arrivals[device].pop(place)
