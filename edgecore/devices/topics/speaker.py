"""What goes out: answers, documents, deltas. Retain is always false, as with KubeEdge and a broker of its own.

A retained delta would be a command that is carried out again by whoever subscribes late; current deltas are sent anew
after each connection instead, and ``twin/get`` tells the rest.
"""

import uuid
from collections.abc import Mapping
from typing import Final

from device_models import payloads
from device_models.twin import End, Twin
from edgecore.bus.contract import Bus
from edgecore.devices.contract import Changed, Membership, Standing
from edgecore.devices.topics.names import of_device, of_node
from edgelink.aio.clock import Clock

_DOCUMENT: Final = "twin/update/document"
_DELTA: Final = "twin/update/delta"


class Speaker:
    """Publishes. Every method raises BrokerGone."""

    def __init__(self, bus: Bus, node: str, clock: Clock) -> None:
        self._bus, self._node, self._clock = bus, node, clock
        self._short: dict[str, str] = {}
        self._deltas: dict[str, dict[str, str]] = {}

    def mirror(self, device: str, name: str) -> None:
        """*device* was called by its *name* alone: from now on what is said of it is said there too."""
        self._short[device] = name

    def forget(self, device: str) -> None:
        self._short.pop(device, None)
        self._deltas.pop(device, None)

    async def answer(self, device: str, suffix: str, event_id: str, twins: Mapping[str, Twin | None]) -> None:
        """A result with twins."""
        await self._say(device, suffix, payloads.result(event_id, self._now(), twins))

    async def refuse(self, device: str, suffix: str, refused: payloads.BadRequest) -> None:
        """A result with code and reason; *device* may be unknown, or a name alone."""
        body = payloads.error(refused.event_id, self._now(), refused.code, str(refused))
        await self._say(device, suffix, body)

    async def state(self, suffix: str, event_id: str, standing: Standing) -> None:
        device = standing.device
        body = payloads.state(event_id or _fresh(), self._now(), device, standing.state, standing.last_online)
        await self._say(device.id, suffix, body)

    async def document(self, change: Changed, event_id: str = "") -> None:
        """What changed; an *event_id* if a request was the cause."""
        body = payloads.document(event_id or _fresh(), self._now(), change.before, change.after)
        await self._say(change.device, _DOCUMENT, body)

    async def delta(self, device: str, twins: Mapping[str, Twin], *, again: bool) -> None:
        """What *device* does not have yet; only with *again* if that was said before."""
        differing = {name: twin.expected.value for name, twin in twins.items() if twin.expected and _outstanding(twin)}
        if differing == self._deltas.get(device, {}) and not again:
            return
        self._deltas[device] = differing
        if differing:
            await self._say(device, _DELTA, payloads.delta(_fresh(), self._now(), twins, differing))

    async def members(self, suffix: str, event_id: str, standings: list[Standing]) -> None:
        listed = [(s.device, s.state, s.last_online) for s in standings]
        await self._bus.publish(of_node(self._node, suffix), payloads.members(event_id, self._now(), listed))

    async def refuse_members(self, suffix: str, refused: payloads.BadRequest) -> None:
        body = payloads.error(refused.event_id, self._now(), refused.code, str(refused))
        await self._bus.publish(of_node(self._node, suffix), body)

    async def membership(self, news: Membership) -> None:
        body = payloads.membership(_fresh(), self._now(), news.added, news.removed)
        await self._bus.publish(of_node(self._node, "membership/updated"), body)

    async def _say(self, device: str, suffix: str, body: bytes) -> None:
        await self._bus.publish(of_device(device, suffix), body)
        if name := self._short.get(device):
            await self._bus.publish(of_device(name, suffix), body)

    def _now(self) -> int:
        return int(self._clock.utc().timestamp() * 1000)


def _fresh() -> str:
    return str(uuid.uuid4())


def _outstanding(twin: Twin) -> bool:
    """Whether to ask the device for it: never for a wish that is over without having come true."""
    return twin.differs and twin.wish.end not in (End.EXPIRED, End.REJECTED)
