"""Every model of the catalog loads, says where each property lies, and gives the values that its sources promise."""

import struct
from collections.abc import Sequence

import pytest
import yaml

from device_models import catalog, load
from device_models.coalesce import coalesce
from device_models.model import Device, Property, ValueType
from device_models.registers import RegisterSpec, piece
from device_models.values import render
from device_models.visitor import register

GAP = 8

# What the registers hold, as words from the property's own address on, and what that is.
EXAMPLES = {
    # From the source's own examples.
    "xy-md02": {
        "temperature": [([0x0131], "30.5"), ([0xFF33], "-20.5")],
        "humidity": [([0x0222], "54.6")],
    },
    "eastron-sdm120": {"voltage": [([0x4366, 0x3333], "230.2")], "energy-total": [([0x449A, 0x5000], "1234.5")]},
    "eastron-sdm230": {"active-power": [([0xC47A, 0x0000], "-1000")]},
    "eastron-sdm630": {"voltage-l3": [([0x4366, 0x3333], "230.2")], "energy-total-l3": [([0x3F80, 0x0000], "1")]},
    # Low words first.
    "carlo-gavazzi-em24-ethernet": {
        "voltage-l1": [([0x08FE, 0x0000], "230.2")],
        "active-power": [([0xFFF6, 0xFFFF], "-1")],
        "energy-import": [([0x0000, 0x0001], "6553.6")],
        "frequency": [([500], "50")],
    },
    "carlo-gavazzi-em340": {"current-l2": [([0x0001, 0x0001], "65.537")], "power-factor": [([0xFC18], "-1")]},
    "abb-b23": {
        "voltage-l1": [([0x0000, 0x08FE], "230.2")],
        "active-power": [([0xFFFF, 0xFF9C], "-1")],
        "energy-import": [([0, 0, 1, 0], "655.36")],
        "frequency": [([5001], "50.01")],
    },
    # The meter says 1.5 kW.
    "schneider-iem3155": {"active-power": [([0x3FC0, 0x0000], "1500")], "voltage-l1": [([0x4366, 0x3333], "230.2")]},
    "peacefair-pzem-016": {
        "current": [([0x0001, 0x0001], "65.537")],
        "energy-import": [([1234, 0], "1.234")],
        "alarm": [([0xFFFF], "true"), ([0], "false")],
    },
    "waveshare-modbus-rtu-relay-8": {},
    "sunspec-inverter-float": {
        "manufacturer": [([*struct.unpack(">4H", b"Fronius\0"), *[0] * 12], "Fronius")],
        "energy-yield": [([0x4996, 0xB438], "1234.567")],
        "operating-state": [([4], "4")],
    },
    "huawei-sun2000": {
        "active-power": [([0, 3210], "3210")],
        "energy-yield": [([1, 0xE240], "1234.56")],
        "temperature": [([0xFFFB], "-0.5")],
    },
    "deye-string": {"energy-yield": [([0x0000, 0x0001], "6553.6")], "frequency": [([4998], "49.98")]},
}


def device(name: str) -> Device:
    """A device of model *name* with all its properties, and no complaint of anything."""
    model = yaml.safe_load(catalog.read(name))
    body = {
        "apiVersion": "devices.kubeedge.io/v1beta1",
        "kind": "Device",
        "metadata": {"name": "one", "namespace": "default"},
        "spec": {
            "deviceModelRef": {"name": name},
            "nodeName": "edge-1",
            "protocol": {"protocolName": "modbus", "configData": {"ip": "10.0.0.1"}},
            "properties": [{"name": item["name"], "reportToCloud": True} for item in model["spec"]["properties"]],
        },
    }
    loaded = load.file(yaml.safe_dump_all([model, body]))
    assert [complaint for document in loaded for complaint in document.complaints] == []
    found = loaded[1].what
    assert isinstance(found, Device)
    return found


def words(values: Sequence[int]) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


def test_every_model_is_named_as_its_file_and_has_an_example() -> None:
    assert set(catalog.names()) == set(EXAMPLES)
    assert [yaml.safe_load(catalog.read(name))["metadata"]["name"] for name in catalog.names()] == catalog.names()


@pytest.mark.parametrize("name", ["", "nothing", "../model", "README", "/etc/passwd"])
def test_what_is_not_in_the_catalog_is_not_read(name: str) -> None:
    with pytest.raises(KeyError):
        catalog.read(name)


@pytest.mark.parametrize("name", catalog.names())
def test_a_model_names_where_it_comes_from(name: str) -> None:
    head = catalog.read(name).partition("apiVersion")[0]
    assert head.count("# - https://github.com/") >= 2
    assert head.startswith(f"# {catalog.title(name)}.\n")


@pytest.mark.parametrize("name", catalog.names())
def test_every_property_has_its_own_place_and_a_unit_if_it_is_a_quantity(name: str) -> None:
    found = device(name)
    specs = [register(prop) for prop in found.properties.values()]
    assert len({(spec.table, spec.address) for spec in specs}) == len(specs)
    for prop in found.properties.values():
        assert prop.unit or prop.type is not ValueType.FLOAT or prop.name.startswith("power-factor")
        assert not prop.writable or register(prop).table.writable


@pytest.mark.parametrize(("name", "examples"), EXAMPLES.items())
def test_registers_mean_what_the_sources_say(name: str, examples: dict[str, list[tuple[list[int], str]]]) -> None:
    properties = device(name).properties
    for key, cases in examples.items():
        for held, value in cases:
            assert render(register(properties[key]).decode(words(held))) == value


@pytest.mark.parametrize("name", catalog.names())
def test_all_values_come_out_of_few_reads(name: str) -> None:
    properties = device(name).properties
    specs = {key: register(prop) for key, prop in properties.items()}
    values = {key: sample(prop, number) for number, (key, prop) in enumerate(properties.items())}
    blocks = coalesce(specs.values(), max_gap=GAP)
    replies = {block: bytearray(block.count * 2) for block in blocks}
    for key, spec in specs.items():
        [block] = [block for block in blocks if spec in block.specs]
        put(replies[block], spec, spec.encode(values[key]), block.address)
    for block in blocks:
        for spec in block.specs:
            [key] = [key for key, other in specs.items() if other == spec]
            assert spec.decode(piece(bytes(replies[block]), spec, block.address)) == values[key]
    assert len(blocks) <= 7
    assert len(blocks) <= max(1, len(specs) // 2)


def sample(prop: Property, number: int) -> bool | int | float | str:
    """A value that *prop* can hold, different for each number below a hundred."""
    if prop.type is ValueType.BOOLEAN:
        return number % 2 == 0
    if prop.type is ValueType.STRING:
        return f"text {number}"
    step = float(register(prop).scale)
    return number + 1 if prop.type is ValueType.INT else round((number + 1) * step, 9)


def put(reply: bytearray, spec: RegisterSpec, data: bytes, start: int) -> None:
    """Lay *data* into *reply*, which begins at address *start*."""
    if spec.table.bits:
        reply[(spec.address - start) // 8] |= data[0] << (spec.address - start) % 8
    else:
        at = (spec.address - start) * 2
        reply[at : at + len(data)] = data


def test_relays_are_the_only_thing_that_can_be_written() -> None:
    writable = {name for name in catalog.names() if any(p.writable for p in device(name).properties.values())}
    assert writable == {"waveshare-modbus-rtu-relay-8"}
    assert [register(p).address for p in device("waveshare-modbus-rtu-relay-8").properties.values()] == list(range(8))
