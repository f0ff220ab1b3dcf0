"""What the API server refuses in a reported status, lest an edge learns it from a real cluster first."""

import pytest

from localkube.admission import basics, pod_validation
from localkube.values import Json, Value
from tests.unit.localkube.served import node
from tests.unit.localkube.test_pods import filled


def reported(status: Json, before: Json | None = None, **spec: Value) -> dict[str, str]:
    """Complaints about *status* after *before*, by field."""
    old, new = filled(**spec), filled(**spec)
    old["status"] |= before or {}
    new["status"] |= status
    return {cause.field: cause.message for cause in pod_validation.check(new, old)}


def ips(*addresses: str) -> list[Value]:
    return [{"ip": address} for address in addresses]


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"podIP": "10.0.0.7", "podIPs": ips("10.0.0.7", "fd00::7")},
        {"hostIP": "192.0.2.1", "hostIPs": ips("192.0.2.1")},
        {"conditions": [{"type": "marram.io/Delivered", "status": "False", "observedGeneration": 1}]},
    ],
)
def test_a_sound_status(status: Json) -> None:
    assert reported(status) == {}


@pytest.mark.parametrize(
    ("status", "field", "words"),
    [
        ({"podIPs": ips("")}, "status.podIPs[0]", "valid IP"),
        ({"podIPs": ips("fe80::1%eth0")}, "status.podIPs[0]", "valid IP"),
        ({"podIPs": ips("10.0.0.7", "10.0.0.8")}, "status.podIPs", "one IP for each IP family"),
        ({"hostIP": "192.0.2.1", "hostIPs": ips("192.0.2.2")}, "status.hostIPs[0].ip", "must be equal to `hostIP`"),
        ({"hostIP": "", "hostIPs": ips("")}, "status.hostIPs[0]", "valid IP"),
        ({"conditions": [{"type": "not so"}]}, "metadata.conditions[0].Type", "name part must consist"),
    ],
)
def test_what_is_refused_whole(status: Json, field: str, words: str) -> None:
    assert words in reported(status)[field]


def test_an_address_that_was_taken_once_stays() -> None:
    odd: Json = {"podIPs": ips("010.0.0.7")}
    assert "status.podIPs[0]" in reported(odd)
    assert reported(odd, odd) == {}


def state(**found: Value) -> list[Value]:
    return [{"name": "c", "state": found}]


@pytest.mark.parametrize(
    ("policy", "code", "refused"),
    [("Always", 0, False), ("OnFailure", 1, False), ("OnFailure", 0, True), ("Never", 1, True)],
)
@pytest.mark.parametrize("field", ["containerStatuses", "initContainerStatuses"])
def test_what_ended_for_good_does_not_run_again(field: str, policy: str, code: int, refused: bool) -> None:
    spec: Json = {"restartPolicy": policy, "initContainers": [{"name": "c", "image": "a:1"}]}
    spec["containers"] = [{"name": "c" if field == "containerStatuses" else "d", "image": "a:1"}]
    if field == "containerStatuses":
        del spec["initContainers"]
    before: Json = {field: state(terminated={"exitCode": code})}
    found = reported({field: state(running={})}, before, **spec)
    assert (f"status.{field}[0].state" in found) is refused
    assert reported({field: state(terminated={"exitCode": 3})}, before, **spec) == {}


def test_addresses_of_a_node_are_said_once() -> None:
    one = node("n") | {"spec": {}}
    one["status"]["addresses"] = [{"type": "InternalIP", "address": "192.0.2.1"}] * 2
    [cause] = basics.check_node(one, one)
    assert cause.field == "status.addresses[1]"


def test_nobody_holds_a_lease_without_a_name() -> None:
    [cause] = basics.check_lease({"spec": {"holderIdentity": ""}}, None)
    assert cause.field == "spec.holderIdentity"
