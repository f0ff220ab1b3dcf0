"""One connection to Modbus units, over TCP or a serial line: the only module that knows pymodbus. Imported late.

pymodbus frames, checks and takes apart what is on the wire, and opens serial lines. Its client is not used: it learns
of a broken connection only by a time-out, and turns replies into lists of numbers that nobody needs. Here a broken
connection fails the question at once, and values stay the bytes they came as.
"""

import asyncio
import functools
import logging
import termios
from typing import Final, cast

from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU

from device_models.modbus import Endpoint, SerialEndpoint, TcpEndpoint
from edgecore.devices.drivers.modbus_contract import Garbled, LineDown, NoAnswer, Refusal, Request
from edgelink.aio.logs import clean

log = logging.getLogger(__name__)

# It logs each frame that it does not like, which a bad device could make endless. Callers say what went wrong.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

_LONGEST: Final = 260
"""Bytes of a frame, by the protocol."""
_MOST: Final = 4 * _LONGEST
"""Bytes that are looked at together: an answer, and late ones before it."""
_BITS_PER_BYTE: Final = 11
"""Start, data, parity and stop bits on a serial line."""
_QUIET_BYTES: Final = 3.5
_LEAST_QUIET: Final = 0.00175


class _Values(ModbusPDU):
    """The answer to a read, left as bytes."""

    rtu_byte_count_pos = 2
    payload = b""

    def decode(self, data: bytes) -> None:
        self.payload = data

    def __str__(self) -> str:
        return type(self).__name__


class _Echo(_Values):
    """The answer to a write."""

    rtu_frame_size = 8


@functools.cache
def _decoder() -> DecodePDU:
    """One for all lines: it keeps nothing."""
    decoder = DecodePDU(is_server=False)
    for base, codes in ((_Values, (1, 2, 3, 4)), (_Echo, (5, 6, 15, 16))):
        for code in codes:
            decoder.register(type(f"{base.__name__}{code}", (base,), {"function_code": code}))
    return decoder


async def open_line(endpoint: Endpoint, timeout: float) -> "ModbusLine":
    """Connect within *timeout* seconds. Raises LineDown."""
    line = SerialLine(endpoint) if isinstance(endpoint, SerialEndpoint) else TcpLine()
    try:
        async with asyncio.timeout(timeout):
            await (
                _connect_tcp(line, endpoint) if isinstance(endpoint, TcpEndpoint) else _connect_serial(line, endpoint)
            )
    except TimeoutError:
        line.close()
        raise LineDown(f"cannot connect to {endpoint} within {timeout:g} s") from None
    except (OSError, ValueError, termios.error) as cause:
        line.close()
        raise LineDown(f"cannot open {endpoint}: {cause}") from cause
    return line


async def _connect_tcp(line: "ModbusLine", endpoint: TcpEndpoint) -> None:
    await asyncio.get_running_loop().create_connection(lambda: line, endpoint.host, endpoint.port)


async def _connect_serial(line: "ModbusLine", endpoint: SerialEndpoint) -> None:
    # Loaded late: most nodes have no serial line.
    from pymodbus.transport.serialtransport import create_serial_connection

    transport, _ = await create_serial_connection(
        asyncio.get_running_loop(),
        lambda: line,
        endpoint.path,
        baudrate=endpoint.baud,
        bytesize=endpoint.data_bits,
        parity=endpoint.parity,
        stopbits=endpoint.stop_bits,
        timeout=0,
    )
    line.connection_made(transport)
    if endpoint.rs485:
        _switch_by_kernel(transport, endpoint)


def _switch_by_kernel(transport: asyncio.Transport, endpoint: SerialEndpoint) -> None:
    from serial.rs485 import RS485Settings

    try:
        transport.sync_serial.rs485_mode = RS485Settings()  # type: ignore[attr-defined]
    except (OSError, ValueError) as error:
        log.warning(
            "%s: the kernel cannot switch this transceiver, which has to do it by itself: %s", clean(endpoint), error
        )


