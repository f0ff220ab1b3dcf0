"""A Kubernetes API in memory: `KubeClient` for tests, with failures on demand.

    kube = FakeKube()
    kube.fail("patch", "pods", Throttled("slow down", 0.1))   # the next such call raises
    kube.forget_history()                                     # every older resourceVersion is Gone
    kube.cut_watches()                                        # running watches raise Unreachable
    kube.permits = lambda verb, resource, namespace: ...      # RBAC; all else is Forbidden

Passes the same conformance body as the real client (tests/conformance/test_kube_client.py).
"""

import asyncio
import bisect
import collections
import copy
import dataclasses
import datetime
import json
import uuid
from collections.abc import AsyncGenerator, Callable

from cloudcore.kube.contract import EVERYTHING, Bookmark, Change, Changed, Item, Page, Patch, Selector
from cloudcore.kube.errors import AlreadyExists, Conflict, Forbidden, Gone, Invalid, KubeError, NotFound, Unreachable
from cloudcore.kube.items import decode_item
from cloudcore.kube.kinds import NAMESPACES, PODS, SERVICE_ACCOUNTS, Resource
from tests.fakes.kube_patch import Object, merge, strategic

Place = tuple[str, str, str]
"""plural, namespace, name"""

_WITH_STATUS = {"pods", "nodes", "namespaces", "persistentvolumes", "persistentvolumeclaims"}


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    version: int
    resource: Resource
    before: Object | None
    after: Object | None


