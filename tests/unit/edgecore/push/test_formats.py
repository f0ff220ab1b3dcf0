"""Covers edgecore.push.formats, targets and thinning: what arrives, to the letter."""

import json
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_models.model import Device, Property, PushHttp, PushInflux, PushMqtt, PushOtel, Value, ValueType
from edgecore.push import formats
from edgecore.push.sink import SinkRefused
from edgecore.push.targets import targets
from edgecore.push.thinning import Thinner
from edgecore.store.telemetry import Numbered, Sample

AT = 1_786_010_400_123
BOILER = Device(
    namespace="plant",
    name="boiler",
    properties={
        "t": Property(name="t", type=ValueType.FLOAT, unit="°C"),
        "on": Property(name="on", type=ValueType.BOOLEAN),
        "raw": Property(name="raw", type=ValueType.BYTES),
    },
)


def numbered(value: Value, name: str = "t", seq: int = 7, at: int = AT) -> Numbered:
    return Numbered(seq, Sample(name, value, at))


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_kubeedge_texts() -> None:
    assert formats.http_text(numbered(21.5)) == b"t=21.5&time=2026-08-06 12:00:00"
    assert formats.http_text(numbered("a b&c", "on")) == b"on=a b&c&time=2026-08-06 12:00:00"
    assert formats.mqtt_text(numbered(True), "plant/t") == b"time is 2026-08-06 12:00:00  plant/t: true"


@pytest.mark.parametrize("at", [-5, 0, 1 << 62])
def test_a_time_that_makes_no_sense_is_still_a_time(at: int) -> None:
    assert time.strptime(formats.local_time(at), "%Y-%m-%d %H:%M:%S")


def test_our_json() -> None:
    assert json.loads(formats.json_body(BOILER, numbered(21.5))) == {
        "device": "boiler",
        "namespace": "plant",
        "property": "t",
        "seq": 7,
        "value": 21.5,
        "type": "float",
        "timestamp": AT,
    }
    assert json.loads(formats.json_body(BOILER, numbered(b"\xff", "raw")))["value"] == "/w=="
    assert b"NaN" in formats.json_body(BOILER, numbered(float("nan")))
    assert isinstance(json.loads(formats.json_body(BOILER, numbered(float("nan"))))["value"], str)


def test_otlp() -> None:
    sent = json.loads(formats.otel(BOILER, [numbered(21.5), numbered(22, at=AT + 1), numbered(True, "on")]))
    [resource] = sent["resourceMetrics"]
    assert resource["resource"]["attributes"] == [{"key": "device.id", "value": {"stringValue": "plant/boiler"}}]
    [scope] = resource["scopeMetrics"]
    assert scope["metrics"] == [
        {
            "name": "t",
            "unit": "°C",
            "gauge": {
                "dataPoints": [
                    {"timeUnixNano": f"{AT}000000", "asDouble": 21.5},
                    {"timeUnixNano": f"{AT + 1}000000", "asDouble": 22.0},
                ]
            },
        },
        {"name": "on", "gauge": {"dataPoints": [{"timeUnixNano": f"{AT}000000", "asDouble": 1.0}]}},
    ]
    with pytest.raises(SinkRefused, match="not a number"):
        formats.otel(BOILER, [numbered("warm")])


INFLUX = PushInflux(
    url="http://x", org="o", bucket="b", measurement="my place", field="f=1", tags={"a b": "c,d", "": ""}
)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (21.5, "21.5"),
        (5, "5i"),
        (True, "true"),
        ("warm", '"warm"'),
        ('say "x\\y"', '"say \\"x\\\\y\\""'),
        (b"\xff", '"/w=="'),
        (1 << 70, "1.1805916207174113e+21"),
    ],
)
def test_line_protocol(value: Value, field: str) -> None:
    assert formats.influx(INFLUX, [numbered(value)]).decode() == f"my\\ place,a\\ b=c\\,d f\\=1={field} {AT}"


def test_line_protocol_has_no_way_for_infinity() -> None:
    with pytest.raises(SinkRefused):
        formats.influx(INFLUX, [numbered(float("inf"))])


@given(st.text(), st.text(min_size=1), st.text())
def test_no_name_breaks_out_of_its_line(measurement: str, tag: str, value: str) -> None:
    push = PushInflux(url="http://x", org="o", bucket="b", measurement=measurement, field="f", tags={tag: "x"})
    raw = formats.influx(push, [numbered(value)])
    inside = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert len(raw.decode().replace(inside, "").splitlines()) == 1


def test_properties_that_name_the_same_destination_share_it() -> None:
    json_, text = PushHttp(url="http://u:secret@h/in?key=secret", json=True), PushHttp(url="http://u:secret@h/in")
    mqtt, otel = PushMqtt(address="tcp://b", topic="x"), PushOtel(url="http://o")
    device = Device(
        namespace="n",
        name="d",
        properties={
            "a": Property(name="a", push=(json_, mqtt)),
            "b": Property(name="b", push=(json_, text, otel)),
            "c": Property(name="c", push=(INFLUX,)),
        },
    )
    found = targets(device)
    assert {name: sorted(target.properties) for name, target in found.items()} == {
        "push:http http://h/in json": ["a", "b"],
        "push:mqtt tcp://b x": ["a"],
        "push:http http://h/in": ["b"],
        "push:otel http://o": ["b"],
        "push:influx http://x o/b my place,=,a b=c,d f=1": ["c"],
    }
    assert [name for name, target in found.items() if target.thinned] == [
        "push:mqtt tcp://b x",
        "push:http http://h/in",
    ]


def test_only_the_newest_of_each_cycle_is_sent() -> None:
    thinner = Thinner({"t": 1000, "on": 0})
    fed = [numbered(n, seq=n, at=10_000 + 300 * n) for n in range(1, 9)]
    sent = [each.seq for n in fed if (each := thinner.feed(n, 0.0))]
    assert sent == [3, 6]
    assert thinner.settled(8) == 7
    assert thinner.feed(numbered(True, "on", 9), 0.0) == numbered(True, "on", 9)
    due = thinner.next_due()
    assert due is not None
    assert thinner.due(due - 0.1) == []
    assert [n.seq for n in thinner.due(due)] == [8]
    assert (thinner.settled(9), thinner.next_due()) == (9, None)
