"""Bytes on the wire: every reply becomes values or one of the named errors."""

import asyncio
import os
import struct
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU

from device_models.modbus import SerialEndpoint, TcpEndpoint
from device_models.registers import Table
from edgecore.devices.drivers.modbus_contract import Garbled, LineDown, NoAnswer, Refusal, Request, read, write
from edgecore.devices.drivers.modbus_line import ModbusLine, SerialLine, TcpLine, open_line

ANSWERS = (Garbled, LineDown, NoAnswer, Refusal)
TWO = read(Table.HOLDING, 0, 2)


class Peer:
    """The transport of a line; answers each question with the chunks it was given."""

    def __init__(self, line: ModbusLine, *chunks: bytes) -> None:
        self.line, self.chunks, self.sent, self.closed = line, chunks, b"", False
        line.connection_made(cast(asyncio.Transport, self))

    def write(self, data: bytes) -> None:
        self.sent = data
        for chunk in self.chunks:
            asyncio.get_running_loop().call_soon(self.line.data_received, chunk)

    def close(self) -> None:
        self.closed = True


def tcp(pdu: bytes, *, number: int = 1, unit: int = 7) -> bytes:
    return struct.pack(">HHHB", number, 0, len(pdu) + 1, unit) + pdu


def rtu(pdu: bytes, *, unit: int = 7) -> bytes:
    frame = bytes([unit]) + pdu
    return frame + struct.pack(">H", FramerRTU.compute_CRC(frame))


async def ask(line: ModbusLine, *chunks: bytes, request: Request = TWO) -> bytes:
    Peer(line, *chunks)
    return await line.ask(7, request, 0.02)


def serial() -> SerialLine:
    return SerialLine(SerialEndpoint("/dev/ttyS0", baud=115200))


VALUES = bytes([3, 4, 0, 1, 0, 2])


@pytest.mark.parametrize(
    "chunks",
    [
        [tcp(VALUES)],
        [tcp(VALUES)[:5], tcp(VALUES)[5:]],
        [tcp(VALUES, number=9), tcp(VALUES)],
        [tcp(VALUES, number=9) + tcp(VALUES)],
        [tcp(VALUES, unit=8) + tcp(VALUES)],
    ],
    ids=["whole", "in pieces", "late one first", "late one in front", "another unit's in front"],
)
async def test_tcp_values(chunks: list[bytes]) -> None:
    assert await ask(TcpLine(), *chunks) == bytes([0, 1, 0, 2])


async def test_rtu_values() -> None:
    line = serial()
    assert await ask(line, rtu(VALUES)[:3], rtu(VALUES)[3:]) == bytes([0, 1, 0, 2])


