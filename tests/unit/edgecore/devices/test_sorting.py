"""Covers edgecore.devices.sorting."""

from device_models.model import Device, Property, ValueType
from edgecore.devices.driver import DeviceRefused
from edgecore.devices.sorting import sorted_out

T, N = Property(name="t", type=ValueType.FLOAT), Property(name="n", type=ValueType.INT)
DEVICE = Device(namespace="a", name="b", properties={"t": T, "n": N})


def test_values_take_the_form_of_the_model() -> None:
    assert sorted_out(DEVICE, {"t": 5, "n": "7"}) == ({"t": 5.0, "n": 7}, {})


def test_each_that_was_asked_for_is_good_or_bad() -> None:
    good, bad = sorted_out(DEVICE, {"t": DeviceRefused("illegal address")}, [T, N])
    assert good == {}
    assert bad == {"t": "illegal address", "n": "no value came"}


def test_a_value_that_cannot_be_is_a_complaint_and_a_stranger_is_nothing() -> None:
    good, bad = sorted_out(DEVICE, {"n": 1.5, "other": 1})
    assert good == {}
    assert list(bad) == ["n"]
    assert "1.5" in bad["n"]
