"""Keeps managedFields up to date on every write, and applies configurations (server-side apply)."""

import dataclasses

from localkube import clock
from localkube.builtin.events import as_new_event
from localkube.errors import ApiError, Cause, bad_request
from localkube.ownership.compare import Difference, difference, merged, named, pruned
from localkube.ownership.paths import NO_PATHS, Path, PathSet, from_fields, to_fields
from localkube.ownership.shapes import shape_of
from localkube.resources import Resource
from localkube.values import Json

_UPDATE, _APPLY = "Update", "Apply"
_UNTRACKED: frozenset[Path] = frozenset(
    {("f:apiVersion",), ("f:kind",), ("f:metadata",)}
    | {
        ("f:metadata", f"f:{name}")
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "generation",
            "managedFields",
            "resourceVersion",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        )
    }
)


@dataclasses.dataclass(frozen=True, slots=True)
class Manager:
    """Who, how and through which door."""

    name: str
    operation: str
    version: str
    subresource: str


@dataclasses.dataclass(slots=True)
class Owned:
    paths: PathSet
    time: str


Managers = dict[Manager, Owned]


def track_update(resource: Resource, old: Json | None, new: Json, manager: str, subresource: str, now: float) -> None:
    """Record in *new*, in place, which fields this create or update set; *old* is None when it is new."""
    before = old or {"metadata": {}}
    managers = _read(before)
    changes = _changes(resource, before, new)
    me = Manager(manager, _UPDATE, resource.api_version, subresource)
    _take(managers, me, changes)
    mine = managers.get(me)
    had = mine.paths if mine is not None else NO_PATHS
    now_mine = (had | changes.added | changes.modified) - changes.removed
    if not now_mine:
        managers.pop(me, None)
    elif mine is None or now_mine != had:
        managers[me] = Owned(now_mine, clock.timestamp(now))
    _write(new, managers)


def track_apply(
    resource: Resource, old: Json | None, applied: Json, manager: str, subresource: str, *, force: bool, now: float
) -> Json:
    """*old* with *applied* merged in, what it named before and names no more taken out, and the owners recorded.

    ApiError 409 when a field belongs to somebody else with another value and *force* is not given.
    """
    meta = applied.get("metadata") or {}
    if meta.get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    live = old or {"metadata": {}}
    shape, managers = shape_of(resource), _read(live)
    me = Manager(manager, _APPLY, resource.api_version, subresource)
    wanted = frozenset(path for path in named(applied, shape) if _tracked(path))
    result: Json = merged(live, applied, shape)
    others = frozenset().union(*(owned.paths for who, owned in managers.items() if who != me), NO_PATHS)
    before = managers.get(me)
    if before is not None and (left := before.paths - wanted - others):
        result = pruned(result, left, shape)
    changes = _changes(resource, live, result)
    if not force:
        _check_conflicts(resource, managers, me, changes)
    _take(managers, me, changes)
    if before is None or before.paths != wanted:
        managers[me] = Owned(wanted, clock.timestamp(now))
    result["metadata"] = dict(result.get("metadata") or {})
    _write(result, managers)
    return result


def _tracked(path: Path) -> bool:
    return path not in _UNTRACKED


def _changes(resource: Resource, old: Json, new: Json) -> Difference:
    if resource.key == "events" and resource.group:
        old, new = as_new_event(old), as_new_event(new)
    found = difference(old, new, shape_of(resource))
    return Difference(
        frozenset(filter(_tracked, found.added)),
        frozenset(filter(_tracked, found.modified)),
        frozenset(filter(_tracked, found.removed)),
    )


def _take(managers: Managers, me: Manager, changes: Difference) -> None:
    """Everybody else loses what was changed or removed."""
    lost = changes.added | changes.modified | changes.removed
    for who in list(managers):
        owned = managers[who]
        if who == me or not owned.paths & lost:
            continue
        left = owned.paths - lost
        if left:
            managers[who] = Owned(left, owned.time)
        else:
            del managers[who]


def _check_conflicts(resource: Resource, managers: Managers, me: Manager, changes: Difference) -> None:
    disputed = changes.added | changes.modified
    conflicts = [(who, path) for who, owned in managers.items() if who != me for path in sorted(owned.paths & disputed)]
    if not conflicts:
        return
    causes = []
    for who, path in conflicts:
        using = f" using {who.version}" if who.operation == _UPDATE else ""
        with_door = f" with subresource {who.subresource!r}" if who.subresource else ""
        causes.append(Cause("FieldManagerConflict", f'conflict with "{who.name}"{with_door}{using}', _dotted(path)))
    count = "1 conflict" if len(causes) == 1 else f"{len(causes)} conflicts"
    who_text = causes[0].message.removeprefix("conflict ")
    fields = causes[0].field if len(causes) == 1 else "\n- " + "\n- ".join(cause.field for cause in causes)
    text = f"Apply failed with {count}: " + (
        f"conflict {who_text}: {fields}" if len(causes) == 1 else f"conflicts {who_text}:{fields}"
    )
    raise ApiError(409, "Conflict", text, {"causes": [cause.body() for cause in causes]})


def _dotted(path: Path) -> str:
    """A path the way people read it: ``.spec.containers[name="c"].image``."""
    text = ""
    for element in path:
        kind, _, rest = element.partition(":")
        if kind == "f":
            text += f".{rest}"
        elif kind == "k":
            inner = rest.strip("{}").replace('":', "=").replace('"', "", 1).replace(',"', ",")
            text += f"[{inner}]"
        else:
            text += f"[={rest}]"
    return text


def _read(obj: Json) -> Managers:
    """The managers recorded in *obj*; entries that cannot be read are dropped."""
    managers: Managers = {}
    for entry in (obj.get("metadata") or {}).get("managedFields") or []:
        if entry.get("fieldsType") != "FieldsV1" or not isinstance(entry.get("fieldsV1"), dict):
            continue
        version, door = entry.get("apiVersion", ""), entry.get("subresource", "")
        who = Manager(entry.get("manager", ""), entry.get("operation", ""), version, door)
        managers[who] = Owned(from_fields(entry["fieldsV1"]), entry.get("time", ""))
    return managers


def _write(obj: Json, managers: Managers) -> None:
    def order(pair: tuple[Manager, Owned]) -> tuple[str, ...]:
        who, owned = pair
        return (who.operation, owned.time, who.name, who.version, who.subresource)

    entries = []
    for who, owned in sorted(managers.items(), key=order):
        entry: Json = {
            "manager": who.name,
            "operation": who.operation,
            "apiVersion": who.version,
            "time": owned.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": to_fields(owned.paths),
        }
        if who.subresource:
            entry["subresource"] = who.subresource
        entries.append(entry)
    if entries:
        obj["metadata"]["managedFields"] = entries
    else:
        obj["metadata"].pop("managedFields", None)
