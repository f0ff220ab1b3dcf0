"""Sinks over HTTP: KubeEdge's text and our JSON, OpenTelemetry metrics, InfluxDB 2."""

import json
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path

from device_models.model import Device, PushHttp, PushInflux, PushOtel
from edgecore.push import formats
from edgecore.push.client import Answer, HttpFailed, Origin
from edgecore.push.sink import SinkAway, SinkRefused
from edgecore.store.telemetry import Numbered

_PATIENCE = 10.0
_LATER = frozenset({401, 403, 407, 408, 425, 429})
"""Temporary: of those about credentials we hope that somebody mends them, and lose nothing until then."""


class _Poster:
    """One URL."""

    def __init__(self, origin: Origin, url: str, timeout: float = _PATIENCE) -> None:
        parts = urllib.parse.urlsplit(url)
        self._origin, self._timeout = origin, timeout
        self._path = parts.path + (f"?{parts.query}" if parts.query else "")
        self._host = parts.hostname or ""

    async def post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Raises SinkAway, SinkRefused."""
        try:
            answer = await self._origin.post(self._path, headers, body, self._timeout)
        except HttpFailed as cause:
            raise SinkAway(f"{self._host}: {cause}") from cause
        if 200 <= answer.status < 300:
            return answer
        if answer.status in _LATER or not 300 <= answer.status < 500:
            raise SinkAway(f"{self._host} answered {answer.status}")
        raise SinkRefused(f"refused by {self._host}: {answer.status}")


class HttpSink:
    """A sample per request; the number in the key lets the receiver recognise a repeat."""

    batch = 1

    def __init__(self, push: PushHttp, origin: Origin) -> None:
        self._push, self._poster = push, _Poster(origin, push.url, push.timeout)

    async def send(self, device: Device, samples: Sequence[Numbered]) -> None:
        for numbered in samples:
            key = urllib.parse.quote(f"{device.id}/{numbered.seq}")
            if self._push.json:
                body, kind = formats.json_body(device, numbered), "application/json"
            else:
                body, kind = formats.http_text(numbered), "application/x-www-form-urlencoded"
            await self._poster.post({"Content-Type": kind, "Idempotency-Key": key}, body)


class OtelSink:
    """OTLP over HTTP in its JSON form."""

    batch = 200

    def __init__(self, push: PushOtel, origin: Origin) -> None:
        self._poster = _Poster(origin, push.url)

    async def send(self, device: Device, samples: Sequence[Numbered]) -> None:
        answer = await self._poster.post({"Content-Type": "application/json"}, formats.otel(device, samples))
        if _rejected(answer.body):
            raise SinkRefused("refused by the OpenTelemetry collector")


def _rejected(body: bytes) -> bool:
    """Whether a collector that said yes took only a part."""
    try:
        partial = json.loads(body).get("partialSuccess") or {}
        return int(partial.get("rejectedDataPoints", 0)) > 0
    except (ValueError, TypeError, AttributeError):
        return False  # an empty or binary answer is a plain yes


class InfluxSink:
    """The write API of InfluxDB 2; a point that comes twice is the same point."""

    batch = 200

    def __init__(self, push: PushInflux, origin: Origin, token_file: Path | None) -> None:
        query = urllib.parse.urlencode({"org": push.org, "bucket": push.bucket, "precision": "ms"})
        self._poster = _Poster(origin, f"{push.url.rstrip('/')}/api/v2/write?{query}")
        self._push, self._token_file = push, token_file

    async def send(self, device: Device, samples: Sequence[Numbered]) -> None:
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        if self._token_file:
            try:
                headers["Authorization"] = f"Token {self._token_file.read_text(encoding='utf-8').strip()}"
            except (OSError, UnicodeDecodeError) as cause:
                raise SinkAway(f"cannot read the InfluxDB token {self._token_file}: {cause}") from cause
        await self._poster.post(headers, formats.influx(self._push, samples))
