"""Devices in older shapes, or in none."""

import json

import pytest

from cloudcore.downstream.devices import converted
from edgelink.objects import Kind

OLD = {
    "kind": "Device",
    "apiVersion": "devices.kubeedge.io/v1beta1",
    "metadata": {"name": "meter"},
    "spec": {
        "deviceModelRef": {"name": "m"},
        "nodeSelector": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "", "operator": "In", "values": ["press-03"]}]}]
        },
        "data": {"dataTopic": "$ke/x"},
    },
}


def test_an_older_shape_under_the_new_version_becomes_the_new_one() -> None:
    raw, complaints = converted(Kind.DEVICE, json.dumps(OLD).encode())
    assert json.loads(raw)["spec"]["nodeName"] == "press-03"
    assert any("dataTopic" in complaint for complaint in complaints)


@pytest.mark.parametrize("kind", [Kind.DEVICE, Kind.DEVICE_MODEL, Kind.POD])
def test_the_new_shape_and_other_kinds_stay_byte_for_byte(kind: str) -> None:
    raw = b'{ "kind": "Device", "spec": {"nodeName": "n", "protocol": {"configData": null}} }'
    assert converted(kind, raw) == (raw, ())


@pytest.mark.parametrize("levels", [64, 900, 100_000])
def test_what_is_nested_beyond_measure_is_refused_with_a_sentence(levels: int) -> None:
    raw = b'{"kind":"Device","spec":{"protocol":{"configData":' + b"[" * levels + b"]" * levels + b"}}}"
    with pytest.raises(ValueError, match="nested more than 64 levels"):
        converted(Kind.DEVICE, raw)


@pytest.mark.parametrize("raw", [b"", b"[]", b"7", b'{"spec":'])
def test_what_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - in the words of the decoder
        converted(Kind.DEVICE, raw)
