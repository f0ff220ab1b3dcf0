"""Which fields differ between two versions of an object, which an object names, and how one merges into another."""

import dataclasses

from localkube.ownership.paths import NO_PATHS, Path, PathSet, item_element, member_element
from localkube.ownership.shapes import ATOMIC, KEYED, OBJECT, SCALAR, SET, Shape
from localkube.values import Json, Value

_ABSENT = object()


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """Paths by what happened to them."""

    added: PathSet = NO_PATHS
    modified: PathSet = NO_PATHS
    removed: PathSet = NO_PATHS


def difference(old: Json, new: Json, shape: Shape) -> Difference:
    walk = _Compare()
    walk.object(old, new, shape, ())
    return Difference(frozenset(walk.added), frozenset(walk.modified), frozenset(walk.removed))


class _Compare:
    def __init__(self) -> None:
        self.added: set[Path] = set()
        self.modified: set[Path] = set()
        self.removed: set[Path] = set()

    def value(self, old: Value, new: Value, shape: Shape, at: Path) -> None:
        if old is new or (type(old) is type(new) and old == new):
            return
        present = new if new is not _ABSENT and new is not None else old
        relation = _relation(shape, present)
        if relation in (SCALAR, ATOMIC) or (not _content(old) and not _content(new)):
            self.leaf(old, new, at)
            return
        if relation == OBJECT:
            both = old is not _ABSENT and new is not _ABSENT
            self.object(_content(old) or {}, _content(new) or {}, shape, at, implied=both)
        else:
            self.items(_content(old) or [], _content(new) or [], shape, at)
        if old is _ABSENT:
            self.added.add(at)
        elif new is _ABSENT:
            self.removed.add(at)

    def leaf(self, old: Value, new: Value, at: Path) -> None:
        if old is _ABSENT:
            self.added.add(at)
        elif new is _ABSENT:
            self.removed.add(at)
        elif old != new:
            self.modified.add(at)

    def object(self, old: Json, new: Json, shape: Shape, at: Path, *, implied: bool = True) -> None:
        for name in old.keys() | new.keys():
            before, after = old.get(name, _ABSENT), new.get(name, _ABSENT)
            if implied and _unset(before) and _unset(after):
                continue  # an empty Go field that is written out
            if implied and shape.always(name):
                before = _empty_like(after) if before is _ABSENT else before
                after = _empty_like(before) if after is _ABSENT else after
            self.value(before, after, shape.field(name), (*at, f"f:{name}"))

    def items(self, old: list[Value], new: list[Value], shape: Shape, at: Path) -> None:
        before, after = _elements(old, shape), _elements(new, shape)
        for element in before.keys() | after.keys():
            below = (*at, element)
            one, other = before.get(element, _ABSENT), after.get(element, _ABSENT)
            self.value(one, other, shape.item, below)


def _unset(value: Value) -> bool:
    return value is _ABSENT or value is None or value == ""


def _empty_like(value: Value) -> Value:
    return {} if isinstance(value, dict) else None


def _content(value: Value) -> Value:
    return None if value is _ABSENT else value


def _relation(shape: Shape, value: Value) -> str:
    """The declared relation, as far as the value's form allows it."""
    relation = shape.relation
    if isinstance(value, dict):
        return relation if relation in (OBJECT, ATOMIC) else ATOMIC
    if isinstance(value, list):
        return relation if relation in (KEYED, SET) else ATOMIC
    return SCALAR


def _elements(items: list[Value], shape: Shape) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for item in items:
        element = item_element(item, shape.keys) if shape.relation == KEYED else member_element(item)
        if element is not None:
            found[element] = item
    return found


def named(obj: Json, shape: Shape) -> PathSet:
    """The paths an applied configuration names."""
    found: set[Path] = set()
    _named_object(obj, shape, (), found)
    return frozenset(found)


def _named_object(obj: Json, shape: Shape, at: Path, found: set[Path]) -> None:
    for name, value in obj.items():
        below = (*at, f"f:{name}")
        _named(value, shape.field(name), below, found)
        if value is None or value == {} or not shape.declares(name):
            found.add(below)


def _named(value: Value, shape: Shape, at: Path, found: set[Path]) -> None:
    match _relation(shape, value):
        case "object":
            _named_object(value, shape, at, found)
        case "keyed" | "set":
            for element, item in _elements(value, shape).items():
                _named(item, shape.item, (*at, element), found)
                found.add((*at, element))
            if not value:
                found.add(at)
        case _:
            found.add(at)


def merged(live: Value, applied: Value, shape: Shape) -> Value:
    """*live* with everything *applied* names put over it."""
    relation = _relation(shape, applied)
    if relation == OBJECT and isinstance(live, dict):
        result = dict(live)
        for name, value in applied.items():
            result[name] = merged(live[name], value, shape.field(name)) if name in live else value
        return result
    if relation in (KEYED, SET) and isinstance(live, list):
        before, after = _elements(live, shape), _elements(applied, shape)
        arranged = [merged(item, after[e], shape.item) if e in after else item for e, item in before.items()]
        return arranged + [item for element, item in after.items() if element not in before]
    return applied


def pruned(value: Value, gone: PathSet, shape: Shape, at: Path = ()) -> Value:
    """*value* without the paths in *gone*; a place whose last content goes this way stays, empty."""
    relation = _relation(shape, value)
    if relation == OBJECT:
        result = {}
        for name, item in value.items():
            below = (*at, f"f:{name}")
            if below not in gone or _holds_others(item, gone, shape.field(name), below):
                result[name] = pruned(item, gone, shape.field(name), below)
        return result
    if relation in (KEYED, SET):
        return [
            pruned(item, gone, shape.item, (*at, element))
            for element, item in _elements(value, shape).items()
            if (*at, element) not in gone or _holds_others(item, gone, shape.item, (*at, element))
        ]
    return value


def _holds_others(value: Value, gone: PathSet, shape: Shape, at: Path) -> bool:
    """Is anything below *at* not in *gone*?"""
    found: set[Path] = set()
    _named(value, shape, at, found)
    return bool(found - gone - {at})
