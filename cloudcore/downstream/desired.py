"""Pure: what each node should have, kept in memory, and the difference to what it has.

Objects form a graph: a pod is bound to a node and needs objects, which may need others. An object is placed wherever
something that needs it is. Only placed objects are kept; what nobody needs is not remembered.
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

    def holds(self, node: NodeName, key: ObjectKey) -> bool:
        """Whether *key* is placed on *node*."""
        return node in self._nodes.get(key, NOWHERE)

    def needs(self, key: ObjectKey) -> frozenset[ObjectKey]:
        """What *key* needs directly."""
        return self._needs.get(key, frozenset())

    def missing(self) -> list[ObjectKey]:
        """Needed somewhere, but not known: must be fetched."""
        return list(self._missing)

    def users(self, key: ObjectKey, node: NodeName) -> list[ObjectKey]:
        """The pods on *node* that need *key*, directly or through others."""
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

    def __len__(self) -> int:
        return len(self._objects)

    # --- changing

    def put(self, obj: DesiredObject, needs: frozenset[ObjectKey], node: NodeName | None = None) -> list[Move]:
        """*obj* exists in this form, is bound to *node* (pods) and needs *needs*."""
        key, before = obj.key, self._objects.get(obj.key)
        self._objects[key] = obj
        self._missing.discard(key)
        if node:
            self._bound[key] = node
        moves: list[Move] = []
        dirty = self._rewire(key, needs) | {key}
        self._settle(dirty, moves)
        if before != obj:
            fresh = {move.node for move in moves if isinstance(move, Want) and move.object.key == key}
            moves += [Want(place, obj) for place in self._nodes.get(key, NOWHERE) - fresh]
        self._tidy(key)
        return _ordered(moves)

    def drop(self, key: ObjectKey) -> list[Move]:
        """The object is gone from the API. Nodes that need it keep needing it."""
        obj = self._objects.pop(key, None)
        places = self._nodes.get(key, NOWHERE)
        moves: list[Move] = [Forget(node, key, obj.uid) for node in places] if obj else []
        self._bound.pop(key, None)
        self._settle(self._rewire(key, frozenset()) | {key}, moves, silent=key)
        if key in self._nodes:
            self._missing.add(key)
        return _ordered(moves)

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

    def _settle(self, dirty: Iterable[ObjectKey], moves: list[Move], silent: ObjectKey | None = None) -> None:
        """Recompute placement from *dirty* outwards until nothing changes. Needs never form a cycle."""
        todo = list(dirty)
        while todo:
            key = todo.pop()
            before, after = self._nodes.get(key, NOWHERE), self._places(key)
            if before == after:
                continue
            self._place(key, before, after)
            obj = self._objects.get(key)
            if obj and key != silent:
                moves += [Want(node, obj) for node in after - before]
                moves += [Forget(node, key, obj.uid) for node in before - after]
            todo += self._needs.get(key, ())
            self._tidy(key)

    def _place(self, key: ObjectKey, before: frozenset[NodeName], after: frozenset[NodeName]) -> None:
        for node in before - after:
            self._on[node].discard(key)
            if not self._on[node]:
                del self._on[node]
        for node in after - before:
            self._on[node].add(key)
        if after:
            self._nodes[key] = after
            if key not in self._objects:
                self._missing.add(key)
        else:
            del self._nodes[key]
            self._missing.discard(key)

    def _tidy(self, key: ObjectKey) -> None:
        """Keep nothing that nobody needs."""
        if key in self._objects and key not in self._nodes and key not in self._bound:
            del self._objects[key]
            self._settle(self._rewire(key, frozenset()), [])


def _ordered(moves: list[Move]) -> list[Move]:
    wants = sorted((m for m in moves if isinstance(m, Want)), key=lambda m: rank(m.object.key))
    gone = sorted((m for m in moves if isinstance(m, Forget)), key=lambda m: -rank(m.key))
    return [*wants, *gone]
