"""A small pull-only container registry on loopback, which can ask for a login, be slow and fail on purpose.

Owns: the part of the OCI distribution protocol that a pull needs, over plain HTTP. Runtimes take plain HTTP from
loopback addresses without being told. Serves what `images` builds; ``library/NAME`` is the same as ``NAME``, so that it
can stand in for a public registry.

Also a command:  python -m testbed.registry --port 5000
"""

import argparse
import base64
import hmac
import json
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Literal, Self

from testbed import images

Kind = Literal["manifests", "blobs"]


@dataclass(frozen=True, slots=True)
class Answer:
    status: HTTPStatus
    body: bytes = b""
    media_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class Registry:
    """Serves images from the moment it is made until `stop`; every method may be called while it serves."""

    def __init__(self, offered: Iterable[images.Image] = (), port: int = 0) -> None:
        self._lock = threading.Lock()
        self._manifests: dict[tuple[str, str], bytes] = {}
        self._blobs: dict[tuple[str, str], bytes] = {}
        self._logins: dict[str, str] = {}
        self._failures = 0
        self._delay = 0.0
        self._stopping = threading.Event()
        self.requests: Counter[tuple[Kind, str]] = Counter()
        """How often a runtime asked, by kind and repository; refused and failed requests count too."""
        for image in offered:
            self.add(image)
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.registry = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True, name="registry")
        self._thread.start()

    @property
    def address(self) -> str:
        """``127.0.0.1:port``, the first part of an image name."""
        return f"127.0.0.1:{self._server.server_port}"

    def add(self, image: images.Image) -> None:
        """Offer *image*; its tags move over from an earlier image that had them."""
        with self._lock:
            for reference in (image.digest, *image.tags):
                self._manifests[image.repository, reference] = image.manifest
            for digest, blob in image.blobs.items():
                self._blobs[image.repository, digest] = blob

    def require_login(self, repository: str, user: str, password: str) -> None:
        """From now on only *user* with *password* may pull from *repository*."""
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._logins[repository] = f"Basic {token}"

    def fail_blobs(self, count: int) -> None:
        """Answer the next *count* requests for blobs with 503."""
        with self._lock:
            self._failures = count

    def delay_blobs(self, seconds: float) -> None:
        """Let every request for a blob wait this long; 0 ends that."""
        self._delay = seconds

    def stop(self) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def answer(self, path: str, login: str) -> Answer:
        """What a GET of *path* gets; *login* is the Authorization header."""
        parts = path.partition("?")[0].strip("/").split("/")
        if parts == ["v2"]:
            return Answer(HTTPStatus.OK, b"{}")
        if len(parts) < 4 or parts[0] != "v2":
            return _refusal(HTTPStatus.NOT_FOUND, "NAME_UNKNOWN")
        repository, kind, reference = "/".join(parts[1:-2]).removeprefix("library/"), parts[-2], parts[-1]
        if kind == "manifests":
            return self._allowed(repository, "manifests", login) or self._manifest(repository, reference)
        if kind == "blobs":
            return self._allowed(repository, "blobs", login) or self._blob(repository, reference)
        return _refusal(HTTPStatus.NOT_FOUND, "UNSUPPORTED")

    def _allowed(self, repository: str, kind: Kind, login: str) -> Answer | None:
        with self._lock:
            self.requests[kind, repository] += 1
        wanted = self._logins.get(repository)
        if wanted is None or hmac.compare_digest(wanted.encode(), login.encode()):
            return None
        refusal = _refusal(HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED")
        return Answer(refusal.status, refusal.body, headers=(("WWW-Authenticate", 'Basic realm="testbed"'),))

    def _manifest(self, repository: str, reference: str) -> Answer:
        manifest = self._manifests.get((repository, reference))
        if manifest is None:
            return _refusal(HTTPStatus.NOT_FOUND, "MANIFEST_UNKNOWN")
        digest = ("Docker-Content-Digest", images.digest_of(manifest))
        return Answer(HTTPStatus.OK, manifest, images.MANIFEST_TYPE, (digest,))

    def _blob(self, repository: str, digest: str) -> Answer:
        self._stopping.wait(self._delay)
        with self._lock:
            failing, self._failures = self._failures > 0, max(0, self._failures - 1)
        if failing:
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE")
        blob = self._blobs.get((repository, digest))
        if blob is None:
            return _refusal(HTTPStatus.NOT_FOUND, "BLOB_UNKNOWN")
        return Answer(HTTPStatus.OK, blob, "application/octet-stream", (("Docker-Content-Digest", digest),))


class _Server(ThreadingHTTPServer):
    registry: Registry
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A runtime that hangs up in the middle of a pull is no news; anything else is a bug of this module."""
        if not isinstance(sys.exception(), ConnectionError):
            raise


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds a kept connection may be idle

    def do_GET(self) -> None:
        answer = self.server.registry.answer(self.path, self.headers.get("Authorization", ""))
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.media_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(answer.body)

    do_HEAD = do_GET

    def log_message(self, format: str, *words: object) -> None:
        """Counted in `Registry.requests` instead."""


def _refusal(status: HTTPStatus, code: str) -> Answer:
    return Answer(status, json.dumps({"errors": [{"code": code, "message": code}]}).encode())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m testbed.registry", description="A pull-only container registry.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one, which is printed")
    with Registry(images.catalog(), parser.parse_args().port) as registry:
        print(registry.address, flush=True)
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
