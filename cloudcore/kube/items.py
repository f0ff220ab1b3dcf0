"""JSON of the API server → items. The only decoding the client does, and each object is looked at once."""

from typing import Final

import msgspec

from cloudcore.kube.contract import Bookmark, Change, Changed, Item, Metadata, Page
from cloudcore.kube.errors import KubeError, ServerFailed, failure
from cloudcore.kube.kinds import Resource


class _Head(msgspec.Struct, rename="camel"):
    metadata: Metadata = Metadata()
    kind: str = ""


class _ListMeta(msgspec.Struct, rename={"resource_version": "resourceVersion", "next": "continue"}):
    resource_version: str = ""
    next: str = ""


class _List(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


_head: Final = msgspec.json.Decoder(_Head)
_list: Final = msgspec.json.Decoder(_List)
_event: Final = msgspec.json.Decoder(_Event)
_CHANGES: Final = {change.value: change for change in Change}


def decode_item(raw: bytes | msgspec.Raw, resource: Resource) -> Item:
    """One object. Lists leave out what all their items share, so kind and apiVersion are put back where missing."""
    body = bytes(raw)
    try:
        head = _head.decode(body)
    except msgspec.DecodeError as cause:
        raise ServerFailed(f"cannot read a {resource.kind} from the API server: {cause}") from cause
    if not head.kind:
        rest = body[1:].lstrip()
        comma = b"" if rest == b"}" else b","
        body = (
            b'{"kind":"%b","apiVersion":"%b"' % (resource.kind.encode(), resource.api_version.encode()) + comma + rest
        )
    return Item(head.metadata, body)


def decode_list(body: bytes, resource: Resource) -> tuple[Page, str]:
    """A page, and the token for the next one ("" after the last)."""
    try:
        found = _list.decode(body)
    except msgspec.DecodeError as cause:
        raise ServerFailed(f"cannot read the list of {resource.plural}: {cause}") from cause
    items = [decode_item(raw, resource) for raw in found.items or ()]
    return Page(items, found.metadata.resource_version, not found.metadata.next), found.metadata.next


def decode_event(line: bytes, resource: Resource) -> Changed | Bookmark:
    """One watch event. An ERROR event raises what it says: Gone, Throttled, ..."""
    try:
        event = _event.decode(line)
    except msgspec.DecodeError as cause:
        raise ServerFailed(f"cannot read an event of the watch on {resource.plural}: {cause}") from cause
    if change := _CHANGES.get(event.type):
        return Changed(change, decode_item(event.object, resource))
    if event.type == "BOOKMARK":
        return Bookmark(decode_item(event.object, resource).metadata.resource_version)
    raise watch_error(bytes(event.object), resource)


def watch_error(status: bytes, resource: Resource) -> KubeError:
    """What an ERROR event means."""
    return failure(f"watch {resource.plural}", 500, status)
