"""Events about objects, as the server's own components report them."""

from localkube import clock
from localkube.handlers.api import Api
from localkube.lifecycle.writes import create_if_absent
from localkube.storage.store import Entry
from localkube.values import Json


class Recorder:
    """Writes events in the name of one component."""

    def __init__(self, api: Api, component: str) -> None:
        self._api, self._component = api, component

    async def record(self, kind: str, about: Entry, level: str, reason: str, message: str, *, action: str) -> None:
        now = clock.now()
        involved: Json = {"kind": kind, "apiVersion": "v1", "name": about.name, "uid": about.uid}
        involved["resourceVersion"] = str(about.rev)
        if about.namespace:
            involved["namespace"] = about.namespace
        event: Json = {
            "metadata": {"name": f"{about.name}.{int(now * 1e9):x}", "namespace": about.namespace or "default"},
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "source": {},
            "firstTimestamp": None,
            "lastTimestamp": None,
            "type": level,
            "eventTime": clock.micro_timestamp(now),
            "action": action,
            "reportingComponent": self._component,
            "reportingInstance": self._component,
        }
        await create_if_absent(self._api, self._api.registry.core("events"), event)
