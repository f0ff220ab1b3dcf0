"""The index against a model: whatever happens, moves carried out one by one equal what each node should have."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.downstream.desired import Desired, Forget, Move, Want
from edgelink.objects import DesiredObject, Identity, Kind, NodeName, ObjectKey, Uid, Version, digest, rank

NODES = (NodeName("n1"), NodeName("n2"))
PODS = tuple(ObjectKey(Kind.POD, "plant", name) for name in "abc")
CLAIMS = tuple(ObjectKey(Kind.CLAIM, "plant", name) for name in "xy")
VOLUMES = tuple(ObjectKey(Kind.VOLUME, "", name) for name in "vw")
CONFIG_MAPS = tuple(ObjectKey(Kind.CONFIG_MAP, "plant", name) for name in "st")
DEVICES = tuple(ObjectKey(Kind.DEVICE, "plant", name) for name in "de")
MODELS = tuple(ObjectKey(Kind.DEVICE_MODEL, "plant", name) for name in "mn")
EVERYTHING = (*PODS, *CLAIMS, *VOLUMES, *CONFIG_MAPS, *DEVICES, *MODELS)


def obj(key: ObjectKey, uid: str = "u1", version: str = "1") -> DesiredObject:
    return DesiredObject(key, Uid(uid), Version(version), f"{key}@{uid}/{version}".encode())


def some(keys: tuple[ObjectKey, ...]) -> st.SearchStrategy[frozenset[ObjectKey]]:
    return st.frozensets(st.sampled_from(keys), max_size=len(keys))


@dataclasses.dataclass(frozen=True)
class Put:
    object: DesiredObject
    needs: frozenset[ObjectKey]
    node: NodeName | None = None


@dataclasses.dataclass(frozen=True)
class Drop:
    key: ObjectKey


uids, versions = st.sampled_from(["u1", "u2"]), st.sampled_from(["1", "2"])
puts = st.one_of(
    st.builds(
        Put,
        st.builds(obj, st.sampled_from(PODS), uids, versions),
        some((*CLAIMS, *CONFIG_MAPS)),
        st.sampled_from(NODES),
    ),
    st.builds(Put, st.builds(obj, st.sampled_from(CLAIMS), uids, versions), some(VOLUMES)),
    st.builds(
        Put,
        st.builds(obj, st.sampled_from(DEVICES), uids, versions),
        st.sampled_from(MODELS).map(lambda model: frozenset({model})),
        st.sampled_from((None, *NODES)),
    ),
    st.builds(
        Put, st.builds(obj, st.sampled_from((*VOLUMES, *CONFIG_MAPS, *MODELS)), uids, versions), st.just(frozenset())
    ),
)
steps = st.lists(st.one_of(puts, st.builds(Drop, st.sampled_from(EVERYTHING))), max_size=30)


class Edges:
    """What nodes have that carry out every move."""

    def __init__(self) -> None:
        self.have: dict[NodeName, dict[ObjectKey, DesiredObject]] = {node: {} for node in NODES}

    def carry_out(self, moves: list[Move]) -> None:
        for move in moves:
            have = self.have[move.node]
            if isinstance(move, Want):
                have[move.object.key] = move.object
            elif move.key in have and have[move.key].uid == move.uid:
                del have[move.key]


def carry_out(desired: Desired, step: Put | Drop) -> list[Move]:
    if isinstance(step, Drop):
        return desired.drop(step.key)
    return desired.put(step.object, step.needs, step.node)


def identities(objects: dict[ObjectKey, DesiredObject]) -> dict[ObjectKey, Identity]:
    return {key: Identity(each.uid, each.version) for key, each in objects.items()}


class Model:
    """The same, the slow and obvious way. Only what was needed when it was put is remembered, as by the index."""

    def __init__(self) -> None:
        self.known: dict[ObjectKey, Put] = {}

    def needed(self, node: NodeName) -> set[ObjectKey]:
        found = {key for key, put in self.known.items() if put.node == node}
        todo = list(found)
        while todo:
            put = self.known.get(todo.pop())
            fresh = (put.needs if put else frozenset()) - found
            found |= fresh
            todo += fresh
        return found

    def carry_out(self, step: Put | Drop) -> None:
        if isinstance(step, Drop):
            self.known.pop(step.key, None)
        else:
            self.known[step.object.key] = step
        needed = set().union(*(self.needed(node) for node in NODES))
        self.known = {key: put for key, put in self.known.items() if key in needed}


@given(steps)
def test_the_index_agrees_with_the_model(script: list[Put | Drop]) -> None:
    desired, edges, model = Desired(), Edges(), Model()
    for step in script:
        moves = carry_out(desired, step)
        edges.carry_out(moves)
        model.carry_out(step)
        assert all(desired.current(move) for move in moves)
        for node in NODES:
            needed = model.needed(node)
            wanted = {key: model.known[key].object for key in needed if key in model.known}
            assert desired.on(node) == wanted == edges.have[node]
            assert {key for key in EVERYTHING if desired.holds(node, key)} == needed
            assert desired.diff(node, identities(dict(desired.on(node)))) == []
            assert desired.digest(node) == digest(identities(edges.have[node]).items())
        assert len(desired) == len(model.known)
        missing = set().union(*(model.needed(node) for node in NODES)) - set(model.known)
        assert sorted(desired.missing()) == sorted(missing)


@given(steps)
def test_what_is_needed_comes_first_and_goes_last(script: list[Put | Drop]) -> None:
    desired = Desired()
    for step in script:
        moves = carry_out(desired, step)
        wanted = [rank(move.object.key) for move in moves if isinstance(move, Want)]
        gone = [-rank(move.key) for move in moves if isinstance(move, Forget)]
        assert wanted == sorted(wanted)
        assert gone == sorted(gone)
        assert [isinstance(move, Forget) for move in moves] == [False] * len(wanted) + [True] * len(gone)
        # One word for each node and object: a second could take back the first.
        said = [(move.node, move.object.key if isinstance(move, Want) else move.key) for move in moves]
        assert len(said) == len(set(said))


@given(steps, steps)
def test_the_difference_brings_any_node_up_to_date(script: list[Put | Drop], past: list[Put | Drop]) -> None:
    desired, other, edges = Desired(), Desired(), Edges()
    for step in past:
        edges.carry_out(carry_out(other, step))
    for step in script:
        carry_out(desired, step)
    for node in NODES:
        edges.carry_out(desired.diff(node, identities(edges.have[node])))
        assert identities(edges.have[node]) == identities(dict(desired.on(node)))


@given(steps)
def test_once_everything_is_gone_nothing_is_kept(script: list[Put | Drop]) -> None:
    desired = Desired()
    for step in script:
        carry_out(desired, step)
    for key in EVERYTHING:
        desired.drop(key)
    for leftover in vars(desired).values():
        assert not leftover, vars(desired)


def test_a_volume_leaves_with_the_claim_that_needs_it() -> None:
    desired = Desired()
    pod, claim, volume = PODS[0], CLAIMS[0], VOLUMES[0]
    desired.put(obj(pod), frozenset({claim}), NODES[0])
    desired.put(obj(claim), frozenset({volume}))
    desired.put(obj(volume), frozenset())
    assert desired.users(volume, NODES[0]) == [pod]
    assert desired.users(volume, NODES[1]) == []
    uid = Uid("u1")
    assert desired.drop(pod) == [Forget(NODES[0], key, uid) for key in (pod, claim, volume)]


def test_what_is_needed_but_unknown_is_missing_until_it_comes() -> None:
    desired = Desired()
    pod, config = PODS[0], CONFIG_MAPS[0]
    assert not desired.is_placed(config)
    desired.put(obj(pod), frozenset({config}), NODES[0])
    assert desired.missing() == [config]
    assert desired.is_placed(config)
    assert desired.needs(pod) == {config}
    assert desired.put(obj(config), frozenset()) == [Want(NODES[0], obj(config))]
    assert desired.missing() == []
    assert desired.get(config) == obj(config)
    assert desired.keys(Kind.CONFIG_MAP) == [config]
    assert desired.drop(config) == [Forget(NODES[0], config, Uid("u1"))]
    assert desired.missing() == [config]


def test_a_move_that_a_later_one_overtook_is_not_current() -> None:
    desired = Desired()
    pod, [node, _] = PODS[0], NODES
    [first] = desired.put(obj(pod), frozenset(), node)
    [second] = desired.put(obj(pod, version="2"), frozenset(), node)
    assert not desired.current(first)
    assert desired.current(second)
    [gone] = desired.drop(pod)
    assert not desired.current(second)
    assert desired.current(gone)
    desired.put(obj(pod), frozenset(), node)
    assert not desired.current(gone)
    desired.put(obj(pod, uid="u2"), frozenset(), node)
    assert desired.current(gone)


@pytest.mark.parametrize("have", [{}, {PODS[0]: Identity(Uid("u1"), Version("0"))}])
def test_a_difference_wants_what_is_not_there_in_this_form(have: dict[ObjectKey, Identity]) -> None:
    desired = Desired()
    desired.put(obj(PODS[0]), frozenset(), NODES[0])
    stray = Identity(Uid("u9"), Version("9"))
    assert desired.diff(NODES[0], {**have, PODS[1]: stray}) == [
        Want(NODES[0], obj(PODS[0])),
        Forget(NODES[0], PODS[1], Uid("u9")),
    ]


def test_a_change_that_no_edge_can_see_moves_nothing() -> None:
    desired = Desired()
    desired.put(obj(PODS[0]), frozenset(), NODES[0])
    assert desired.put(dataclasses.replace(obj(PODS[0]), body=b"another resourceVersion"), frozenset(), NODES[0]) == []
