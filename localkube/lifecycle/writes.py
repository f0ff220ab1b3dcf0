"""Writes of the server itself: objects it creates and changes like any client, but without a request."""

import uuid

from localkube import clock
from localkube.admission import rules
from localkube.handlers.api import Api
from localkube.resources import Resource
from localkube.values import Json


async def create_if_absent(api: Api, resource: Resource, obj: Json) -> None:
    """Store *obj* as new unless one of its name is there."""
    meta = obj["metadata"]
    if api.store.latest(resource.key, meta.get("namespace", ""), meta["name"]) is not None:
        return
    meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": clock.timestamp(clock.now())}
    if rules.has_generation(resource):
        meta["generation"] = 1
    await api.store.write(resource.key, obj)
