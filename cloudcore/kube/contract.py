"""What callers of the Kubernetes API hold: items, pages, watch events, and the client they get.

The client in `client` and the fake of the tests satisfy `KubeClient`, checked by one conformance body.
"""

import dataclasses
import enum
from collections.abc import AsyncGenerator
from typing import Protocol

import msgspec

from cloudcore.kube.kinds import Resource


class Metadata(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What everybody needs to know of an object without parsing it."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None


class Item(msgspec.Struct, frozen=True, gc=False):
    """One object: a narrow view, and all of it as JSON bytes (apiVersion and kind always included)."""

    metadata: Metadata
    raw: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """A chunk of a list. All pages of one list show the same *resource_version*."""

    items: list[Item]
    resource_version: str
    last: bool


class Change(enum.StrEnum):
    """What happened to an item."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclasses.dataclass(frozen=True, slots=True)
class Changed:
    """One watch event. For DELETED the item is the object's last state."""

    change: Change
    item: Item


@dataclasses.dataclass(frozen=True, slots=True)
class Bookmark:
    """Everything up to *resource_version* has been sent."""

    resource_version: str


class Patch(enum.StrEnum):
    """How a patch body is to be read: its media type."""

    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    JSON = "application/json-patch+json"


@dataclasses.dataclass(frozen=True, slots=True)
class Selector:
    """Which objects of a resource type; empty strings select everything."""

    namespace: str = ""
    labels: str = ""
    fields: str = ""


EVERYTHING = Selector()


class KubeClient(Protocol):
    """The Kubernetes API. Every call may raise `Retryable`, `Unauthorized` and `Forbidden`; bodies are JSON bytes."""

    async def get(self, resource: Resource, namespace: str, name: str) -> bytes:
        """The object. Raises NotFound."""

    def list(self, resource: Resource, select: Selector = EVERYTHING, *, chunk: int = 500) -> AsyncGenerator[Page]:
        """All objects, at most *chunk* at a time. Raises Gone if the consumer is too slow: start over."""

    def watch(
        self, resource: Resource, select: Selector = EVERYTHING, *, since: str, seconds: int
    ) -> AsyncGenerator[Changed | Bookmark]:
        """Changes after resourceVersion *since*. Ends after about *seconds*; raises Gone if *since* is too old."""

    async def create(self, resource: Resource, namespace: str, body: bytes) -> bytes:
        """The object as created. Raises AlreadyExists, Invalid, NotFound (no such namespace)."""

    async def patch(
        self, resource: Resource, namespace: str, name: str, body: bytes, how: Patch, *, subresource: str = ""
    ) -> bytes:
        """The object as patched. A uid or resourceVersion in the body is a precondition: Conflict."""

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str = "",
        resource_version: str = "",
        grace: int | None = None,
    ) -> None:
        """Delete if the preconditions hold (Conflict). *grace* in seconds, 0 is at once, None the object's own."""

    async def request_token(self, namespace: str, account: str, body: bytes) -> bytes:
        """Answer of the API server to a TokenRequest for service account *account*."""
