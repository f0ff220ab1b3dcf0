"""What is known of a device survives a restart."""

import json

import pytest

from device_models.twin import End, Origin, Side, Twin, Wish
from edgecore.devices.entry import Entry, Ready, dump, restore
from tests.fakes.driver import device, prop


def test_what_is_written_comes_back() -> None:
    entry = Entry(device(prop()), state="online", last_online="2026-01-31T12:00:00Z")
    entry.ready = Ready("False", "Silent", "no answer", "2026-01-31T12:00:00Z")
    wish = Wish(End.WRITING, "why", Origin.CLOUD, 99, "token")
    entry.twins = {
        "ä/t": Twin(Side("22", 1, 2, 3), Side("21", 4, 5, 6), "float", False, wish),
        "seen": Twin(actual=Side("1", 1)),
        "bare": Twin(),
    }
    after = Entry(entry.device)
    restore(after, dump(entry))
    assert after == entry


def test_one_damaged_twin_does_not_take_the_others_along() -> None:
    entry = Entry(device(prop()), twins={"good": Twin(actual=Side("1", 1))})
    body = json.loads(dump(entry))
    body["twins"] |= {"a": 7, "b": {"actual": ["x"]}, "c": {"wish": ["?", "", "edge", None, ""]}, "d": None}
    body["ready"] = "broken"
    after = Entry(entry.device)
    restore(after, json.dumps(body).encode())
    assert after.twins == entry.twins


@pytest.mark.parametrize("raw", [b"", b"[]", b"\xff"])
def test_what_is_no_device_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"device|Expecting|decode"):
        restore(Entry(device()), raw)
