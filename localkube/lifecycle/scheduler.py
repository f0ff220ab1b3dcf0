"""Binds pods that name no node to the first node that fits."""

import msgspec

from localkube import clock
from localkube.errors import ApiError
from localkube.handlers.api import Api
from localkube.handlers.subresources import bind_pod, set_condition
from localkube.lifecycle.placing import Load, Room, explain, load_of, refusal, room_of
from localkube.lifecycle.recorder import Recorder
from localkube.storage.store import Entry, Event
from localkube.values import Json

NAME = "default-scheduler"
RETRY = 1.0
_FINISHED = ("Succeeded", "Failed")


class _Spec(msgspec.Struct):
    nodeName: str = ""


class _Status(msgspec.Struct):
    phase: str = ""


class _Pod(msgspec.Struct):
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


_pod = msgspec.json.Decoder(_Pod).decode


class Scheduler:
    """Follows pods; each round places those that wait. Only then does it look at the nodes."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._recorder = Recorder(api, NAME)
        self._waiting: dict[tuple[str, str], None] = {}
        self._placed: dict[str, dict[tuple[str, str], Load]] = {}
        self._fresh = False
        self._next_retry = 0.0
        self._where: dict[tuple[str, str], str] = {}

    def load(self) -> None:
        for entry in self._api.store.entries("pods"):
            self._learn(entry, gone=False)
        self._api.store.tap(self._follow)

    def _follow(self, resource: str, event: Event) -> None:
        if resource == "pods":
            self._learn(event.entry, gone=event.gone)

    def _learn(self, entry: Entry, *, gone: bool) -> None:
        key = (entry.namespace, entry.name)
        pod = _pod(entry.body)
        self._waiting.pop(key, None)
        node = self._where.pop(key, None)
        if node is not None:
            self._placed[node].pop(key, None)
        if gone or pod.status.phase in _FINISHED:
            return
        if pod.spec.nodeName:
            self._where[key] = pod.spec.nodeName
            self._placed.setdefault(pod.spec.nodeName, {})[key] = load_of(entry.decoded())
        else:
            self._waiting[key] = None
            self._fresh = True

    async def run_once(self) -> None:
        """Place every waiting pod that fits somewhere; tell about the others.

        A new pod is looked at at once, one that found no place again after RETRY seconds: nodes change all the time.
        """
        now = clock.now()
        if not self._waiting or not (self._fresh or now >= self._next_retry):
            return
        self._fresh, self._next_retry = False, now + RETRY
        rooms = self._rooms()
        for namespace, name in list(self._waiting):
            entry = self._api.store.latest("pods", namespace, name)
            if entry is not None:
                await self._place(entry, rooms)

    def _rooms(self) -> list[Room]:
        rooms = []
        for node in self._api.store.entries("nodes"):
            room = room_of(node.decoded())
            for load in self._placed.get(node.name, {}).values():
                room.take(load)
            rooms.append(room)
        return rooms

    async def _place(self, entry: Entry, rooms: list[Room]) -> None:
        pod = entry.decoded()
        spec, meta = pod["spec"], pod["metadata"]
        if spec.get("nodeName") or spec.get("schedulerName") != NAME or meta.get("deletionTimestamp"):
            return
        if spec.get("schedulingGates"):
            return
        refusals = []
        for room in rooms:
            why = refusal(pod, room)
            if why is None:
                await self._bind(entry, pod, room)
                return
            refusals.append(why)
        await self._report(entry, pod, explain(refusals))

    async def _bind(self, entry: Entry, pod: Json, room: Room) -> None:
        try:
            await bind_pod(self._api, entry, room.name)
        except ApiError:
            return
        room.take(load_of(pod))
        message = f"Successfully assigned {entry.namespace}/{entry.name} to {room.name}"
        await self._recorder.record("Pod", entry, "Normal", "Scheduled", message, action="Binding")

    async def _report(self, entry: Entry, pod: Json, message: str) -> None:
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        if not set_condition(pod, condition):
            return
        await self._api.store.write("pods", pod)
        await self._recorder.record("Pod", entry, "Warning", "FailedScheduling", message, action="Scheduling")
