"""Which pod has which host port. The runtime accepts two pods on one port, so the node has to check."""

from collections.abc import Iterator

from edgecore.pods.spec import PodSpec

_Claim = tuple[str, int, str]
_ANY = ("", "0.0.0.0", "::")


class HostPorts:
    """Claims by pod uid."""

    def __init__(self) -> None:
        self._claims: dict[str, frozenset[_Claim]] = {}

    def holder(self, pod: PodSpec) -> str | None:
        """The uid of another pod that has a port which *pod* wants."""
        wanted = frozenset(_claims(pod))
        for uid, claims in self._claims.items():
            if uid != pod.uid and any(_clash(one, other) for one in wanted for other in claims):
                return uid
        return None

    def claim(self, pod: PodSpec) -> None:
        """*pod* has its ports from now on."""
        if claims := frozenset(_claims(pod)):
            self._claims[pod.uid] = claims

    def release(self, uid: str) -> None:
        """The pod has none any more; may be repeated."""
        self._claims.pop(uid, None)


def _claims(pod: PodSpec) -> Iterator[_Claim]:
    for view in pod.containers:
        for port in view.ports:
            number = port.host_port or (port.container_port if pod.host_network else 0)
            if number:
                yield port.protocol, number, port.host_ip


def _clash(one: _Claim, other: _Claim) -> bool:
    return one[:2] == other[:2] and (one[2] == other[2] or one[2] in _ANY or other[2] in _ANY)
