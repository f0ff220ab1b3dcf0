"""What every handler works with: the store, the registry, the signer. Wiring, no behaviour of its own."""

import dataclasses

import msgspec

from localkube.errors import not_found
from localkube.resources import Registry, Resource
from localkube.storage.store import Entry, Store
from localkube.tokens import TokenSigner
from localkube.values import Value


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


NO_SNIFF = (("X-Content-Type-Options", "nosniff"),)


@dataclasses.dataclass(frozen=True, slots=True)
class Api:
    """Handed to every handler."""

    store: Store
    registry: Registry
    signer: TokenSigner
    node_timeout: float = 40.0
    """Seconds after which a node whose Lease is not renewed counts as unknown."""

    def existing(self, resource: Resource, namespace: str, name: str) -> Entry:
        """The newest version, committed or not, or ApiError 404."""
        entry = self.store.latest(resource.key, namespace, name)
        if entry is None:
            raise not_found(resource.plural, resource.group, name)
        return entry


def json_reply(body: Value, status: int = 200) -> Reply:
    return Reply(status, msgspec.json.encode(body))
