"""How to reach a Modbus device: protocol configData, as people write it, to a `ModbusTarget`. Pure.

Reads KubeEdge's current keys, the flat keys of its website and tests, and what becomes of the older ``common.tcp`` and
``common.com``. TCP or serial is what ``communicateMode`` says, else what the address shows; the unit is 1 unless said.
"""

import dataclasses
import re
from collections.abc import Sequence
from typing import Final

from device_models.errors import Complaint
from device_models.fields import Fields, fatal
from device_models.model import Device
from device_models.registers import MAX_READ

_HOST: Final = re.compile(r"[A-Za-z0-9_.:%-]{1,253}", re.ASCII)
_SERIAL: Final = re.compile(r"/[\w./:+@-]{1,250}", re.ASCII)
_PORT: Final = 502
_TIMEOUT_MS: Final = 1000
_BAUD: Final = 9600


class BadTarget(ValueError):
    """The configData does not say how to reach the device."""

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        super().__init__("; ".join(map(str, complaints)))
        self.complaints = tuple(complaints)


@dataclasses.dataclass(frozen=True, slots=True)
class TcpEndpoint:
    host: str
    port: int = _PORT

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclasses.dataclass(frozen=True, slots=True)
class SerialEndpoint:
    path: str
    baud: int = _BAUD
    data_bits: int = 8
    parity: str = "N"
    """N, E or O."""
    stop_bits: int = 1
    rs485: bool = False
    """Whether the kernel has to switch the transceiver."""

    def __str__(self) -> str:
        return self.path


Endpoint = TcpEndpoint | SerialEndpoint


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModbusTarget:
    """One unit, and how it likes to be asked."""

    endpoint: Endpoint
    unit: int = 1
    timeout: float = _TIMEOUT_MS / 1000
    """Seconds to wait for one answer (``timeoutMs``). KubeEdge's ``timeout`` never had a meaning and is not read."""
    max_gap: int = 8
    """Registers nobody asked for that one read may bridge (``maxGap``); bits: 16 times as many."""
    max_registers: int = MAX_READ[False]
    """Most registers that the device answers in one read (``maxRegisters``)."""


def target(device: Device) -> ModbusTarget:
    """How to reach *device*. Raises BadTarget with all complaints."""
    complaints: list[Complaint] = []
    fields = Fields(device.config, "spec.protocol.configData", complaints)
    mode = fields.choice("communicateMode", {"TCP": "TCP", "RTU": "RTU"}, "")
    serial_type = fields.text("serialType") or fields.sub("customizedValues").text("serialType")
    if not mode:
        mode = "RTU" if fields.text("serialName") or fields.text("serialPort") else "TCP"
    endpoint = _serial(fields, serial_type) if mode == "RTU" else _tcp(fields)
    found = ModbusTarget(
        endpoint=endpoint,
        unit=fields.integer("slaveID", 1, low=0, high=255),
        timeout=fields.integer("timeoutMs", _TIMEOUT_MS, low=10, high=60_000) / 1000,
        max_gap=fields.integer("maxGap", 8, low=0, high=MAX_READ[False]),
        max_registers=fields.integer("maxRegisters", MAX_READ[False], low=1, high=MAX_READ[False]),
    )
    if refused := fatal(complaints):
        raise BadTarget(refused)
    return found


def _tcp(fields: Fields) -> TcpEndpoint:
    host = fields.text("ip", required=True).strip()
    if host and not _HOST.fullmatch(host):
        fields.complain("ip", "must be an address or a host name")
    return TcpEndpoint(host.lower(), fields.integer("port", _PORT, low=1, high=65535))


def _serial(fields: Fields, serial_type: str) -> SerialEndpoint:
    key = "serialName" if "serialName" in fields else "serialPort"
    path = fields.text(key, required=True).strip()
    # What opens serial lines also takes URLs, some of which write files.
    if path and (not _SERIAL.fullmatch(path) or ".." in path):
        fields.complain(key, "must be the absolute path of a serial device, like /dev/ttyUSB0")
    return SerialEndpoint(
        path,
        baud=fields.integer("baudRate", _BAUD, low=50, high=4_000_000),
        data_bits=fields.integer("dataBits", 8, low=5, high=8),
        # Whatever else is written there means none, as it does in KubeEdge.
        parity={"even": "E", "e": "E", "odd": "O", "o": "O"}.get(fields.text("parity").strip().casefold(), "N"),
        stop_bits=fields.integer("stopBits", 1, low=1, high=2),
        rs485=fields.flag("rs485Enabled") or serial_type.strip().casefold() == "rs485",
    )
