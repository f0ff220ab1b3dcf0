"""Finds a bench: a class by name, or what a YAML file says of a device that listens on TCP.

The file::

    driver: acme_oven.driver:Oven         # or an installed protocol: oven
    address: 127.0.0.1:4001               # of the device, or its stand-in, which runs
    device: oven.yaml                     # a DeviceModel and a Device, as for kubectl
    config: {host: "{host}", port: "{port}"}   # over the Device's configData; the check puts its link in for both
    expected: {temperature: 21.5}         # optional: what the device has
    samples: {setpoint: [20, 22]}         # optional: what may be written
"""

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from device_models import load as objects
from device_models.errors import Complaint
from device_models.fields import Fields, fatal
from device_models.model import Device
from edgecore.devices.driver import Driver
from edgecore.devices.kit.bench import Bench, BenchBroken
from edgecore.devices.registry import Registry
from edgelink.aio.logs import clean

_KEYS: Final = ("driver", "protocol", "address", "device", "config", "expected", "samples", "patience")


def load(name: str) -> Bench:
    """The bench called *name*. Raises BenchBroken."""
    if name.endswith((".yaml", ".yml")):
        return _of_file(Path(name))
    found = _named(name)
    if isinstance(found, type) and issubclass(found, Bench):
        return found()
    raise BenchBroken(f"{clean(name)} is no Bench")


def _named(name: str) -> object:
    module, colon, attribute = name.partition(":")
    if not colon:
        raise BenchBroken(f"{clean(name)}: must be package.module:Class, or a file that ends in .yaml")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BenchBroken(f"cannot load {clean(name)}: {clean(error)}") from error


def _of_file(file: Path) -> Bench:
    complaints: list[Complaint] = []
    fields = Fields(_parsed(file), "", complaints)
    device = _device(file.parent / fields.text("device", required=True))
    host, _, port = fields.text("address", required=True).rpartition(":")
    if not host or not port.isdecimal():
        fields.complain("address", "must be HOST:PORT")
    config = {**device.config, **(fields.raw("config") or {})}
    members: dict[str, Any] = {
        "driver": _driver(fields),
        "protocol": device.protocol,
        "properties": tuple(device.properties.values()),
        "expected": fields.raw("expected") or {},
        "samples": fields.raw("samples") or {},
        "patience": fields.number("patience", 1.0, low=0.05, high=600),
        "config": lambda self, host, port: _placed(config, host, port),
        "start": _where(host, port),
    }
    for key in _parsed(file):
        if key not in _KEYS:
            fields.complain(str(key), f"is not known here (there are {', '.join(_KEYS)})")
    if complaints:
        raise BenchBroken(f"{file}: " + "; ".join(map(str, complaints)))
    return type("FileBench", (Bench,), members)()  # type: ignore[no-any-return]


def _parsed(file: Path) -> Mapping[str, Any]:
    try:
        body = yaml.safe_load(file.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BenchBroken(f"cannot read {file}: {clean(error)}") from error
    if not isinstance(body, Mapping):
        raise BenchBroken(f"{file}: must be an object with {', '.join(_KEYS)}")
    return body


def _device(file: Path) -> Device:
    try:
        loaded = objects.file(file.read_text())
    except (OSError, ValueError) as error:
        raise BenchBroken(f"cannot read {file}: {clean(error)}") from error
    if bad := [str(complaint) for each in loaded for complaint in fatal(each.complaints)]:
        raise BenchBroken(f"{file}: " + "; ".join(bad))
    found = [each.what for each in loaded if isinstance(each.what, Device)]
    if len(found) != 1:
        raise BenchBroken(f"{file}: must have one Device, not {len(found)}")
    return found[0]


def _driver(fields: Fields) -> type[Driver]:
    if name := fields.text("driver"):
        found = _named(name)
    else:
        protocol, registry = fields.text("protocol", required=True), Registry({})
        found = registry.factory(protocol)
        if found is None:
            raise BenchBroken(registry.why(protocol))
    if not (isinstance(found, type) and issubclass(found, Driver)):
        raise BenchBroken(f"{clean(name or protocol)} is no edgecore.devices.driver.Driver")
    return found


def _where(host: str, port: str) -> Any:  # noqa: ANN401
    async def start(self: Bench) -> tuple[str, int]:
        return host, int(port)

    return start


def _placed(value: Any, host: str, port: int) -> Any:  # noqa: ANN401
    """*value* with the address of the link where it says so."""
    if isinstance(value, Mapping):
        return {key: _placed(member, host, port) for key, member in value.items()}
    return {"{host}": host, "{port}": port}.get(value, value) if isinstance(value, str) else value