class ModbusLine(asyncio.Protocol):
    """What both kinds of connection have in common: one question, and its answer, its end or the connection's."""

    framer: FramerSocket | FramerRTU

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._closed = False
        self._buffer = b""
        self._unit = self._id = 0
        self._request = Request(b"")
        self._waiter: asyncio.Future[bytes] | None = None

    @property
    def lost(self) -> bool:
        return self._closed or self._transport is None

    async def ask(self, unit: int, request: Request, timeout: float) -> bytes:
        """See `Line`."""
        await self._before()
        if self.lost or self._transport is None:
            raise LineDown("the connection is closed")
        loop = asyncio.get_running_loop()
        self._unit, self._request = unit, request
        waiter: asyncio.Future[bytes] = loop.create_future()
        self._waiter = waiter
        timer = loop.call_later(timeout + self._travel(request), self._late)
        try:
            self._transport.write(self.framer.encode(request.payload, unit, self._id))
            return await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def close(self) -> None:
        self._closed = True
        self._buffer = b""
        if self._transport:
            self._transport.close()
            self._transport = None

    async def _before(self) -> None:
        """What has to be before the next question."""

    def _travel(self, request: Request) -> float:
        """Seconds that question and answer take on the way."""
        return 0.0

    def _impossible(self) -> bool:
        """Whether no more bytes could make a frame of what is in the buffer."""
        return len(self._buffer) > _LONGEST

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._closed:
            transport.close()
        elif self._transport is None:
            self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._fail(LineDown(f"the connection broke: {exc}" if exc else "the other side closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > _MOST:
            # Taking it apart frame by frame is work without bound.
            self._fail(Garbled("more came than any answer has"))
            self.close()
        if self._waiter is None or self._waiter.done():
            return
        try:
            used, pdu = self.framer.handleFrame(self._buffer, self._unit, self._id)
        except (ModbusException, ValueError, IndexError):
            self._fail(Garbled("the answer is no Modbus"))
            return
        self._buffer = self._buffer[used:]
        if pdu:
            self._answered(pdu)
        elif self._impossible():
            self._fail(Garbled("the answer is no Modbus"))

    # --- how a question ends

    def _answered(self, pdu: ModbusPDU) -> None:
        function = self._request.payload[0]
        if isinstance(pdu, ExceptionResponse) and pdu.function_code == function | 0x80:
            self._fail(Refusal(pdu.exception_code))
        elif not isinstance(pdu, _Values) or pdu.function_code != function:
            self._fail(Garbled("the answer is to another question"))
        elif isinstance(pdu, _Echo):
            self._finish(b"", fits=pdu.payload == self._request.payload[1:5])
        else:
            size = self._request.size
            self._finish(pdu.payload[1:], fits=len(pdu.payload) == size + 1 and pdu.payload[0] == size)

    def _finish(self, values: bytes, *, fits: bool) -> None:
        if not fits:
            self._fail(Garbled("the answer has not what was asked for"))
        elif self._waiter and not self._waiter.done():
            self._waiter.set_result(values)

    def _fail(self, error: Exception) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_exception(error)

    def _late(self) -> None:
        self._fail(Garbled("only nonsense came") if self._buffer else NoAnswer("no answer in time"))


class TcpLine(ModbusLine):
    """MBAP frames. Questions are numbered, so that a late answer is told from the one that is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.framer = FramerSocket(_decoder())

    async def _before(self) -> None:
        self._id = self._id % 0xFFFF + 1

    def _impossible(self) -> bool:
        header = self._buffer[:6]
        length = int.from_bytes(header[4:6], "big")
        return len(header) == 6 and (header[2:4] != b"\0\0" or not 2 < length <= _LONGEST)


class SerialLine(ModbusLine):
    """RTU frames. Nothing numbers them: what came before the question is thrown away."""

    def __init__(self, endpoint: SerialEndpoint) -> None:
        super().__init__()
        self.framer = FramerRTU(_decoder())
        self._per_byte = _BITS_PER_BYTE / endpoint.baud
        self._quiet = max(_LEAST_QUIET, _QUIET_BYTES * self._per_byte)
        self._heard = 0.0

    async def _before(self) -> None:
        loop = asyncio.get_running_loop()
        if (left := self._heard + self._quiet - loop.time()) > 0:
            await asyncio.sleep(left)
        self._buffer = b""

    def _travel(self, request: Request) -> float:
        return (len(request.payload) + request.answer_size + 6) * self._per_byte

    def data_received(self, data: bytes) -> None:
        self._heard = asyncio.get_running_loop().time()
        super().data_received(data)
