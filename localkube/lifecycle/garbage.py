"""Owner references: an object whose owners are all gone goes too; foreground and orphan deletion."""

import msgspec

from localkube.handlers.api import Api
from localkube.handlers.deleting import Options, remove
from localkube.resources import Resource
from localkube.storage.store import Entry, Event

_FINALIZERS = ("foregroundDeletion", "orphan")


class _Owner(msgspec.Struct):
    uid: str = ""
    blockOwnerDeletion: bool = False


class _Meta(msgspec.Struct):
    ownerReferences: list[_Owner] = []
    finalizers: list[str] = []
    deletionTimestamp: str = ""


class _View(msgspec.Struct):
    metadata: _Meta


_view = msgspec.json.Decoder(_View).decode
_Place = tuple[str, str, str]
"""(storage key, namespace, name)"""


class Collector:
    """Follows every change: knows who owns whom, and acts when an owner goes or waits for its dependents."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._living: set[str] = set()
        self._owners: dict[_Place, tuple[str, ...]] = {}
        self._dependents: dict[str, set[_Place]] = {}
        self._suspects: set[_Place] = set()
        self._waiting: set[_Place] = set()

    def load(self) -> None:
        """Learn what is there, then follow."""
        store = self._api.store
        for key in store.resources():
            for entry in store.entries(key):
                self._living.add(entry.uid)
                self._learn(key, entry)
        store.tap(self._follow)

    def _follow(self, key: str, event: Event) -> None:
        entry = event.entry
        place = (key, entry.namespace, entry.name)
        if event.gone:
            self._living.discard(entry.uid)
            self._suspects |= self._dependents.get(entry.uid, set())
            self._forget(place)
            self._waiting.discard(place)
        else:
            self._living.add(entry.uid)
            self._learn(key, entry)

    def _learn(self, key: str, entry: Entry) -> None:
        place = (key, entry.namespace, entry.name)
        self._forget(place)
        if b'"ownerReferences"' not in entry.body and b'"deletionTimestamp"' not in entry.body:
            return
        meta = _view(entry.body).metadata
        if meta.ownerReferences:
            uids = tuple(owner.uid for owner in meta.ownerReferences)
            self._owners[place] = uids
            for uid in uids:
                self._dependents.setdefault(uid, set()).add(place)
            if not any(uid in self._living for uid in uids):
                self._suspects.add(place)
        if meta.deletionTimestamp and any(name in meta.finalizers for name in _FINALIZERS):
            self._waiting.add(place)

    def _forget(self, place: _Place) -> None:
        for uid in self._owners.pop(place, ()):
            places = self._dependents.get(uid, set())
            places.discard(place)
            if not places:
                self._dependents.pop(uid, None)

    async def collect(self) -> None:
        """One round over what has become suspect or waits."""
        suspects, self._suspects = self._suspects, set()
        for place in suspects:
            owners = self._owners.get(place)
            if owners and not any(uid in self._living for uid in owners):
                await self._remove_at(place)
        for place in list(self._waiting):
            entry = self._api.store.get(*place)
            resource = self._resource(place[0])
            if entry is None or resource is None:
                self._waiting.discard(place)
            else:
                await self._finish(resource, entry, _view(entry.body).metadata)

    def _resource(self, key: str) -> Resource | None:
        return next((resource for resource in self._api.registry.stored() if resource.key == key), None)

    async def _remove_at(self, place: _Place) -> None:
        entry, resource = self._api.store.get(*place), self._resource(place[0])
        if entry is not None and resource is not None:
            await self._remove(resource, entry)

    async def _finish(self, resource: Resource, entry: Entry, meta: _Meta) -> None:
        """An owner that is being deleted in the foreground, or whose dependents are to stay."""
        children = []
        for place in list(self._dependents.get(entry.uid, ())):
            child, child_resource = self._api.store.get(*place), self._resource(place[0])
            if child is not None and child_resource is not None:
                children.append((child_resource, child))
        if "orphan" in meta.finalizers:
            for child_resource, child in children:
                await self._disown(child_resource, child, entry.uid)
            await self._drop_finalizer(resource, entry, "orphan")
            return
        blocking = False
        for child_resource, child in children:
            references = _view(child.body).metadata.ownerReferences
            blocking = blocking or any(ref.uid == entry.uid and ref.blockOwnerDeletion for ref in references)
            await self._remove(child_resource, child)
        if not blocking:
            await self._drop_finalizer(resource, entry, "foregroundDeletion")

    async def _remove(self, resource: Resource, entry: Entry) -> None:
        newest = self._api.store.latest(resource.key, entry.namespace, entry.name)
        if newest is not None and newest.uid == entry.uid and b'"deletionTimestamp"' not in newest.body:
            await remove(self._api, resource, newest, Options(policy="Background"))

    async def _disown(self, resource: Resource, entry: Entry, owner: str) -> None:
        newest = self._api.store.latest(resource.key, entry.namespace, entry.name)
        if newest is None or newest.uid != entry.uid:
            return
        obj = newest.decoded()
        kept = [ref for ref in obj["metadata"].get("ownerReferences") or [] if ref.get("uid") != owner]
        if kept:
            obj["metadata"]["ownerReferences"] = kept
        else:
            obj["metadata"].pop("ownerReferences", None)
        await self._api.store.write(resource.key, obj)

    async def _drop_finalizer(self, resource: Resource, entry: Entry, name: str) -> None:
        newest = self._api.store.latest(resource.key, entry.namespace, entry.name)
        if newest is None or newest.uid != entry.uid:
            return
        obj = newest.decoded()
        left = [finalizer for finalizer in obj["metadata"].get("finalizers") or [] if finalizer != name]
        obj["metadata"]["finalizers"] = left
        if not left:
            del obj["metadata"]["finalizers"]
        gone = not left and not obj["metadata"].get("deletionGracePeriodSeconds")
        await self._api.store.write(resource.key, obj, gone=gone)
