"""What a refused, unanswered or broken call is turned into."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from grpclib.const import Status

from edgecore.runtime.channel import (
    RuntimeChannel,
    fault,
    image_refusal,
    plain_refusal,
    pull_refusal,
    short,
    start_refusal,
)
from edgecore.runtime.errors import (
    ImageMissing,
    NotFound,
    PullFailed,
    RuntimeBusy,
    RuntimeFault,
    RuntimeGone,
    StartFailed,
)
from edgecore.runtime.pb import runtime_pb2 as pb

RESOLVE = 'failed to pull and unpack image "h/x:1": failed to resolve reference "h/x:1": '


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (Status.NOT_FOUND, RESOLVE + "h/x:1: not found", ImageMissing),
        (Status.NOT_FOUND, 'failed to pull and unpack image "h/x:1": no match for platform in manifest', ImageMissing),
        (Status.UNKNOWN, 'failed to parse image reference "X": invalid reference format', ImageMissing),
        (Status.INVALID_ARGUMENT, "bad name", ImageMissing),
        (Status.UNKNOWN, RESOLVE + "failed to authorize: 401 Unauthorized", PullFailed),
        (Status.UNKNOWN, RESOLVE + "unexpected status code 503 Service Unavailable", PullFailed),
        (Status.UNKNOWN, RESOLVE + "dial tcp 10.0.0.1:443: connect: connection refused", PullFailed),
        (Status.UNKNOWN, RESOLVE + "dial tcp: lookup h: no such host", PullFailed),
        (Status.RESOURCE_EXHAUSTED, "no space left on device", PullFailed),
        (Status.UNAVAILABLE, "shutting down", RuntimeGone),
        (Status.DEADLINE_EXCEEDED, "context deadline exceeded", RuntimeBusy),
    ],
)
def test_pull_errors_say_whether_to_try_again(status: Status, text: str, kind: type[RuntimeFault]) -> None:
    error = fault(status, text, "pull image h/x:1", pull_refusal)
    assert type(error) is kind
    assert str(error).startswith("cannot pull image h/x:1: ")
    assert "failed to pull and unpack" not in str(error)


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (Status.NOT_FOUND, 'an error occurred when try to find container "c": not found', NotFound),
        (Status.UNKNOWN, 'OCI runtime create failed: exec: "/x": no such file or directory: unknown', StartFailed),
        (Status.NOT_FOUND, 'exec: "/x": no such file or directory', StartFailed),
        (Status.UNKNOWN, "server is not initialized yet", RuntimeGone),
    ],
)
def test_start_errors(status: Status, text: str, kind: type[RuntimeFault]) -> None:
    assert type(fault(status, text, "start container c", start_refusal)) is kind


def test_other_errors() -> None:
    assert image_refusal(Status.UNKNOWN, "invalid reference format") is ImageMissing
    assert image_refusal(Status.UNKNOWN, "disk on fire") is RuntimeFault
    assert plain_refusal(Status.NOT_FOUND, "") is NotFound
    assert plain_refusal(Status.FAILED_PRECONDITION, "") is RuntimeFault


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the runtime gave no reason"),
        ("rpc error: code = NotFound desc = " + RESOLVE + "h/x:1: not found", "h/x:1: not found"),
        (
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create "
            'failed: unable to start container process: exec: "/nope": no such file: unknown',
            'exec: "/nope": no such file',
        ),
        ('Get "https://cdn/blob?X-Amz-Signature=abc&b=c": EOF', 'Get "https://cdn/blob?…": EOF'),
        ("two\nlines\x1b[31m", "two\\nlines\\x1b[31m"),
    ],
)
def test_messages_are_short_clean_and_without_secrets(text: str, told: str) -> None:
    assert short(text) == told


def test_long_messages_are_cut() -> None:
    assert len(short("x" * 100_000)) < 400


async def call(channel: RuntimeChannel, deadline: float = 5.0) -> None:
    await channel.call(
        "RuntimeService/Version", pb.VersionRequest(), pb.VersionResponse, doing="look", deadline=deadline
    )


async def test_without_a_socket_the_runtime_is_gone(tmp_path: Path) -> None:
    channel = RuntimeChannel(f"{tmp_path}/absent.sock")
    with pytest.raises(RuntimeGone, match=r"cannot look: the container runtime at .*absent.sock does not answer"):
        await call(channel)


@contextlib.asynccontextmanager
async def served(path: str, *, answer: bytes | None) -> AsyncIterator[None]:
    """A server for one caller: says *answer* and hangs up; None: says nothing."""
    done = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (reader.read() if answer is None else reader.read(1))
        writer.write(answer or b"")
        writer.close()
        done.set()

    async with await asyncio.start_unix_server(handle, path):
        yield
        await done.wait()


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n"])
async def test_a_connection_that_breaks_or_is_no_grpc_is_a_runtime_gone(tmp_path: Path, answer: bytes) -> None:
    path = f"{tmp_path}/other.sock"
    async with served(path, answer=answer):
        channel = RuntimeChannel(path)
        with pytest.raises(RuntimeGone):
            await call(channel)
        channel.close()


async def test_silence_is_a_busy_runtime(tmp_path: Path) -> None:
    path = f"{tmp_path}/deaf.sock"
    async with served(path, answer=None):
        channel = RuntimeChannel(path)
        with pytest.raises(RuntimeBusy, match=r"cannot look: .* did not answer in time"):
            await call(channel, deadline=0.05)
        channel.close()
