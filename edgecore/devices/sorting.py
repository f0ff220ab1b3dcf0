"""Pure: what a driver read, as the model wants it, and what is wrong with the rest."""

from collections.abc import Mapping, Sequence

from device_models import values
from device_models.errors import BadValue
from device_models.model import Device, Property, Value
from edgecore.devices.driver import DeviceRefused, Outcome


def sorted_out(
    device: Device, found: Mapping[str, Outcome], asked: Sequence[Property] = ()
) -> tuple[dict[str, Value], dict[str, str]]:
    """Values by property, and complaints by property; of *asked* each is in one of the two."""
    good: dict[str, Value] = {}
    bad = {prop.name: "no value came" for prop in asked if prop.name not in found}
    for name, outcome in found.items():
        prop = device.properties.get(name)
        if prop is None:
            continue
        if isinstance(outcome, DeviceRefused):
            bad[name] = str(outcome)
            continue
        try:
            good[name] = values.coerce(outcome, prop)
        except BadValue as why:
            bad[name] = str(why)
    return good, bad
