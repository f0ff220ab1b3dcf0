"""The few objects enrolment keeps in its namespace: read, create if absent, change under a precondition."""

import base64
import json
from collections.abc import Mapping
from typing import Final

import msgspec

from cloudcore.kube.contract import KubeClient, Patch
from cloudcore.kube.errors import AlreadyExists, NotFound
from cloudcore.kube.kinds import NAMESPACES, SECRETS

LABELS: Final = {"app.kubernetes.io/part-of": "marram"}


class _Meta(msgspec.Struct, rename="camel"):
    name: str
    resource_version: str = ""


class Kept(msgspec.Struct):
    """A Secret as read: *data* decoded by `values`."""

    metadata: _Meta
    data: dict[str, str] | None = None

    @property
    def name(self) -> str:
        return self.metadata.name

    def values(self) -> dict[str, bytes]:
        """Decoded data. Raises ValueError if somebody wrote nonsense."""
        return {key: base64.b64decode(value, validate=True) for key, value in (self.data or {}).items()}


_decoder: Final = msgspec.json.Decoder(Kept)


class SecretShelf:
    """Secrets of one namespace."""

    def __init__(self, kube: KubeClient, namespace: str) -> None:
        self._kube, self._namespace = kube, namespace

    async def read(self, name: str) -> Kept | None:
        """The Secret, or None."""
        try:
            return _decoder.decode(await self._kube.get(SECRETS, self._namespace, name))
        except NotFound:
            return None

    async def create(
        self, name: str, values: Mapping[str, bytes], *, kind: str = "Opaque", labels: Mapping[str, str] = LABELS
    ) -> Kept:
        """The Secret as created. Raises AlreadyExists. Makes the namespace if it is not there yet."""
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "labels": dict(labels)},
            "type": kind,
            "data": _encoded(values),
        }
        raw = json.dumps(body).encode()
        try:
            return _decoder.decode(await self._kube.create(SECRETS, self._namespace, raw))
        except NotFound:
            await ensure_namespace(self._kube, self._namespace)
            return _decoder.decode(await self._kube.create(SECRETS, self._namespace, raw))

    async def change(self, kept: Kept, values: Mapping[str, bytes]) -> Kept:
        """Set *values* if the Secret is still as *kept*. Raises Conflict, NotFound."""
        body = {"metadata": {"resourceVersion": kept.metadata.resource_version}, "data": _encoded(values)}
        raw = json.dumps(body).encode()
        return _decoder.decode(await self._kube.patch(SECRETS, self._namespace, kept.name, raw, Patch.MERGE))


async def ensure_namespace(kube: KubeClient, name: str) -> None:
    """Create the namespace unless it is there. A cluster set up by ``cloudcore manifests`` has it already."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": LABELS}}
    try:
        await kube.create(NAMESPACES, "", json.dumps(body).encode())
    except AlreadyExists:
        return


def _encoded(values: Mapping[str, bytes]) -> dict[str, str]:
    return {key: base64.b64encode(value).decode() for key, value in values.items()}
