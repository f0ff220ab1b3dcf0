"""Pure: what each node should have, kept in memory, and the difference to what it has.

Objects form a graph: a pod or a device is bound to a node and needs objects, which may need others. An object is
placed wherever something that needs it is. Only placed objects are kept; what nobody needs is not remembered.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping

from edgelink.objects import DesiredObject, Identity, NodeName, ObjectKey, Uid, digest, rank

NOWHERE: frozenset[NodeName] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class Want:
    """*node* shall have this object."""

    node: NodeName
    object: DesiredObject


@dataclasses.dataclass(frozen=True, slots=True)
class Forget:
    """*node* shall no longer have this object."""

    node: NodeName
    key: ObjectKey
    uid: Uid


Move = Want | Forget
_Before = dict[ObjectKey, tuple[DesiredObject | None, frozenset[NodeName]]]
"""What was known of the objects that a change touches, and where they were."""


class Desired:
    """The index. Every change returns the moves it causes, dependencies first, removals last."""

    def __init__(self) -> None:
        self._objects: dict[ObjectKey, DesiredObject] = {}
        self._bound: dict[ObjectKey, NodeName] = {}
        self._needs: dict[ObjectKey, frozenset[ObjectKey]] = {}
        self._needed_by: defaultdict[ObjectKey, set[ObjectKey]] = defaultdict(set)
        self._nodes: dict[ObjectKey, frozenset[NodeName]] = {}
        self._on: defaultdict[NodeName, set[ObjectKey]] = defaultdict(set)
        self._missing: set[ObjectKey] = set()

    # --- looking

    def is_placed(self, key: ObjectKey) -> bool:
        """Whether any node needs *key*, known or not."""
        return key in self._nodes

    def get(self, key: ObjectKey) -> DesiredObject | None:
        return self._objects.get(key)

    def on(self, node: NodeName) -> Mapping[ObjectKey, DesiredObject]:
        """Everything *node* should have."""
        return {key: self._objects[key] for key in self._on.get(node, ()) if key in self._objects}

    def current(self, move: Move) -> bool:
        """Whether *move* still leads to what its node should have; if not, a later move does."""
        if isinstance(move, Want):
            return self.holds(move.node, move.object.key) and _same(self._objects.get(move.object.key), move.object)
        known = self._objects.get(move.key) if self.holds(move.node, move.key) else None
        return known is None or known.uid != move.uid

    def holds(self, node: NodeName, key: ObjectKey) -> bool:
        """Whether *key* is placed on *node*."""
        return node in self._nodes.get(key, NOWHERE)

    def needs(self, key: ObjectKey) -> frozenset[ObjectKey]:
        """What *key* needs directly."""
        return self._needs.get(key, frozenset())

    def needed_by(self, key: ObjectKey) -> frozenset[ObjectKey]:
        """What needs *key* directly, on any node."""
        return frozenset(self._needed_by.get(key, ()))

    def bound_to(self, key: ObjectKey) -> NodeName | None:
        """The node that pod or device *key* is bound to."""
        return self._bound.get(key)

    def missing(self) -> list[ObjectKey]:
        """Needed somewhere, but not known: must be fetched."""
        return list(self._missing)

    def users(self, key: ObjectKey, node: NodeName) -> list[ObjectKey]:
        """The pods and devices on *node* that need *key*, directly or through others."""
        direct = self._needed_by.get(key, set())
        found = {user for user in direct if self._bound.get(user) == node}
        return sorted(found.union(*(self.users(user, node) for user in direct - found)))

    def keys(self, kind: str) -> list[ObjectKey]:
        """All known objects of *kind*."""
        return [key for key in self._objects if key.kind == kind]

    def digest(self, node: NodeName) -> bytes:
        """Of what *node* should have; equal to the node's own when it has exactly that."""
        return digest((key, Identity(obj.uid, obj.version)) for key, obj in self.on(node).items())

    def diff(self, node: NodeName, have: Mapping[ObjectKey, Identity]) -> list[Move]:
        """What brings a node that has *have* to what it should have."""
        wanted = self.on(node)
        moves: list[Move] = [
            Want(node, obj) for key, obj in wanted.items() if have.get(key) != Identity(obj.uid, obj.version)
        ]
        moves += [Forget(node, key, identity.uid) for key, identity in have.items() if key not in wanted]
        return _ordered(moves)

    def bound(self, kind: str) -> int:
        """How many objects of *kind* are bound to a node."""
        return sum(key.kind == kind for key in self._bound)

    def __len__(self) -> int:
        return len(self._objects)

    # --- changing

    def put(self, obj: DesiredObject, needs: frozenset[ObjectKey], node: NodeName | None = None) -> list[Move]:
        """*obj* exists in this form, is bound to *node* (pods and devices, if they are) and needs *needs*."""
        key = obj.key
        before = _Before()
        self._remember(key, before)
        self._objects[key] = obj
        self._missing.discard(key)
        if node:
            self._bound[key] = node
        else:
            self._bound.pop(key, None)
        self._settle(self._rewire(key, needs) | {key}, before)
        self._tidy(key, before)
        return self._moves(before)

    def drop(self, key: ObjectKey) -> list[Move]:
        """The object is gone from the API. Nodes that need it keep needing it."""
        before = _Before()
        self._remember(key, before)
        self._objects.pop(key, None)
        self._bound.pop(key, None)
        self._settle(self._rewire(key, frozenset()) | {key}, before)
        if key in self._nodes:
            self._missing.add(key)
        return self._moves(before)

    # --- inside

    def _rewire(self, key: ObjectKey, needs: frozenset[ObjectKey]) -> set[ObjectKey]:
        before = self._needs.get(key, frozenset())
        if needs:
            self._needs[key] = needs
        else:
            self._needs.pop(key, None)
        for lost in before - needs:
            self._needed_by[lost].discard(key)
            if not self._needed_by[lost]:
                del self._needed_by[lost]
        for found in needs - before:
            self._needed_by[found].add(key)
        return set(before ^ needs)

    def _places(self, key: ObjectKey) -> frozenset[NodeName]:
        if key in self._bound:
            return frozenset({self._bound[key]})
        holders = self._needed_by.get(key, ())
        return frozenset().union(*(self._nodes.get(holder, NOWHERE) for holder in holders))

    def _settle(self, dirty: Iterable[ObjectKey], before: _Before) -> None:
        """Recompute placement from *dirty* outwards until nothing changes. Needs never form a cycle."""
        todo = list(dirty)
        while todo:
            key = todo.pop()
            was, now = self._nodes.get(key, NOWHERE), self._places(key)
            if was == now:
                continue
            self._remember(key, before)
            self._place(key, was, now)
            todo += self._needs.get(key, ())
            self._tidy(key, before)

    def _place(self, key: ObjectKey, was: frozenset[NodeName], now: frozenset[NodeName]) -> None:
        for node in was - now:
            self._on[node].discard(key)
            if not self._on[node]:
                del self._on[node]
        for node in now - was:
            self._on[node].add(key)
        if now:
            self._nodes[key] = now
            if key not in self._objects:
                self._missing.add(key)
        else:
            del self._nodes[key]
            self._missing.discard(key)

    def _tidy(self, key: ObjectKey, before: _Before) -> None:
        """Keep nothing that nobody needs."""
        if key in self._objects and key not in self._nodes and key not in self._bound:
            del self._objects[key]
            self._settle(self._rewire(key, frozenset()), before)

    def _remember(self, key: ObjectKey, before: _Before) -> None:
        before.setdefault(key, (self._objects.get(key), self._nodes.get(key, NOWHERE)))

    def _moves(self, before: _Before) -> list[Move]:
        """From what nodes had to what they should have now. Detours on the way leave no trace."""
        moves: list[Move] = []
        for key, (old, places) in before.items():
            new = self._objects.get(key)
            had, has = places if old else NOWHERE, self._nodes.get(key, NOWHERE) if new else NOWHERE
            if new:
                moves += [Want(node, new) for node in has if node not in had or not _same(old, new)]
            if old:
                moves += [Forget(node, key, old.uid) for node in had - has]
        return _ordered(moves)


def _same(one: DesiredObject | None, other: DesiredObject) -> bool:
    """Whether an edge sees no difference: bodies also hold the API's resourceVersion, which every status changes."""
    return one is not None and (one.uid, one.version) == (other.uid, other.version)


def _ordered(moves: list[Move]) -> list[Move]:
    wants = sorted((m for m in moves if isinstance(m, Want)), key=lambda m: rank(m.object.key))
    gone = sorted((m for m in moves if isinstance(m, Forget)), key=lambda m: -rank(m.key))
    return [*wants, *gone]
