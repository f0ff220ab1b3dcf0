"""Reports on devices are taken apart; only what an edge may say is put together."""

import json
from typing import Any

import pytest

from cloudcore.upstream.device_patches import device_status, merge_patch, mirrored
from edgelink.objects import Action, Kind, NodeName, ObjectKey, Report, Uid

NODE = NodeName("press-03")
TWIN = {
    "propertyName": "t",
    "reported": {"value": "21.5", "metadata": {"timestamp": "1786010400000", "type": "float"}},
    "observedDesired": {"value": "22", "metadata": {"state": "Applied", "reason": ""}},
}
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Connected",
    "message": "",
    "lastTransitionTime": "2026-01-31T12:00:00Z",
}
LEDGER = {
    "produced": 120,
    "stored": 120,
    "sent": 118,
    "acknowledged": 118,
    "dropped": 2,
    "missed": 1,
    "because": {"age": 2},
}
WHOLE = {
    "state": "online",
    "lastOnlineTime": "2026-01-31T12:00:00Z",
    "nodeName": NODE,
    "twins": [TWIN],
    "conditions": [READY],
    "ledger": LEDGER,
}


def report(status: object) -> Report:
    key = ObjectKey(Kind.DEVICE_STATUS, "plant", "meter")
    return Report(key, Uid("u1"), 1, Action.STATUS, json.dumps({"status": status}).encode())


def test_all_that_an_edge_may_say_is_written() -> None:
    assert device_status(report(WHOLE), NODE) == WHOLE


def test_what_is_not_an_edges_to_say_is_left_out() -> None:
    said: dict[str, Any] = {
        **WHOLE,
        "nodeName": "another",
        "extensions": {"a": 1},
        "more": 1,
        "twins": [{**TWIN, "x": 1, "reported": {**TWIN["reported"], "y": 2}}],  # type: ignore[dict-item]
        "conditions": [{**READY, "z": 1}, {**READY, "type": "Delivered"}],
    }
    assert device_status(report(said), NODE) == WHOLE


def test_what_is_not_said_is_not_touched() -> None:
    assert device_status(report({}), NODE) == {"nodeName": NODE}
    nothing = dict.fromkeys(WHOLE)
    assert device_status(report(nothing), NODE) == {"nodeName": NODE}
    bare = {"twins": [{"propertyName": "t", "reported": None}]}
    assert device_status(report(bare), NODE)["twins"] == [{"propertyName": "t"}]


def test_a_word_of_the_clouds_stands_beside_the_edges_own() -> None:
    ours = {"type": "Delivered", "status": "False"}
    assert device_status(report(WHOLE), NODE, ours)["conditions"] == [READY, ours]
    assert device_status(report({}), NODE, ours)["conditions"] == [ours]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({"state": 1}, "status.state is not a string"),
        ({"state": "x" * 257}, "status.state has 257 characters"),
        ({"lastOnlineTime": "yesterday"}, "status.lastOnlineTime is not an RFC 3339 time"),
        ({"twins": {}}, "status.twins is not a list"),
        ({"twins": [{"propertyName": "t"}] * 1001}, "status.twins has 1001 entries, at most 1000"),
        ({"twins": ["t"]}, "status.twins[0] is not an object"),
        ({"twins": [{}]}, "status.twins[0].propertyName is not a string"),
        ({"twins": [{"propertyName": "t", "reported": {}}]}, "status.twins[0].reported.value is not a string"),
        (
            {"twins": [{"propertyName": "t", "reported": {"value": "", "metadata": {"a": 1}}}]},
            "status.twins[0].reported.metadata.a is not a string",
        ),
        (
            {"twins": [{"propertyName": "t", "reported": {"value": "", "metadata": {str(n): "" for n in range(33)}}}]},
            "status.twins[0].reported.metadata has 33 members",
        ),
        ({"conditions": [{"type": "Ready", "status": "yes"}]}, "status.conditions[0] has no type, or no status"),
        ({"conditions": [READY] * 17}, "status.conditions has 17 entries"),
        ({"ledger": []}, "status.ledger is not an object"),
        ({"ledger": {"produced": -1}}, "status.ledger.produced is not a count"),
        ({"ledger": {"produced": True}}, "status.ledger.produced is not a count"),
        ({"ledger": {"produced": 2**63}}, "status.ledger.produced is not a count"),
        ({"ledger": {"because": {"age": "2"}}}, "status.ledger.because.age is not a count"),
        ("online", "has no status"),
    ],
)
def test_a_body_of_another_shape_is_refused_with_a_sentence(status: object, message: str) -> None:
    with pytest.raises(ValueError, match="status") as caught:
        device_status(report(status), NODE)
    assert message in str(caught.value)


def test_long_texts_are_cut_and_long_values_left_out() -> None:
    reported = {"value": "x" * 70_000, "metadata": {"type": "string", "note": "y" * 2000}}
    said = {
        "twins": [{"propertyName": "t", "reported": reported}],
        "conditions": [{**READY, "message": "z" * 2000}],
    }
    status = device_status(report(said), NODE)
    [twin], [condition] = status["twins"], status["conditions"]
    assert twin["reported"]["value"] == ""
    assert twin["reported"]["metadata"]["omitted"].startswith("70000 characters")
    assert twin["reported"]["metadata"]["type"] == "string"
    assert len(twin["reported"]["metadata"]["note"]) == len(condition["message"]) == 1024


def test_what_kubectl_get_devices_shows() -> None:
    shown = {"state": "online", "lastOnlineTime": "2026-01-31T12:00:00Z", "lost": 2}
    assert mirrored(device_status(report(WHOLE), NODE)) == shown
    assert mirrored(device_status(report({"ledger": {"dropped": 0}}), NODE)) == {"lost": 0}
    assert mirrored(device_status(report({}), NODE)) == {}


def test_a_patch_may_be_bound_to_a_uid() -> None:
    assert json.loads(merge_patch({"state": "a"}, uid="u")) == {"metadata": {"uid": "u"}, "status": {"state": "a"}}
    assert json.loads(merge_patch({"state": "a"})) == {"status": {"state": "a"}}
