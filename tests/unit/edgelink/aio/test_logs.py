"""Log lines: one line, one format, nothing from outside unescaped."""

import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgelink.aio import logs


@given(st.text(max_size=400))
def test_cleaned_text_is_one_printable_line_of_bounded_length(text: str) -> None:
    cleaned = logs.clean(text)
    assert cleaned.isprintable()
    assert cleaned.isascii() or cleaned.encode()
    assert len(cleaned) <= 201


def test_cleaning_keeps_what_is_harmless() -> None:
    assert logs.clean("pods/plant/boiler") == "pods/plant/boiler"
    assert logs.clean("a\nb\x1b[31m") == "a\\nb\\x1b[31m"
    assert logs.clean("x" * 9, limit=8) == "x" * 8 + "…"
    assert logs.clean("x" * 8, limit=8) == "x" * 8


@pytest.fixture(autouse=True)
def root() -> Iterator[None]:
    """What `configure` makes of the root logger, undone afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def say() -> None:
    log = logs.bind(logging.getLogger("edgecore.link"), node="press\n03")
    try:
        raise LookupError("no way")
    except LookupError:
        log.info("attached after %d tries", 2)
        logging.getLogger("edgecore").exception("failed")


def test_text_lines_name_the_object_and_keep_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    say()
    first, second, *rest = capsys.readouterr().err.splitlines()
    stamp, line = first.split(" ", 1)
    assert stamp.endswith("Z")
    assert line == "INFO    edgecore.link: attached after 2 tries node=press\\n03"
    assert second.endswith("ERROR   edgecore: failed")
    assert rest[-1] == "  LookupError: no way"


def test_what_an_exception_says_forges_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    try:
        raise LookupError(
            "the device says \x1b[2J\n2026-01-01T00:00:00.000Z INFO    edgecore: all is well" + 5000 * "x"
        )
    except LookupError:
        logging.getLogger("edgecore").exception("failed")
    _, *trace = capsys.readouterr().err.splitlines()
    assert all(line.startswith("  ") and line.isprintable() and len(line) < 2000 for line in trace)


def test_json_lines_are_objects(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="INFO", json_lines=True)
    say()
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    del first["time"]
    assert first == {
        "level": "INFO",
        "logger": "edgecore.link",
        "message": "attached after 2 tries",
        "node": "press\\n03",
    }
    assert "LookupError: no way" in second["exception"]


def test_the_level_holds(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="WARNING")
    logging.getLogger("edgecore").info("not this")
    assert capsys.readouterr().err == ""
