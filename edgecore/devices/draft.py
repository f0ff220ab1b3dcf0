"""Changes of one device's twins before they are carried out together."""

from device_models.twin import Twin
from edgecore.devices.contract import Changed
from edgecore.devices.entry import Entry


class Draft:
    """Collects; `settle` carries out, `changed` tells."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._after: dict[str, Twin | None] = {}
        self._before: dict[str, Twin | None] = {}

    def put(self, name: str, after: Twin | None) -> None:
        """The twin *name* becomes *after*; None: it goes."""
        before = self._entry.twins.get(name)
        if after is not before:
            self._before[name], self._after[name] = before, after

    @property
    def empty(self) -> bool:
        return not self._after

    @property
    def size(self) -> int:
        """How many twins there will be."""
        gone = sum(after is None for after in self._after.values())
        return len(self._entry.twins.keys() | self._after.keys()) - gone

    @property
    def only_actual(self) -> bool:
        """Whether samples tell all of it."""
        return all(_only_actual(self._before[name], after) for name, after in self._after.items())

    @property
    def twins(self) -> dict[str, Twin]:
        """All twins of the device, as they will be."""
        return {name: twin for name, twin in {**self._entry.twins, **self._after}.items() if twin is not None}

    def settle(self) -> None:
        for name, after in self._after.items():
            if after is None:
                self._entry.twins.pop(name, None)
            else:
                self._entry.twins[name] = after

    def changed(self) -> Changed:
        return Changed(self._entry.device.id, self._before, self._after)


def _only_actual(before: Twin | None, after: Twin | None) -> bool:
    return bool(
        before
        and after
        and (before.expected, before.wish, before.optional) == (after.expected, after.wish, after.optional)
    )
