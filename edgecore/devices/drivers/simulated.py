"""Protocol ``simulated``: a device without hardware, to try models, alarms and commands on.

``configData`` of the device, all optional:

- ``delay``: seconds that each call takes.
- ``silentEvery``: N: the N-th call after each connection finds the device silent; 1: it never answers.
- ``garbageEvery``: N: the N-th read after each connection is answered with what makes no sense.

``visitors.configData`` of a property, all optional:

- ``signal``: what it does. Read-only: ``constant`` (default), ``sine``, ``ramp`` (up, then from the start), ``walk``
  (random), ``counter`` (one step a read), ``echo`` (has what was last written to property ``of``). Writable
  properties have no signal: they keep what was written.
- ``value``: of a constant, or before the first write.
- ``low``, ``high``: range of a signal; default: the property's limits, else 0 and 100.
- ``period``: seconds of one sine or ramp, default 60.
- ``step``: of a counter, or the most that a walk moves in one read; default 1, or a 20th of the range.
- ``refuse``: a reason: every write is refused with it.

What a walk does depends on nothing but the names of device and property, sine and ramp on the clock alone.
"""

import asyncio
import dataclasses
import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from device_models import values
from device_models.errors import BadValue, Complaint
from device_models.fields import Fields
from device_models.model import Device, Property, Value, ValueType
from edgecore.devices.driver import BadSetting, DeviceRefused, DeviceSilent, Driver, Outcome

PROTOCOL: Final = "simulated"

_DEVICE_KEYS: Final = ("delay", "silentEvery", "garbageEvery")
_PROPERTY_KEYS: Final = ("signal", "value", "of", "low", "high", "period", "step", "refuse")
_EVERYWHERE: Final = ("deadBand", "everySample", "collectCycle", "reportCycle")
"""Keys that mean the same for every driver and are honoured elsewhere."""
_KINDS: Final = ("constant", "sine", "ramp", "walk", "counter", "echo")
_KINDS_OF: Final = {
    ValueType.INT: _KINDS,
    ValueType.FLOAT: _KINDS,
    ValueType.DOUBLE: _KINDS,
    ValueType.BOOLEAN: _KINDS,
    ValueType.STRING: ("constant", "counter", "echo"),
}
_NUMBERS: Final = (ValueType.INT, ValueType.FLOAT, ValueType.DOUBLE)


@dataclasses.dataclass(frozen=True, slots=True)
class Memory:
    """What a device keeps from one connection to the next, by property."""

    written: dict[str, Value] = dataclasses.field(default_factory=dict)
    at: dict[str, float] = dataclasses.field(default_factory=dict)
    """Where walks and counters are."""
    steps: dict[str, int] = dataclasses.field(default_factory=dict)
    """How far walks have gone."""

    def forget_misfits(self, device: Device) -> None:
        """The model of a device may change while it lives."""
        for name, value in list(self.written.items()):
            try:
                self.written[name] = values.coerce(value, device.properties[name])
                values.check(self.written[name], device.properties[name])
            except (BadValue, KeyError):
                del self.written[name]


class Simulator:
    """The world in which simulated devices live; called with a device it makes the driver for it."""

    def __init__(self, now: Callable[[], float]) -> None:
        """*now*: seconds of a monotonic clock."""
        self._now = now
        self._memories: dict[str, tuple[str, Memory]] = {}

    def __call__(self, device: Device) -> "SimulatedDevice":
        uid, memory = self._memories.get(device.id, (device.uid, Memory()))
        if uid != device.uid:
            memory = Memory()
        memory.forget_misfits(device)
        self._memories[device.id] = device.uid, memory
        return SimulatedDevice(device, memory, self._now)