async def test_what_is_sent() -> None:
    line = TcpLine()
    peer = Peer(line, tcp(VALUES))
    await line.ask(7, TWO, 1.0)
    assert peer.sent == bytes.fromhex("000100000006070300000002")
    line = serial()
    peer = Peer(line, rtu(VALUES))
    await line.ask(7, TWO, 1.0)
    assert peer.sent == rtu(bytes.fromhex("0300000002"))


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (write(Table.COIL, 3, 1, b"\1", single=True), "050003ff00"),
        (write(Table.COIL, 3, 1, b"\0", single=True), "0500030000"),
        (write(Table.HOLDING, 3, 1, b"\0\7", single=True), "0600030007"),
        (write(Table.HOLDING, 3, 1, b"\0\7", single=False), "1000030001"),
        (write(Table.HOLDING, 3, 2, b"\0\7\0\7", single=True), "1000030002"),
        (write(Table.COIL, 3, 9, b"\0\1", single=True), "0f00030009"),
    ],
)
async def test_writes(request_: Request, answer: str) -> None:
    assert await ask(TcpLine(), tcp(bytes.fromhex(answer)), request=request_) == b""
    assert await ask(serial(), rtu(bytes.fromhex(answer)), request=request_) == b""
    with pytest.raises(Garbled):
        await ask(TcpLine(), tcp(bytes.fromhex(answer)[:-1] + b"\x55"), request=request_)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (tcp(b"\x83\x02"), Refusal),
        (tcp(b"\x83"), Garbled),
        (tcp(b"\x84\x02"), Garbled),
        (tcp(bytes([4, 4, 0, 1, 0, 2])), Garbled),
        (tcp(bytes([3, 2, 0, 1])), Garbled),
        (tcp(bytes([3, 4, 0, 1])), Garbled),
        (tcp(b"\x63\x00\x00"), Garbled),
        (tcp(b"\x2b\x0e\x01"), Garbled),
        (b"HTTP/1.1 400 Bad Request\r\n", Garbled),
        (tcp(VALUES)[:9], Garbled),
        (tcp(VALUES, unit=8), NoAnswer),
        (tcp(VALUES, number=2), NoAnswer),
        (b"", NoAnswer),
    ],
)
async def test_tcp_replies_that_are_none(reply: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        await ask(TcpLine(), *([reply] if reply else []))


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (rtu(b"\x83\x02"), Refusal),
        (rtu(VALUES)[:-1] + b"\0", NoAnswer),
        (rtu(VALUES, unit=8), NoAnswer),
        (rtu(VALUES)[:-2], Garbled),
        (rtu(bytes([4, 4, 0, 1, 0, 2])), Garbled),
    ],
)
async def test_rtu_replies_that_are_none(reply: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        await ask(serial(), reply)


async def test_a_broken_connection_fails_the_question_at_once() -> None:
    line = TcpLine()
    Peer(line)
    asyncio.get_running_loop().call_soon(line.connection_lost, ConnectionResetError("reset"))
    with pytest.raises(LineDown, match="reset"):
        await line.ask(7, TWO, 60.0)
    assert line.lost
    with pytest.raises(LineDown):
        await line.ask(7, TWO, 60.0)


async def test_what_came_before_the_question_is_no_answer() -> None:
    line = serial()
    peer = Peer(line)
    line.data_received(rtu(VALUES))
    with pytest.raises(NoAnswer):
        await line.ask(7, TWO, 0.01)
    line.close()
    assert peer.closed


@pytest.mark.parametrize("make", [TcpLine, serial])
async def test_a_flood_ends_the_connection(make: Callable[[], ModbusLine]) -> None:
    line = make()
    peer = Peer(line)
    for _ in range(200):
        line.data_received(tcp(VALUES, number=9))
    assert peer.closed
    assert line.lost
    line = make()
    with pytest.raises(Garbled, match="more came than any answer has"):
        await ask(line, tcp(VALUES, number=9) * 5000)
    assert line.lost


async def test_what_cannot_be_opened() -> None:
    with pytest.raises(LineDown, match=r"cannot open 127.0.0.1:1: "):
        await open_line(TcpEndpoint("127.0.0.1", 1), 1.0)
    with pytest.raises(LineDown, match="cannot open /dev/null"):
        await open_line(SerialEndpoint("/dev/null"), 1.0)


async def test_who_does_not_accept_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
    with pytest.raises(LineDown, match=r"cannot connect to 10.0.0.1:502 within 0.01 s"):
        await open_line(TcpEndpoint("10.0.0.1"), 0.01)


async def test_a_line_that_the_kernel_cannot_switch_works_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    master, end = os.openpty()
    try:
        line = await open_line(SerialEndpoint(os.ttyname(end), rs485=True), 1.0)
        assert not line.lost
        assert "has to do it by itself" in caplog.text
        line.close()
    finally:
        os.close(master)
        os.close(end)


async def test_a_connection_that_comes_too_late_is_closed() -> None:
    line = TcpLine()
    line.close()
    peer = Peer(line)
    assert peer.closed
    assert line.lost


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.binary(max_size=300), max_size=4),
    st.booleans(),
    st.sampled_from([TWO, read(Table.COIL, 0, 9), write(Table.HOLDING, 0, 1, b"\0\0", single=True)]),
)
async def test_any_reply_gives_values_or_a_named_error(chunks: list[bytes], over_tcp: bool, request_: Request) -> None:
    line: Any = TcpLine() if over_tcp else serial()
    Peer(line, *chunks)
    try:
        values = await line.ask(7, request_, 0.0)
    except ANSWERS:
        return
    assert len(values) == request_.size


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=260), st.booleans())
async def test_any_body_in_a_good_frame_gives_values_or_a_named_error(pdu: bytes, over_tcp: bool) -> None:
    line: Any = TcpLine() if over_tcp else serial()
    Peer(line, (tcp if over_tcp else rtu)(pdu))
    try:
        values = await line.ask(7, TWO, 0.0)
    except ANSWERS:
        return
    assert len(values) == TWO.size
