"""Modbus devices over TCP and serial lines: one driver per device, one bus per connection.

`ModbusDrivers` makes the drivers and keeps what outlives a connection attempt: the buses, and what a device was found
to refuse. A driver turns properties into the fewest reads and values into writes; whose turn it is on the connection is
the bus's business, bytes on the wire are the line's.
"""

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from device_models.coalesce import Block, Cut, coalesce, cut
from device_models.errors import BadValue
from device_models.modbus import BadTarget, Endpoint, SerialEndpoint, target
from device_models.registers import RegisterSpec, piece
from device_models.visitor import BadVisitor, register
from edgecore.devices.driver import BadSetting, Device, DeviceRefused, Driver, Outcome, Property, Value
from edgecore.devices.drivers import modbus_contract as contract
from edgecore.devices.drivers.modbus_bus import Answer, Bus
from edgecore.devices.drivers.modbus_contract import ILLEGAL_FUNCTION, TOO_WIDE, Line, Refusal, Request
from edgelink.aio.clock import Clock

_PATIENCE: Final = 10.0
"""Seconds that a call may wait for its turns, beside its own time-outs."""
_REGISTERS: Final = 4096
"""Distinct registers that are looked up before all are forgotten."""
_PLANS: Final = 32
"""Sets of properties whose reads a device keeps worked out."""