class SimulatedDevice(Driver):
    """One of them."""

    def __init__(self, device: Device, memory: Memory, now: Callable[[], float]) -> None:
        super().__init__(device)
        self._memory, self._now = memory, now
        self._calls = self._reads = 0
        complaints: list[Complaint] = []
        fields = Fields(device.config, "spec.protocol.configData", complaints)
        self._delay = fields.number("delay", 0.0, low=0, high=3600)
        self._silent_every = fields.integer("silentEvery", 0, low=0)
        self._garbage_every = fields.integer("garbageEvery", 0, low=0)
        _refuse_others(fields, device.config, _DEVICE_KEYS)
        self._signals = {prop.name: _signal(prop, device, complaints) for prop in device.properties.values()}
        if complaints:
            raise BadSetting("; ".join(map(str, complaints)))

    async def connect(self) -> None:
        await self._answer()

    async def read(self, properties: Sequence[Property]) -> Mapping[str, Outcome]:
        await self._answer()
        self._reads += 1
        if self._garbage_every and self._reads % self._garbage_every == 0:
            raise DeviceSilent("the simulated device sent what makes no sense: garbageEvery says so")
        moment = self._now()
        return {prop.name: self._signals[prop.name].at(moment, self._memory) for prop in properties}

    async def write(self, prop: Property, value: Value) -> None:
        await self._answer()
        signal = self._signals[prop.name]
        if signal.refuse:
            raise DeviceRefused(signal.refuse)
        if not prop.writable:
            raise DeviceRefused(f"{prop.name} cannot be written: its model does not say accessMode ReadWrite")
        try:
            values.check(value, prop)
        except BadValue as cause:
            raise DeviceRefused(f"{prop.name} {cause}") from cause
        self._memory.written[prop.name] = value

    async def _answer(self) -> None:
        if self._delay:
            await asyncio.sleep(self._delay)
        self._calls += 1
        if self._silent_every and self._calls % self._silent_every == 0:
            raise DeviceSilent("the simulated device does not answer: silentEvery says so")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Signal:
    """What one property does. Numbers are floats in here, and typed at the end."""

    prop: Property
    kind: str
    seed: str
    value: Value
    of: str
    low: float
    high: float
    period: float
    step: float
    refuse: str

    def at(self, moment: float, memory: Memory) -> Value:
        middle, swing = (self.low + self.high) / 2, (self.high - self.low) / 2
        match self.kind:
            case "sine":
                return self._typed(middle + swing * math.sin(math.tau * moment / self.period))
            case "ramp":
                return self._typed(self.low + (self.high - self.low) * (moment / self.period % 1))
            case "counter":
                return self._typed(self._counted(memory))
            case "walk":
                return self._typed(self._walked(memory, middle))
        return memory.written.get(self.of, self.value)

    def _counted(self, memory: Memory) -> float:
        before = memory.at.get(self.prop.name)
        at = self.low if before is None else before + self.step
        memory.at[self.prop.name] = at = at if at <= self.high else self.low
        return at

    def _walked(self, memory: Memory, middle: float) -> float:
        before, steps = memory.at.get(self.prop.name, middle), memory.steps.get(self.prop.name, 0)
        move = random.Random(f"{self.seed} {steps}").uniform(-self.step, self.step)
        memory.at[self.prop.name] = at = min(self.high, max(self.low, before + move))
        memory.steps[self.prop.name] = steps + 1
        return at

    def _typed(self, number: float) -> Value:
        match self.prop.type:
            case ValueType.INT:
                return round(number)
            case ValueType.BOOLEAN:
                return number >= (self.low + self.high) / 2
            case ValueType.FLOAT | ValueType.DOUBLE:
                return min(self.high, max(self.low, round(number, 3)))
        return str(round(number))


def _signal(prop: Property, device: Device, complaints: list[Complaint]) -> _Signal:
    path = f"spec.properties[{prop.name}].visitors.configData"
    fields = Fields(prop.visitor, path, complaints)
    _refuse_others(fields, prop.visitor, _PROPERTY_KEYS)
    kind = fields.choice("signal", {kind: kind for kind in _KINDS}, "constant")
    if prop.writable and kind != "constant":
        fields.complain("signal", f"{kind} is for read-only properties: a writable one keeps what was written")
    if kind not in _KINDS_OF.get(prop.type, ("constant", "echo")):
        fields.complain("signal", f"{kind} cannot be of type {prop.type}")
    low, high = _range(prop, fields)
    if low > high:
        fields.complain("low", "must not be above high")
    return _Signal(
        prop=prop,
        kind=kind,
        seed=f"{device.id} {prop.name}",
        value=_first_value(prop, fields),
        of=_other(prop, device, fields) if kind == "echo" else prop.name if prop.writable else "",
        low=low,
        high=high,
        period=fields.number("period", 60.0, low=0.001),
        step=fields.number("step", 1.0 if kind == "counter" else (high - low) / 20, low=0),
        refuse=fields.text("refuse"),
    )


def _range(prop: Property, fields: Fields) -> tuple[float, float]:
    """From where to where it goes: as it is told, else within the limits, else 0 to 100."""
    low = prop.minimum if prop.minimum is not None else min(0, prop.maximum or 0)
    high = prop.maximum if prop.maximum is not None else max(low, 0) + 100
    return fields.number("low", float(low)), fields.number("high", float(high))


def _first_value(prop: Property, fields: Fields) -> Value:
    given = fields.raw("value")
    try:
        return _lowest(prop) if given is None else values.coerce(given, prop)
    except (BadValue, TypeError) as cause:
        fields.complain("value", str(cause))
        return ""


def _lowest(prop: Property) -> Value:
    """Nothing, or the number next to 0 that the limits allow."""
    if prop.type not in _NUMBERS:
        return values.coerce("false" if prop.type is ValueType.BOOLEAN else "", prop)
    number = max(0, prop.minimum or 0) if prop.maximum is None else min(max(0, prop.minimum or 0), prop.maximum)
    return math.ceil(number) if prop.type is ValueType.INT else float(number)


def _other(prop: Property, device: Device, fields: Fields) -> str:
    """Which property an echo repeats."""
    name = fields.text("of", required=True)
    other = device.properties.get(name)
    if name and (other is None or not other.writable):
        fields.complain("of", "must name a writable property of this device")
    elif other is not None and other.type is not prop.type:
        fields.complain("of", f"{name} is of type {other.type}, {prop.name} of type {prop.type}")
    return name


def _refuse_others(fields: Fields, given: Mapping[str, object], known: Sequence[str]) -> None:
    names = {name.casefold() for name in (*known, *_EVERYWHERE)}
    for key in given:
        if str(key).casefold() not in names:
            fields.complain(str(key), f"is not a setting of a simulated device (there are {', '.join(known)})")
