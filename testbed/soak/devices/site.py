"""A broker, a Modbus server, a sink and the producers around a rig; and what is found at their other ends."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from testbed.modbus import ModbusServer
from testbed.mosquitto import Mosquitto
from testbed.process import wait_for
from testbed.rig import NODE, Rig
from testbed.soak.devices import objects
from testbed.soak.devices.mapped import Reporter
from testbed.soak.devices.producers import CounterProducer, EdgeWisher, PlainProducer, TwinProducer, Wisher
from testbed.soak.devices.records import Asked, Evidence, Kept, Ledger, Stream, Valve, Write
from testbed.soak.devices.sink import Sink

Json = dict[str, Any]

_READY = 60.0
_DELAY = 0.08
"""Seconds that the Modbus units take to answer: long enough to die between a write and its answer."""
_PAUSES = {
    objects.TWIN: 0.05,
    objects.PLAIN: 0.05,
    objects.MAPPED: 0.1,
    objects.COUNTER: 0.2,
    objects.VALVE: 0.6,
    objects.LEVER: 0.3,
}


class Source(Protocol):
    """What a round needs of a producer."""

    trouble: str

    def start(self, dice: random.Random) -> None: ...

    def finish(self) -> None: ...

    def join(self) -> None: ...


class Site:
    """See the module. Everything started here ends with `stop`."""

    def __init__(self, rig: Rig, directory: Path) -> None:
        self.rig = rig
        self.broker = Mosquitto(directory / "mosquitto")
        self.modbus = ModbusServer(directory / "modbus", units=len(objects.UNITS), delay=_DELAY)
        self.writes = directory / "modbus" / "writes.jsonl"
        """What the Modbus server notes of each write."""
        self.tamper: Callable[[Evidence], Evidence] = lambda found: found
        """What a plant does to what is found."""
        self.sink = Sink()
        socket, valve = rig.edge.mapper_socket, objects.VALVE
        self.twin = TwinProducer(self.broker, f"default/{objects.TWIN}", objects.NUMBER, _PAUSES[objects.TWIN])
        self.plain = PlainProducer(self.broker, objects.TOPIC, _PAUSES[objects.PLAIN])
        mapped = f"default/{objects.MAPPED}"
        directory.mkdir(parents=True, exist_ok=True)
        self.mapped = Reporter(directory, socket, objects.PROTOCOL, mapped, objects.NUMBER, _PAUSES[objects.MAPPED])
        self.counter = CounterProducer(
            self.modbus, objects.UNITS[objects.COUNTER], objects.REGISTER, _PAUSES[objects.COUNTER]
        )
        self.wisher = Wisher(rig.kubectl, valve, _PAUSES[valve])
        lever = f"default/{objects.LEVER}"
        self.edge_wisher = EdgeWisher(self.broker, lever, objects.NUMBER, _PAUSES[objects.LEVER])

    def start(self) -> None:
        """The rig too; returns when every device works."""
        self.broker.start()
        self.modbus.start()
        self.sink.start()
        self.rig.start(bus={"address": self.broker.address})
        self.rig.kubectl.apply(*objects.models())
        self.rig.kubectl.apply(*objects.devices(NODE, self.modbus, self.sink.port))
        wait_for(self._works, _READY, "the devices work")

    def _works(self) -> bool:
        """All but the mapper's, which comes with the rounds."""
        known = {one["metadata"]["name"]: one["status"] for one in self._known()}
        states = {name: known.get(name, {}).get("state") for name in (*objects.STREAMS, *objects.WISHED)}
        return all(state == "online" for name, state in states.items() if name != objects.MAPPED)

    def stop(self) -> None:
        self.mapped.stop()
        self.sink.stop()
        self.modbus.stop()
        self.broker.stop()

    def sources(self, *, broker_dies: bool) -> list[Source]:
        """Who produces in a round."""
        found: list[Source] = [self.twin, self.mapped, self.counter, self.wisher, self.edge_wisher]
        return found if broker_dies else [*found, self.plain]

    def save_broker(self) -> None:
        """Have the broker write to its disk what it knows: which messages were taken from it, too."""
        database = self.broker.directory / "mosquitto.db"
        before = database.stat().st_mtime_ns if database.exists() else 0
        time.sleep(0.01)
        os.kill(self.broker.pid, signal.SIGUSR1)
        wait_for(lambda: database.exists() and database.stat().st_mtime_ns > before, 10, "the broker has saved")

    # --- what is found

    def look(self) -> Evidence:
        """Raises Failed while the API or the store cannot be asked."""
        known = {one["metadata"]["name"]: one for one in self._known()}
        shown = {one["metadata"]["name"]: one for one in self.rig.kubectl.get("devicestatuses")["items"]}
        accepted = {
            objects.TWIN: self.twin.accepted,
            objects.PLAIN: self.plain.accepted,
            objects.MAPPED: self.mapped.accepted,
            objects.COUNTER: self.counter.accepted,
        }
        streams = {
            name: Stream(
                numbers,
                self._history(name) if numbers else (),
                _ledger(known.get(name, {})),
                _twin(shown.get(name, {}), "reported").get("value", ""),
                sampled=name == objects.COUNTER,
            )
            for name, numbers in accepted.items()
        }
        pushed = {name: self.sink.arrivals(name) for name in objects.PUSHED}
        wishes = {objects.VALVE: self.wisher.wishes, objects.LEVER: self.edge_wisher.wishes}
        valves = {name: self._valve(name, made.asked, shown.get(name, {})) for name, made in wishes.items()}
        return self.tamper(Evidence(streams, pushed, valves))

    def _known(self) -> list[Json]:
        """What the node knows of its devices."""
        told = json.loads(self.rig.edge.command("get", "devices", "-o", "json"))
        items: list[Json] = told["items"]
        return items

    def _history(self, device: str) -> tuple[Kept, ...]:
        text = self.rig.edge.command("history", device, "-o", "json", "--limit", "0")
        lines = map(json.loads, text.splitlines())
        return tuple(Kept(int(line["seq"]), line["value"]) for line in lines)

    def _valve(self, name: str, asked: tuple[Asked, ...], shown: Json) -> Valve:
        wish, unit = _twin(shown, "observedDesired"), objects.UNITS[name]
        writes = [one for one in self.modbus.written() if one.unit == unit]
        return Valve(
            asked,
            tuple(Write(one.at, int(one.values[0])) for one in writes),
            int(self.modbus.get(unit, "holding", objects.REGISTER)[0]),
            wish.get("value", ""),
            wish.get("metadata", {}).get("state", ""),
        )


def _ledger(known: Json) -> Ledger:
    told = known.get("status", {}).get("ledger", {})
    return Ledger(*(int(told.get(name, 0)) for name in ("produced", "stored", "acknowledged", "dropped")))


def _twin(shown: Json, half: str) -> Json:
    for twin in shown.get("status", {}).get("twins", []):
        if twin["propertyName"] == objects.NUMBER and half in twin:
            found: Json = twin[half]
            return found
    return {}
