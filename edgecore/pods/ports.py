"""Which pod has which host port. The runtime accepts two pods on one port, so the node has to check."""

import dataclasses
from collections.abc import Iterator

from edgecore.pods.spec import PodSpec
from edgelink.objects import ObjectKey

_Port = tuple[str, int, str]
_ANY = ("", "0.0.0.0", "::")


@dataclasses.dataclass(frozen=True, slots=True)
class Holder:
    """A pod that has host ports; *leaving*: it is ending."""

    key: ObjectKey
    uid: str
    ports: frozenset[_Port]
    leaving: bool = False


class HostPorts:
    """Claims by pod uid."""

    def __init__(self) -> None:
        self._holders: dict[str, Holder] = {}

    def holder(self, pod: PodSpec) -> Holder | None:
        """Another pod that has a port which *pod* wants."""
        wanted = frozenset(_ports(pod))
        for holder in self._holders.values():
            if holder.uid != pod.uid and any(_clash(one, other) for one in wanted for other in holder.ports):
                return holder
        return None

    def claim(self, pod: PodSpec) -> None:
        """*pod* has its ports from now on."""
        if ports := frozenset(_ports(pod)):
            self._holders[pod.uid] = Holder(pod.key, pod.uid, ports)

    def leave(self, uid: str) -> None:
        """The pod is ending: whoever wants its ports may wait for them."""
        if uid in self._holders:
            self._holders[uid] = dataclasses.replace(self._holders[uid], leaving=True)

    def release(self, uid: str) -> None:
        """The pod has none any more; may be repeated."""
        self._holders.pop(uid, None)


def _ports(pod: PodSpec) -> Iterator[_Port]:
    for view in pod.containers:
        for port in view.ports:
            number = port.host_port or (port.container_port if pod.host_network else 0)
            if number:
                yield port.protocol, number, port.host_ip


def _clash(one: _Port, other: _Port) -> bool:
    return one[:2] == other[:2] and (one[2] == other[2] or one[2] in _ANY or other[2] in _ANY)
