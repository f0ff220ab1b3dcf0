"""managedFields and server-side apply."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localkube.builtin.kinds import KINDS
from localkube.errors import ApiError
from localkube.ownership.paths import from_fields, to_fields
from localkube.ownership.tracking import track_apply, track_update
from localkube.resources import resource_of
from localkube.values import Json

BY_PLURAL = {row.plural: resource_of(row) for row in KINDS}
CONFIG, POD = BY_PLURAL["configmaps"], BY_PLURAL["pods"]


def config(**data: str) -> Json:
    return {"metadata": {"name": "c"}, "data": data}


def owned(obj: Json) -> Json:
    return {entry["manager"]: entry["fieldsV1"] for entry in obj["metadata"].get("managedFields", [])}


def applied(old: Json | None, new: Json, who: str, *, force: bool = False) -> Json:
    return track_apply(CONFIG, old, new, who, "", force=force, now=0.0)


@given(
    st.frozensets(st.lists(st.sampled_from(["f:a", "f:b", 'k:{"n":1}', 'v:"x"']), min_size=1, max_size=4).map(tuple))
)
def test_paths_survive_their_written_form(paths: frozenset[tuple[str, ...]]) -> None:
    assert from_fields(to_fields(paths)) == paths


def test_the_creator_owns_what_it_named() -> None:
    made = config(a="1")
    track_update(CONFIG, None, made, "me", "", 0.0)
    assert owned(made) == {"me": {"f:data": {".": {}, "f:a": {}}}}


def test_list_items_are_owned_by_key() -> None:
    made = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "a"}]}}
    track_update(POD, None, made, "me", "", 0.0)
    item = {".": {}, "f:image": {}, "f:name": {}}
    assert owned(made) == {"me": {"f:spec": {"f:containers": {'k:{"name":"c"}': item}}}}


def test_who_changes_a_field_takes_it_over() -> None:
    first = config(a="1", b="1")
    track_update(CONFIG, None, first, "one", "", 0.0)
    second = config(a="2", b="1") | {"metadata": dict(first["metadata"])}
    track_update(CONFIG, first, second, "two", "", 0.0)
    assert owned(second) == {"one": {"f:data": {".": {}, "f:b": {}}}, "two": {"f:data": {"f:a": {}}}}


def test_apply_removes_what_is_named_no_more() -> None:
    first = applied(None, config(a="1", b="1"), "me")
    assert applied(first, config(a="2"), "me")["data"] == {"a": "2"}


def test_apply_keeps_what_somebody_else_wants() -> None:
    first = applied(None, config(a="1", b="1"), "me")
    shared = applied(first, config(b="1"), "other")
    assert applied(shared, config(a="1"), "me")["data"] == {"a": "1", "b": "1"}


def test_apply_does_not_take_a_field_silently() -> None:
    first = applied(None, config(a="1"), "me")
    with pytest.raises(ApiError, match='conflict with "me"') as refused:
        applied(first, config(a="2"), "other")
    assert refused.value.code == 409
    forced = applied(first, config(a="2"), "other", force=True)
    assert forced["data"] == {"a": "2"}
    assert "f:a" not in owned(forced).get("me", {}).get("f:data", {})