@dataclasses.dataclass(slots=True)
class Known:
    """What was learned of a device, kept while its registers stay the same."""

    specs: Mapping[str, RegisterSpec]
    cuts: set[Cut] = dataclasses.field(default_factory=set)
    many: bool = False
    """Whether it writes single registers and bits only by the functions for several."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Read:
    """One read, worked out: what to ask, and whose values are in the answer."""

    block: Block
    request: Request
    parts: tuple[tuple[str, RegisterSpec], ...]


@dataclasses.dataclass(slots=True)
class _Shared:
    bus: Bus
    endpoint: Endpoint
    task: asyncio.Task[None]
    users: int = 0


class ModbusDrivers:
    """Factory of all Modbus drivers of this node."""

    def __init__(self, group: asyncio.TaskGroup, clock: Clock) -> None:
        self.clock = clock
        self._group = group
        self._shared: dict[str, _Shared] = {}
        self._known: dict[str, Known] = {}
        self._registers: dict[RegisterSpec, RegisterSpec] = {}

    def __call__(self, device: Device) -> Driver:
        """Raises BadSetting."""
        return ModbusDriver(device, self)

    def shared(self, specs: Mapping[str, RegisterSpec]) -> Mapping[str, RegisterSpec]:
        """The same, each register that devices have in common in memory once."""
        if len(self._registers) > _REGISTERS:
            self._registers.clear()
        return {name: self._registers.setdefault(spec, spec) for name, spec in specs.items()}

    def known(self, device_id: str, specs: Mapping[str, RegisterSpec]) -> Known:
        """What is known of a device with these registers."""
        found = self._known.get(device_id)
        if found is None or found.specs != specs:
            found = self._known[device_id] = Known(specs)
        return found

    def join(self, endpoint: Endpoint) -> Bus:
        """The bus of *endpoint*, until `leave`. Raises BadSetting."""
        shared = self._shared.get(str(endpoint))
        if shared is None:
            bus = Bus(str(endpoint), _opener(endpoint), self.clock)
            task = self._group.create_task(bus.run(), name=f"modbus {endpoint}")
            shared = self._shared[str(endpoint)] = _Shared(bus, endpoint, task)
        elif shared.endpoint != endpoint:
            raise BadSetting(
                f"spec.protocol.configData: other devices use {endpoint} with other settings: {_line(shared.endpoint)}"
            )
        shared.users += 1
        return shared.bus

    def leave(self, endpoint: Endpoint) -> None:
        shared = self._shared[str(endpoint)]
        shared.users -= 1
        if not shared.users:
            del self._shared[str(endpoint)]
            shared.task.cancel()
            # Now, not when the task gets to it: somebody may open the same serial line next.
            shared.bus.close()


class ModbusDriver(Driver):
    """One unit on a bus."""

    def __init__(self, device: Device, drivers: ModbusDrivers) -> None:
        super().__init__(device)
        self._drivers = drivers
        specs, self._bad = _registers(device)
        self._specs = drivers.shared(specs)
        try:
            self._target = target(device)
        except BadTarget as bad:
            raise BadSetting(str(bad)) from bad
        self.timeout = _PATIENCE + 4 * self._target.timeout
        self._bus: Bus | None = None
        self._known = drivers.known(device.id, self._specs)
        self._plans: dict[tuple[str, ...], list[_Read]] = {}

    async def connect(self) -> None:
        """Done when the unit has answered anything at all."""
        self._bus = self._drivers.join(self._target.endpoint)
        if first := next(iter(self._specs.values()), None):
            request = contract.read(first.table, first.address, first.count)
            await self._ask(self._bus, [request], self._drivers.clock.now())
        else:
            await self._bus.reach(self._target.timeout)

    async def read(self, properties: Sequence[Property]) -> Mapping[str, Outcome]:
        assert self._bus
        found: dict[str, Outcome] = {}
        names = tuple(prop.name for prop in properties)
        deadline = self._drivers.clock.now() + min((prop.collect_cycle for prop in properties), default=0.0)
        await self._read(self._bus, self._plan(names), deadline, found)
        found.update({name: self._bad[name] for name in names if name in self._bad})
        return found

    async def write(self, prop: Property, value: Value) -> None:
        assert self._bus
        spec = self._spec_to_write(prop)
        try:
            data = spec.encode(value)
        except BadValue as bad:
            raise DeviceRefused(f"{prop.name} {bad}") from bad
        answer = await self._write(self._bus, spec, data)
        if isinstance(answer, Refusal) and answer.code == ILLEGAL_FUNCTION and spec.count == 1 and not self._known.many:
            self._known.many = True
            answer = await self._write(self._bus, spec, data)
            self._known.many = not isinstance(answer, Refusal)
        if isinstance(answer, Refusal):
            raise DeviceRefused(str(answer))

    async def close(self) -> None:
        if self._bus:
            self._bus = None
            self._drivers.leave(self._target.endpoint)

    # --- reading

    def _plan(self, names: tuple[str, ...]) -> list[_Read]:
        plan = self._plans.get(names)
        if plan is None:
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            plan = self._plans[names] = self._coalesced(
                {name: self._specs[name] for name in names if name in self._specs}
            )
        return plan

    def _coalesced(self, specs: Mapping[str, RegisterSpec]) -> list[_Read]:
        wish, cuts = self._target, self._known.cuts
        blocks = coalesce(specs.values(), max_gap=wish.max_gap, max_registers=wish.max_registers, cuts=cuts)
        return [
            _Read(
                block,
                contract.read(block.table, block.address, block.count),
                tuple((name, spec) for name, spec in specs.items() if spec in block.specs),
            )
            for block in blocks
        ]

    async def _read(self, bus: Bus, plan: list[_Read], deadline: float, found: dict[str, Outcome]) -> None:
        """Fill in *found*; what the device refuses in one read is asked for in smaller ones."""
        while plan:
            answers = await self._ask(bus, [read.request for read in plan], deadline)
            again: list[_Read] = []
            for read, answer in zip(plan, answers, strict=True):
                if not isinstance(answer, Refusal):
                    _decode(read, answer, found)
                elif answer.code in TOO_WIDE and (place := cut(read.block)):
                    self._known.cuts.add(place)
                    self._plans.clear()
                    again += self._coalesced(dict(read.parts))
                else:
                    found.update({name: DeviceRefused(str(answer)) for name, _ in read.parts})
            plan = again

    async def _ask(self, bus: Bus, requests: Sequence[Request], deadline: float) -> list[Answer]:
        return await bus.read(self._target.unit, requests, self._target.timeout, deadline)

    # --- writing

    def _spec_to_write(self, prop: Property) -> RegisterSpec:
        if bad := self._bad.get(prop.name):
            raise bad
        spec = self._specs[prop.name]
        if not spec.table.writable:
            raise DeviceRefused(f"{prop.name} cannot be written: it is a {spec.table}, which Modbus only reads")
        return spec

    async def _write(self, bus: Bus, spec: RegisterSpec, data: bytes) -> Answer:
        request = contract.write(spec.table, spec.address, spec.count, data, single=not self._known.many)
        return await bus.write(self._target.unit, request, self._target.timeout)


def _registers(device: Device) -> tuple[dict[str, RegisterSpec], dict[str, DeviceRefused]]:
    """Where the properties lie, and which of them do not say so. One bad property costs the others nothing."""
    specs: dict[str, RegisterSpec] = {}
    bad: dict[str, DeviceRefused] = {}
    for prop in device.properties.values():
        try:
            specs[prop.name] = register(prop)
        except BadVisitor as why:
            bad[prop.name] = DeviceRefused(str(why))
    if bad and not specs:
        raise BadSetting("; ".join(map(str, bad.values())))
    return specs, bad


def _decode(read: _Read, data: bytes, found: dict[str, Outcome]) -> None:
    for name, spec in read.parts:
        try:
            found[name] = spec.decode(piece(data, spec, read.block.address))
        except BadValue as bad:
            found[name] = DeviceRefused(str(bad))


def _opener(endpoint: Endpoint) -> contract.Opener:
    async def opened(timeout: float) -> Line:
        # Loaded late: a node without Modbus devices never pays for pymodbus.
        from edgecore.devices.drivers.modbus_line import open_line

        return await open_line(endpoint, timeout)

    return opened


def _line(endpoint: Endpoint) -> str:
    if isinstance(endpoint, SerialEndpoint):
        return f"{endpoint.baud} baud {endpoint.data_bits}{endpoint.parity}{endpoint.stop_bits}"
    return str(endpoint)
