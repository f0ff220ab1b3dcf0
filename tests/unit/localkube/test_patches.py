"""The three patch languages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localkube.errors import ApiError
from localkube.patch.json_patch import apply_json_patch
from localkube.patch.merge_patch import apply_merge_patch
from localkube.patch.strategic import apply_strategic_patch
from localkube.values import Json, Value

leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
values = st.recursive(
    leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text("ab", min_size=1), v, max_size=3), max_leaves=8
)
objects = st.dictionaries(st.text("abc", min_size=1, max_size=2), values, max_size=4)


def without_nulls(value: Value) -> Value:
    return {k: without_nulls(v) for k, v in value.items() if v is not None} if isinstance(value, dict) else value


@given(objects, objects)
def test_a_merge_patch_applied_twice_is_applied_once(document: Json, patch: Json) -> None:
    once = apply_merge_patch(document, patch)
    assert apply_merge_patch(once, patch) == once


@given(objects)
def test_a_merge_patch_onto_nothing_is_the_patch_without_nulls(patch: Json) -> None:
    assert apply_merge_patch({}, patch) == without_nulls(patch)


@given(objects, objects)
def test_a_merge_patch_leaves_the_document_alone(document: Json, patch: Json) -> None:
    before = repr(document)
    apply_merge_patch(document, patch)
    assert repr(document) == before


@given(objects, values)
def test_json_patch_add_then_remove_is_nothing(document: Json, value: Value) -> None:
    patch = [{"op": "add", "path": "/new~1key", "value": value}, {"op": "remove", "path": "/new~1key"}]
    assert apply_json_patch(document, patch) == document


def test_json_patch_operations() -> None:
    document = {"data": {"a": "9", "c": "3"}, "list": [1, 2]}
    patch = [
        {"op": "test", "path": "/data/a", "value": "9"},
        {"op": "replace", "path": "/data/a", "value": "10"},
        {"op": "copy", "from": "/data/a", "path": "/data/d"},
        {"op": "move", "from": "/data/d", "path": "/data/e"},
        {"op": "add", "path": "/list/-", "value": 3},
        {"op": "add", "path": "/list/0", "value": 0},
        {"op": "remove", "path": "/list/1"},
    ]
    assert apply_json_patch(document, patch) == {"data": {"a": "10", "c": "3", "e": "10"}, "list": [0, 2, 3]}
    assert document["list"] == [1, 2]


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": 2},
        {"op": "remove", "path": "/missing"},
        {"op": "frob", "path": "/a"},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "/list/9", "value": 1},
        {"op": "add", "path": "/a"},
    ],
)
def test_json_patch_that_cannot_be_applied_is_refused(operation: Json) -> None:
    with pytest.raises(ApiError) as refused:
        apply_json_patch({"a": 1, "list": []}, [operation])
    assert refused.value.code == 422


def pod_with(*containers: Json) -> Json:
    return {"spec": {"containers": list(containers)}}


def test_strategic_patch_merges_containers_by_name() -> None:
    document = pod_with({"name": "a", "image": "a:1", "env": [{"name": "E", "value": "1"}]}, {"name": "b"})
    patched = apply_strategic_patch(document, pod_with({"name": "a", "image": "a:2"}), "V1Pod")
    assert patched == pod_with({"name": "a", "image": "a:2", "env": [{"name": "E", "value": "1"}]}, {"name": "b"})


def test_strategic_patch_deletes_an_item() -> None:
    patched = apply_strategic_patch(
        pod_with({"name": "a"}, {"name": "b"}), pod_with({"name": "b", "$patch": "delete"}), "V1Pod"
    )
    assert patched == pod_with({"name": "a"})


def test_strategic_patch_replaces_a_list_on_request() -> None:
    patch = {"spec": {"containers": [{"name": "q"}, {"$patch": "replace"}]}}
    assert apply_strategic_patch(pod_with({"name": "a"}), patch, "V1Pod") == pod_with({"name": "q"})


def test_strategic_patch_orders_as_told() -> None:
    order = [{"name": "z"}, {"name": "a"}]
    patch = {"spec": {"$setElementOrder/containers": order, "containers": [{"name": "z"}]}}
    assert apply_strategic_patch(pod_with({"name": "a"}), patch, "V1Pod") == pod_with({"name": "z"}, {"name": "a"})


def test_strategic_patch_treats_finalizers_as_a_set() -> None:
    document = {"metadata": {"finalizers": ["x/a"]}}
    added = apply_strategic_patch(document, {"metadata": {"finalizers": ["x/a", "x/b"]}}, "V1Pod")
    assert sorted(added["metadata"]["finalizers"]) == ["x/a", "x/b"]
    gone = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x/a"]}}
    assert apply_strategic_patch(added, gone, "V1Pod") == {"metadata": {"finalizers": ["x/b"]}}


def test_strategic_patch_replaces_atomic_lists() -> None:
    document = {"spec": {"tolerations": [{"key": "a"}, {"key": "b"}]}}
    patched = apply_strategic_patch(document, {"spec": {"tolerations": [{"key": "c"}]}}, "V1Pod")
    assert patched == {"spec": {"tolerations": [{"key": "c"}]}}


def test_strategic_patch_retains_only_the_named_keys() -> None:
    document = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    patched = apply_strategic_patch(document, patch, "V1Deployment")
    assert patched == {"spec": {"strategy": {"type": "Recreate"}}}


def test_strategic_patch_without_the_merge_key_is_refused() -> None:
    with pytest.raises(ApiError, match="merge key"):
        apply_strategic_patch(pod_with({"name": "a"}), pod_with({"image": "x"}), "V1Pod")
