"""Log files as runtimes write them, and as nobody should."""

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.runtime import logs
from edgecore.runtime.logs import Joiner, Line


def raw(text: str, stream: str = "stdout", tag: str = "F", second: int = 0) -> bytes:
    return f"2026-01-31T12:00:{second:02}.5Z {stream} {tag} {text}".encode()


def write(path: Path, *lines: bytes) -> str:
    with path.open("ab") as file:
        file.writelines(line + b"\n" for line in lines)
    return str(path)


def texts(path: str, tail: int | None = None) -> list[str]:
    return [line.text.decode() for line in logs.read(path, tail=tail)]


class Steps:
    """A clock that does the next thing instead of sleeping."""

    def __init__(self, *steps: object) -> None:
        self._steps = list(steps)

    async def sleep(self, seconds: float) -> None:
        self._steps.pop(0)()  # type: ignore[operator]


def test_a_full_line_is_a_line() -> None:
    assert Joiner().feed(raw("water is hot", "stderr")) == Line("2026-01-31T12:00:00.5Z", "stderr", b"water is hot")


def test_spaces_and_empty_lines_are_kept() -> None:
    joiner = Joiner()
    assert [joiner.feed(raw(text)).text for text in ("  a  b ", "")] == [b"  a  b ", b""]  # type: ignore[union-attr]


def test_pieces_become_one_line_with_the_time_of_the_first() -> None:
    joiner = Joiner()
    assert joiner.feed(raw("ab", tag="P", second=1)) is None
    assert joiner.feed(raw("err", "stderr", second=2)) == Line("2026-01-31T12:00:02.5Z", "stderr", b"err")
    assert joiner.feed(raw("cd", tag="P", second=3)) is None
    assert joiner.feed(raw("ef", tag="F", second=4)) == Line("2026-01-31T12:00:01.5Z", "stdout", b"abcdef")
    assert joiner.rest() == []


def test_what_has_no_end_is_the_rest() -> None:
    joiner = Joiner()
    joiner.feed(raw("half", tag="P"))
    assert [line.text for line in joiner.rest()] == [b"half"]
    assert joiner.rest() == []


def test_a_line_without_end_comes_in_parts() -> None:
    joiner = Joiner()
    piece = raw("x" * 16384, tag="P")
    lines = [line for _ in range(200) if (line := joiner.feed(piece))]
    assert [len(line.text) for line in lines] == [logs.LONGEST_LINE] * (200 * 16384 // logs.LONGEST_LINE)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x00\xff\xfe",
        b"no time stdout F x",
        b"2026-01-31T12:00:00Z stdlog F x",
        b"2026-01-31T12:00:00Z stdout X x",
        b"2026-01-31T12:00:00Z stdout F",
        b"2026\xff stdout F x",
    ],
)
def test_garbage_is_left_out(garbage: bytes) -> None:
    joiner = Joiner()
    assert joiner.feed(garbage) is None
    assert joiner.rest() == []


def test_later_tags_are_ignored() -> None:
    assert Joiner().feed(b"2026-01-31T12:00:00Z stdout F:later x").text == b"x"  # type: ignore[union-attr]


entries = st.builds(raw, st.text("ab ", max_size=20), st.sampled_from(["stdout", "stderr"]), st.sampled_from("PF"))


@given(st.lists(st.binary(max_size=50) | entries))
def test_any_bytes_are_read(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("log") / "0.log"
    write(path, *lines)
    everything = list(logs.read(str(path)))
    few = list(logs.read(str(path), tail=3))
    assert len(few) == min(3, len(everything))


@pytest.mark.parametrize("tail", [0, 1, 2, 5, 99, 100, 101, None])
def test_the_last_lines_are_found(tmp_path: Path, tail: int | None) -> None:
    everything = [f"{n} " + "x" * 2000 for n in range(100)]
    path = write(tmp_path / "0.log", *map(raw, everything))
    assert texts(path, tail) == (everything if tail is None else everything[max(0, 100 - tail) :])


def test_the_last_lines_count_joined_ones_once(tmp_path: Path) -> None:
    long = [raw("l" * 16384, tag="P")] * 8 + [raw("end")]
    path = write(tmp_path / "0.log", raw("first"), *long, raw("last"))
    assert texts(path, 2) == ["l" * 16384 * 8 + "end", "last"]


def test_a_container_that_ended_within_a_line(tmp_path: Path) -> None:
    path = write(tmp_path / "0.log", raw("one"), raw("two", tag="P"))
    assert texts(path) == ["one", "two"]
    assert texts(path, 5) == ["one", "two"]
    assert texts(path, 1) == ["two"]


def test_only_what_is_needed_is_read_from_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "0.log", *(raw("x" * 1000) for _ in range(2000)), raw("last"))
    looked_at = 0
    parse = logs._parse

    def counting(line: bytes) -> object:
        nonlocal looked_at
        looked_at += 1
        return parse(line)

    monkeypatch.setattr(logs, "_parse", counting)
    assert texts(path, 1) == ["last"]
    assert looked_at < 20


def test_without_a_log_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(logs.read(str(tmp_path / "0.log")))


async def take(lines: AsyncGenerator[Line, None], count: int) -> list[str]:
    async with contextlib.aclosing(lines):
        return [(await anext(lines)).text.decode() for _ in range(count)]


async def test_following_sees_what_is_written_later(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    path = write(log, raw("skipped"), raw("one"))

    def torn() -> None:
        with log.open("ab") as file:
            file.write(raw("two")[:-1])

    def mended() -> None:
        with log.open("ab") as file:
            file.write(raw("two")[-1:] + b"\n" + raw("three") + b"\n")

    clock = Steps(torn, mended)
    assert await take(logs.follow(path, clock, tail=1), 3) == ["one", "two", "three"]  # type: ignore[arg-type]


async def test_following_goes_over_to_the_new_file(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    path = write(log, raw("one"))

    def rotate() -> None:
        write(log, raw("two"))
        log.rename(tmp_path / "0.log.1")
        write(log, raw("three"))

    def renamed_only() -> None:
        log.rename(tmp_path / "0.log.2")

    def back() -> None:
        write(log, raw("four"))

    clock = Steps(rotate, lambda: None, renamed_only, back, lambda: None)
    assert await take(logs.follow(path, clock), 4) == ["one", "two", "three", "four"]  # type: ignore[arg-type]
