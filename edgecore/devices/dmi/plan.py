"""What is to be told to a mapper so that it has what it should have. Pure.

Owns the order: a device goes before the model it leaves behind, a model comes before its devices; and the rule that a
mapper is never told to remove what it does not have, which would crash it.
"""

import dataclasses
import enum
from collections.abc import Collection, Mapping
from typing import Final

from edgecore.devices.dmi.holdings import Held


class Call(enum.Enum):
    """One of the calls that a mapper understands."""

    REMOVE_DEVICE = enum.auto()
    CREATE_MODEL = enum.auto()
    UPDATE_MODEL = enum.auto()
    REGISTER_DEVICE = enum.auto()
    UPDATE_DEVICE = enum.auto()
    REMOVE_MODEL = enum.auto()


MODEL_COMES: Final = (Call.CREATE_MODEL, Call.UPDATE_MODEL)
_OF_MODELS: Final = (*MODEL_COMES, Call.REMOVE_MODEL)


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One call, for the model or device *id*."""

    call: Call
    id: str

    @property
    def subject(self) -> tuple[str, str]:
        """What it is about: ``device`` or ``model``, and which."""
        return ("model" if self.call in _OF_MODELS else "device"), self.id


@dataclasses.dataclass(frozen=True, slots=True)
class Share:
    """Models or devices: the digests that are wanted, and what the mapper has."""

    wanted: Mapping[str, str]
    held: Mapping[str, Held]
    keep: Collection[str] = ()
    """Not wanted, as far as is known, and not to be removed either."""


def steps(models: Share, devices: Share, asked: Collection[str] = ()) -> list[Step]:
    """The calls to make, in order. Devices in *asked* are updated in any case."""
    leaving = [name for name in devices.held if _removable(devices, name)]
    plan = [Step(Call.REMOVE_DEVICE, name) for name in leaving]
    for name, digest in models.wanted.items():
        if (known := models.held.get(name)) is None:
            plan.append(Step(Call.CREATE_MODEL, name))
        elif known.digest != digest:
            plan.append(Step(Call.UPDATE_MODEL, name))
    for name, digest in devices.wanted.items():
        known = devices.held.get(name)
        if known is None or not known.sure:
            plan.append(Step(Call.REGISTER_DEVICE, name))
        elif known.digest != digest or name in asked:
            plan.append(Step(Call.UPDATE_DEVICE, name))
    plan += [Step(Call.REMOVE_MODEL, name) for name in models.held if _removable(models, name)]
    return plan


def _removable(share: Share, name: str) -> bool:
    return name not in share.wanted and name not in share.keep and share.held[name].sure
