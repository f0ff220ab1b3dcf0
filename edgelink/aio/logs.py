"""Log format, and identity bound once: ``bind(log, node=..., pod=...)``."""

import json
import logging
import sys
import time
from collections.abc import MutableMapping
from typing import Any, Final

_TRACED: Final = 1000
"""Characters of one line of a traceback."""


def clean(text: object, limit: int = 200) -> str:
    """*text* from outside, safe to log: one line, printable, cut at *limit* characters."""
    raw = str(text)
    safe = "".join(c if c.isprintable() else repr(c)[1:-1] for c in raw[: limit + 1])
    return safe if len(raw) <= limit else safe[:limit] + "…"


class Bound(logging.LoggerAdapter[logging.Logger]):
    """A logger that names its object in every line."""

    def process(self, msg: object, kwargs: MutableMapping[str, Any]) -> tuple[object, MutableMapping[str, Any]]:
        kwargs["extra"] = {"bound": dict(self.extra or {})}
        return msg, kwargs


def _traced(text: str) -> str:
    """A traceback, each line indented: what an exception from outside says can neither look like a line of ours nor
    command a terminal."""
    return "\n".join(f"  {clean(line, _TRACED)}" for line in text.splitlines())


def bind(log: logging.Logger, **identity: object) -> Bound:
    """*log* with *identity* in every record."""
    return Bound(log, {key: clean(value) for key, value in identity.items()})


class TextFormatter(logging.Formatter):
    """``2026-01-31T12:00:00.123Z INFO  edgecore.link.dial: attached node=press-03``."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        stamp = self.formatTime(record)
        bound = "".join(f" {key}={value}" for key, value in getattr(record, "bound", {}).items())
        line = f"{stamp} {record.levelname:<7} {record.name}: {record.getMessage()}{bound}"
        return line if not record.exc_info else f"{line}\n{_traced(self.formatException(record.exc_info))}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for collectors."""

    default_time_format = TextFormatter.default_time_format
    default_msec_format = TextFormatter.default_msec_format

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "bound", {}),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def configure(*, level: str = "INFO", json_lines: bool = False) -> None:
    """Send every log line to standard error in one format."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = JsonFormatter() if json_lines else TextFormatter()
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
