"""The shared vocabulary."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgelink.objects import Identity, Kind, ObjectKey, Uid, Version, digest, rank

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-.", min_size=1, max_size=20)
keys = st.builds(ObjectKey, names, st.one_of(st.just(""), names), names)
inventories = st.dictionaries(keys, st.builds(lambda u, v: Identity(Uid(u), Version(v)), names, names), max_size=8)


@given(keys)
def test_a_key_survives_its_text(key: ObjectKey) -> None:
    assert ObjectKey.parse(str(key)) == key


@pytest.mark.parametrize("text", ["", "pods", "pods/plant", "pods/plant/", "/plant/boiler", "pods/a/b/c"])
def test_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ObjectKey.parse(text)


@given(inventories, inventories)
def test_digests_are_equal_exactly_when_inventories_are(
    one: dict[ObjectKey, Identity], two: dict[ObjectKey, Identity]
) -> None:
    assert (digest(one.items()) == digest(two.items())) == (one == two)


def test_digest_does_not_depend_on_order() -> None:
    a = (ObjectKey(Kind.POD, "x", "a"), Identity(Uid("1"), Version("1")))
    b = (ObjectKey(Kind.POD, "x", "b"), Identity(Uid("2"), Version("2")))
    assert digest([a, b]) == digest([b, a])


def test_what_a_pod_needs_ranks_before_it_even_if_its_kind_is_new() -> None:
    ranks = [
        rank(ObjectKey(kind, "x", "y")) for kind in (Kind.SERVICE_ACCOUNT, Kind.CONFIG_MAP, "devicemodels", Kind.POD)
    ]
    assert ranks == sorted(ranks)
    assert ranks[-2] < ranks[-1]
