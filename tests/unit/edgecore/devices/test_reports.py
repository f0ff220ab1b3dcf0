"""The body of a DeviceStatus."""

from device_models.twin import End, Origin, Side, Twin, Wish
from edgecore.devices import reports
from edgecore.devices.entry import Entry, Ready
from edgecore.devices.plan import Last
from edgecore.store.telemetry import Ledger
from tests.fakes.driver import device, prop


def entry() -> Entry:
    made = Entry(device(prop("t"), prop("local", report_to_cloud=False), prop("app", report_to_cloud=False)))
    made.state, made.missed = "online", 3
    made.ready = Ready("True", "Connected", "", "2026-01-31T12:00:00Z")
    wish = Wish(End.REJECTED, "too hot", Origin.CLOUD)
    made.twins = {
        "t": Twin(Side("99", 2), Side("21.5", 1), "float", wish=wish),
        "local": Twin(actual=Side("1", 1)),
        "app": Twin(actual=Side("2", 1)),
        "stray": Twin(actual=Side("3", 1)),
    }
    made.last = {"t": Last(21.5, 0.0), "local": Last(1.0, 0.0)}
    return made


def test_a_status_as_kubeedge_writes_it_and_ours_beside() -> None:
    body = reports.status(entry(), "edge-1", Ledger(5, 4, 3, 2, 1, {"budget": 1}))
    assert body["twins"][0] == {
        "propertyName": "t",
        "reported": {"value": "21.5", "metadata": {"timestamp": "1", "type": "float"}},
        "observedDesired": {
            "value": "99",
            "metadata": {
                "timestamp": "2",
                "type": "float",
                "state": "Rejected",
                "origin": "cloud",
                "reason": "too hot",
            },
        },
    }
    assert [twin["propertyName"] for twin in body["twins"]] == ["t", "app"], "what our drivers read unasked stays here"
    assert body["ledger"]["because"] == {"budget": 1}
    assert body["ledger"]["missedDeadlines"] == 3
    assert body["conditions"][0]["reason"] == "Connected"
    assert "lastOnlineTime" not in body


def test_counting_and_being_seen_are_no_news_but_a_loss_is() -> None:
    one = entry()
    first = reports.status(one, "edge-1", Ledger(5))
    one.last_online, one.missed = "2026-01-31T12:00:00Z", 4
    later = reports.status(one, "edge-1", Ledger(50, 50, 50, 50))
    assert later["lastOnlineTime"] == one.last_online
    assert reports.essence(first) == reports.essence(later)
    assert reports.essence(later) != reports.essence(reports.status(one, "edge-1", Ledger(dropped=1)))