class FakeKube:
    """Objects, and the log of everything that happened to them."""

    def __init__(self) -> None:
        self.objects: dict[Place, Object] = {}
        self.calls: collections.Counter[tuple[str, str]] = collections.Counter()
        self.permits: Callable[[str, str, str], bool] = lambda verb, resource, namespace: True
        self._version = 1
        self._log: list[_Entry] = []
        self._oldest = 1
        self._failures: dict[tuple[str, str], list[KubeError]] = collections.defaultdict(list)
        self._moved = asyncio.Event()
        self._cuts = 0
        for name in ("default", "kube-system", "kube-node-lease"):
            self.put(NAMESPACES, "", {"metadata": {"name": name}})

    # What tests do behind the client's back.

    def fail(self, verb: str, plural: str, *errors: KubeError) -> None:
        """The next calls of that verb and resource raise *errors*, one each."""
        self._failures[verb, plural].extend(errors)

    def forget_history(self) -> None:
        """No watch can start at a version from before now; running ones end with Gone."""
        self._version += 1
        self._log.clear()
        self._oldest = self._version
        self._wake()

    def cut_watches(self) -> None:
        """Running watches lose their connection."""
        self._cuts += 1
        self._wake()

    def put(self, resource: Resource, namespace: str, body: Object) -> Object:
        """Create or replace, without any check."""
        body = copy.deepcopy(body)
        place = (resource.plural, namespace, body["metadata"]["name"])
        before = self.objects.get(place)
        if before is None:
            body["metadata"].setdefault("uid", str(uuid.uuid4()))
            body["metadata"].setdefault("creationTimestamp", _now())
        if resource.namespaced:
            body["metadata"]["namespace"] = namespace
        return self._store(resource, place, {"kind": resource.kind, "apiVersion": resource.api_version, **body})

    def body(self, resource: Resource, namespace: str, name: str) -> Object:
        """The object as it is now. Raises KeyError."""
        return self.objects[resource.plural, namespace, name]

    # The client.

    async def get(self, resource: Resource, namespace: str, name: str) -> bytes:
        self._called("get", resource, namespace)
        return _json(self._found("get", resource, namespace, name))

    async def list(
        self, resource: Resource, select: Selector = EVERYTHING, *, chunk: int = 500
    ) -> AsyncGenerator[Page]:
        self._called("list", resource, select.namespace)
        version = self._version
        places = sorted(place for place in self.objects if place[0] == resource.plural)
        found = [self.objects[place] for place in places if _matches(self.objects[place], select)]
        for start in range(0, max(1, len(found)), chunk):
            if start:
                self._called("list", resource, select.namespace)
                if version < self._oldest:
                    raise Gone(f"cannot list {resource.plural}: the continue token is too old")
            items = [_item(body, resource) for body in found[start : start + chunk]]
            yield Page(items, str(version), start + chunk >= len(found))
            await asyncio.sleep(0)

    async def watch(
        self, resource: Resource, select: Selector = EVERYTHING, *, since: str, seconds: int
    ) -> AsyncGenerator[Changed | Bookmark]:
        self._called("watch", resource, select.namespace)
        seen, cuts = int(since), self._cuts
        end = asyncio.get_running_loop().time() + seconds
        while True:
            moved = self._moved
            if self._cuts != cuts:
                raise Unreachable(f"cannot watch {resource.plural}: connection cut")
            if seen < self._oldest:
                raise Gone(f"cannot watch {resource.plural}: version {seen} is too old")
            for entry in self._log[bisect.bisect_right(self._log, seen, key=lambda entry: entry.version) :]:
                seen = entry.version
                if entry.resource == resource and (event := _event(entry, select)):
                    yield event
            try:
                async with asyncio.timeout_at(end):
                    await moved.wait()
            except TimeoutError:
                yield Bookmark(str(self._version))
                return

    async def create(self, resource: Resource, namespace: str, body: bytes) -> bytes:
        self._called("create", resource, namespace)
        wanted = json.loads(body)
        meta = wanted.setdefault("metadata", {})
        if not meta.get("name"):
            if not meta.get("generateName"):
                raise Invalid(f"cannot create {resource.plural}: name or generateName is required")
            meta["name"] = f"{meta['generateName']}{uuid.uuid4().hex[:5]}"
        doing = f"create {resource.path(namespace, meta['name'])}"
        if resource.namespaced and ("namespaces", "", namespace) not in self.objects:
            raise NotFound(f"cannot {doing}: namespaces {namespace!r} not found")
        if (resource.plural, namespace, meta["name"]) in self.objects:
            raise AlreadyExists(f"cannot {doing}: it already exists")
        return _json(self.put(resource, namespace, wanted))

    async def patch(
        self, resource: Resource, namespace: str, name: str, body: bytes, how: Patch, *, subresource: str = ""
    ) -> bytes:
        self._called("patch", resource, namespace, subresource)
        before = self._found("patch", resource, namespace, name)
        wanted = json.loads(body)
        doing = f"patch {resource.path(namespace, name, subresource)}"
        if how is Patch.JSON:
            raise Invalid(f"cannot {doing}: the fake knows no JSON patch")
        given = wanted.get("metadata") or {}
        self._check(doing, before, str(given.get("uid") or ""), str(given.get("resourceVersion") or ""))
        after = (merge if how is Patch.MERGE else strategic)(before, wanted)
        if subresource == "status":
            # As the API server has it: labels and annotations may come along with a status.
            after = {**before, "metadata": after["metadata"], "status": after.get("status")}
        elif resource.plural in _WITH_STATUS:
            after = {key: value for key, value in after.items() if key != "status"}
            after |= {"status": before["status"]} if "status" in before else {}
        after["metadata"]["name"] = name
        if after == before:
            return _json(before)
        return _json(self._store(resource, (resource.plural, namespace, name), copy.deepcopy(after)))

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
        self._called("delete", resource, namespace)
        before = self._found("delete", resource, namespace, name)
        self._check(f"delete {resource.path(namespace, name)}", before, uid, resource_version)
        spec = before.get("spec") or {}
        if resource == PODS and spec.get("nodeName") and grace != 0:
            seconds = spec.get("terminationGracePeriodSeconds", 30) if grace is None else grace
            marked = {"deletionTimestamp": _now(), "deletionGracePeriodSeconds": seconds}
            if "deletionTimestamp" not in before["metadata"]:
                self._store(resource, ("pods", namespace, name), merge(before, {"metadata": marked}))
            return
        self._store(resource, (resource.plural, namespace, name), None)

    async def request_token(self, namespace: str, account: str, body: bytes) -> bytes:
        self._called("create", SERVICE_ACCOUNTS, namespace, "token")
        if ("serviceaccounts", namespace, account) not in self.objects:
            raise NotFound(f"cannot create token of service account {namespace}/{account}: not found")
        asked = json.loads(body)
        seconds = (asked.get("spec") or {}).get("expirationSeconds") or 3600
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
        answer = {"token": f"fake.{uuid.uuid4().hex}", "expirationTimestamp": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
        return _json({**asked, "status": answer})

    def _called(self, verb: str, resource: Resource, namespace: str, subresource: str = "") -> None:
        self.calls[verb, resource.plural] += 1
        what = f"{resource.plural}/{subresource}" if subresource else resource.plural
        if not self.permits(verb, what, namespace):
            raise Forbidden(f"cannot {verb} {what} in namespace {namespace!r}: not permitted")
        if failures := self._failures[verb, resource.plural]:
            raise failures.pop(0)

    def _found(self, verb: str, resource: Resource, namespace: str, name: str) -> Object:
        path = resource.path(namespace, name)
        if (found := self.objects.get((resource.plural, namespace, name))) is None:
            raise NotFound(f"cannot {verb} {path}: {resource.plural} {name!r} not found")
        return found

    def _check(self, doing: str, have: Object, uid: str, version: str) -> None:
        meta = have["metadata"]
        if (uid and uid != meta["uid"]) or (version and version != meta["resourceVersion"]):
            raise Conflict(f"cannot {doing}: the precondition does not hold")

    def _store(self, resource: Resource, place: Place, after: Object | None) -> Object:
        self._version += 1
        before = self.objects.pop(place, None)
        final = copy.deepcopy(after if after is not None else before or {})
        final["metadata"]["resourceVersion"] = str(self._version)
        if after is None:
            self._log.append(_Entry(self._version, resource, final, None))
        else:
            self.objects[place] = final
            self._log.append(_Entry(self._version, resource, before, final))
        self._wake()
        return final

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()


def _event(entry: _Entry, select: Selector) -> Changed | None:
    was = entry.before is not None and _matches(entry.before, select)
    now = entry.after is not None and _matches(entry.after, select)
    if now and entry.after is not None:
        return Changed(Change.MODIFIED if was else Change.ADDED, _item(entry.after, entry.resource))
    if was and entry.before is not None:
        last = merge(entry.before, {"metadata": {"resourceVersion": str(entry.version)}})
        return Changed(Change.DELETED, _item(last, entry.resource))
    return None


def _matches(body: Object, select: Selector) -> bool:
    meta = body["metadata"]
    if select.namespace and meta.get("namespace") != select.namespace:
        return False
    labels = {key: str(value) for key, value in (meta.get("labels") or {}).items()}
    return all(_holds(term, labels.get) for term in _terms(select.labels)) and all(
        _holds(term, lambda path: _at(body, path) or "") for term in _terms(select.fields)
    )


def _terms(selector: str) -> list[str]:
    return [term.strip() for term in selector.split(",") if term.strip()]


def _holds(term: str, value: Callable[[str], str | None]) -> bool:
    if "!=" in term:
        key, wanted = term.split("!=", 1)
        return value(key) != wanted
    if "=" in term:
        key, wanted = term.replace("==", "=").split("=", 1)
        return value(key) == wanted
    return (value(term[1:]) is None) if term.startswith("!") else (value(term) is not None)


def _at(body: Object, path: str) -> str | None:
    found: object = body
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return None if found is None else str(found)


def _item(body: Object, resource: Resource) -> Item:
    return decode_item(_json(body), resource)


def _json(body: Object) -> bytes:
    return json.dumps(body).encode()


def _now() -> str:
    return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
