"""What decides without waiting: what to tell a mapper, what its reports change, how much it may send."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from device_models.twin import End, Origin, Side, Twin, Wish
from edgecore.devices.contract import Change
from edgecore.devices.dmi import plan, requests
from edgecore.devices.dmi.holdings import Held, Mapper
from edgecore.devices.dmi.limits import TokenBucket
from edgecore.devices.dmi.memory import Memory
from edgecore.devices.dmi.pb import dmi_pb2 as pb
from edgecore.devices.dmi.plan import Call, Share, Step
from edgecore.devices.dmi.requests import Told
from edgecore.devices.dmi.seats import Seat, Seats
from tests.fakes.clock import FakeClock

NONE = Share({}, {})


def told(name: str = "t", actual: str | None = None, desired: str | None = None, desired_at: int | None = None) -> Told:
    return Told(name, actual, None, "", desired, desired_at)


def changed(report: Told, twin: Twin | None = None, known: tuple[str, ...] = ()) -> Change | None:
    return requests.changes([report], {"t": twin} if twin else {}, {"t": known}).get("t")


# --- calls


def test_removals_come_first_and_models_before_devices() -> None:
    models = Share({"m": "1", "n": "2"}, {"n": Held("1"), "old": Held("1")})
    devices = Share({"a": "1", "b": "2", "c": "3"}, {"b": Held("1"), "c": Held("3"), "gone": Held("1")})
    assert plan.steps(models, devices) == [
        Step(Call.REMOVE_DEVICE, "gone"),
        Step(Call.CREATE_MODEL, "m"),
        Step(Call.UPDATE_MODEL, "n"),
        Step(Call.REGISTER_DEVICE, "a"),
        Step(Call.UPDATE_DEVICE, "b"),
        Step(Call.REMOVE_MODEL, "old"),
    ]


def test_what_is_there_is_left_alone_unless_asked() -> None:
    devices = Share({"a": "1"}, {"a": Held("1")})
    assert plan.steps(NONE, devices) == []
    assert plan.steps(NONE, devices, asked=["a"]) == [Step(Call.UPDATE_DEVICE, "a")]


def test_what_may_not_be_there_is_never_removed() -> None:
    assert plan.steps(NONE, Share({}, {"a": Held("1", sure=False)})) == []
    assert plan.steps(NONE, Share({}, {"a": Held("1")}, keep=["a"])) == []
    assert plan.steps(NONE, Share({"a": "1"}, {"a": Held("1", sure=False)})) == [Step(Call.REGISTER_DEVICE, "a")]


DIGESTS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("123"), max_size=4)


@given(wanted=DIGESTS, held=DIGESTS)
def test_carrying_out_the_plan_leaves_nothing_to_do(wanted: dict[str, str], held: dict[str, str]) -> None:
    has = {name: Held(digest) for name, digest in held.items()}
    for step in plan.steps(NONE, Share(wanted, has)):
        if step.call is Call.REMOVE_DEVICE:
            del has[step.id]
        else:
            has[step.id] = Held(wanted[step.id])
    assert plan.steps(NONE, Share(wanted, has)) == []
    assert has.keys() == wanted.keys()


# --- reports


def test_a_report_keeps_its_type_and_time() -> None:
    metadata = {"type": "FLOAT", "timestamp": "1786010400000"}
    twins = [
        pb.Twin(propertyName="t", reported=pb.TwinProperty(value="63.5", metadata=metadata)),
        pb.Twin(propertyName="u", reported=pb.TwinProperty(value="1", metadata={"type": "odd", "timestamp": "soon"})),
    ]
    request = pb.ReportDeviceStatusRequest(deviceName="d", reportedDevice=pb.DeviceStatus(twins=twins))
    found = requests.changes(requests.told(request), {}, {})
    assert found["t"] == Change(actual="63.5", at=1786010400000, type="float")
    assert found["u"] == Change(actual="1", at=None, type="")


def test_an_echo_never_overwrites_a_wish() -> None:
    wished = Twin(expected=Side("22", 100), wish=Wish(End.PENDING, origin=Origin.CLOUD))
    for report in (
        told(desired="20"),
        told(desired="20", desired_at=99),
        told(desired="22", desired_at=500),
        told(desired="", desired_at=500),
    ):
        assert changed(report, wished) is None
    assert changed(told(desired="20", desired_at=500), wished, known=("21", "20")) is None
    assert changed(told(desired="20", desired_at=500)) == Change(expected="20")
    assert changed(told(desired="20", desired_at=500), known=("20",)) is None


def test_a_newer_value_of_the_mappers_own_is_taken() -> None:
    wished = Twin(expected=Side("22", 100))
    assert changed(told(desired="30", desired_at=101), wished, known=("22",)) == Change(expected="30")


def test_of_a_property_that_comes_twice_the_last_counts() -> None:
    found = requests.changes([told(actual="1", desired="9"), told(actual="2")], {}, {})
    assert found == {"t": Change(actual="2", expected="9")}


def test_a_report_that_says_when_is_known_again() -> None:
    def identity(value: str, **metadata: str) -> str:
        reported = pb.TwinProperty(value=value, metadata=metadata)
        twin = pb.Twin(propertyName="t", reported=reported)
        request = pb.ReportDeviceStatusRequest(deviceName="d", reportedDevice=pb.DeviceStatus(twins=[twin]))
        return requests.identity(request, requests.told(request))

    assert identity("1", timestamp="1786010400000", type="int") == identity("1", type="int", timestamp="1786010400000")
    different = {identity("1", timestamp=at) for at in ("1786010400000", "1786010400001")}
    assert len(different | {identity("2", timestamp="1786010400000")}) == 3
    assert identity("1") == identity("1", timestamp="soon") == ""


def test_the_bucket_lets_through_its_rate() -> None:
    bucket = TokenBucket(rate=10, burst=3, now=0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(0.05)
    assert bucket.take(0.11)
    assert sum(bucket.take(now / 1000) for now in range(110, 10_110)) in range(98, 105)
    assert [bucket.take(99.0) for _ in range(4)] == [True, True, True, False]


# --- memory


def test_everything_is_known_after_a_restart(tmp_path: Path) -> None:
    before = _seats(tmp_path)
    seat = Seat(Mapper("p", "name", "v1", "/run/\udcff.sock"), 1.0)
    seat.models, seat.devices = {"a/m": Held("1")}, {"a/d": Held("2"), "a/e": Held("", sure=False)}
    seat.tell("a/d", {"t": "1"}, 0.0)
    seat.tell("a/d", {"t": "2"}, 0.0)
    seat.tell("a/d", {"t": "3"}, 0.0)
    before.put(seat)
    after = _seats(tmp_path)
    after.load()
    found = after.seat("p")
    assert found is not None
    assert (found.mapper, found.models, found.devices) == (seat.mapper, seat.models, seat.devices)
    assert found.told == {"a/d": {"t": ["3", "2"]}}
    assert found.just_told("a/d", "t", 0.0) == ""


def test_a_newer_registration_replaces_the_address(tmp_path: Path) -> None:
    seats = _seats(tmp_path)
    for name in ("/old.sock", "/new.sock"):
        seats.put(Seat(Mapper("p", "n", "", name), 0.0))
    after = _seats(tmp_path)
    after.load()
    assert [seat.mapper.address for seat in after.all()] == ["/new.sock"]


def test_a_memory_that_cannot_be_read_counts_as_none(tmp_path: Path) -> None:
    for content in ("", "{", "[1]", '{"a":1}', '[{"protocol":"p"}]', "null", '[{"protocol":"p","name":"n"}]'):
        (tmp_path / "mappers.json").write_text(content)
        seats = _seats(tmp_path)
        seats.load()
        assert seats.all() == []


def test_a_memory_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    seats = Seats(Memory(tmp_path / "file" / "mappers.json"), FakeClock())
    seats.put(Seat(Mapper("p", "n", "", "/x"), 0.0))
    assert seats.protocols() == {"p"}


def test_a_value_that_went_along_counts_once_and_not_for_long(tmp_path: Path) -> None:
    seat = Seat(Mapper("p", "n", "", "/x"), 0.0)
    seat.tell("a/d", {"t": "1"}, 100.0)
    assert [seat.just_told("a/d", "t", 101.0) for _ in range(2)] == ["1", ""]
    seat.tell("a/d", {"t": "1"}, 100.0)
    assert seat.just_told("a/d", "t", 111.0) == ""
    seat.tell("a/d", {"t": "1"}, 100.0)
    seat.forget("a/d")
    assert seat.just_told("a/d", "t", 100.0) == ""


def _seats(directory: Path) -> Seats:
    return Seats(Memory(directory / "mappers.json"), FakeClock())
