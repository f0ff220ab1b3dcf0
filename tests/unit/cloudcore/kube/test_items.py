"""Decoding: items are whole, uniform and narrow."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.kube.contract import Bookmark
from cloudcore.kube.errors import Gone, ServerFailed
from cloudcore.kube.items import decode_event, decode_item, decode_list
from cloudcore.kube.kinds import LEASES, PODS

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(spec=json_values, indent=st.sampled_from([None, 2]))
def test_a_listed_item_gets_its_type_back_and_loses_nothing(spec: object, indent: int | None) -> None:
    body = {"metadata": {"name": "boiler", "resourceVersion": "7"}, "spec": spec}
    item = decode_item(json.dumps(body, indent=indent).encode(), LEASES)
    assert json.loads(item.raw) == {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", **body}
    assert item.metadata.resource_version == "7"


def test_a_listed_item_equals_the_watched_one() -> None:
    bare = b'{"metadata":{"name":"a"},"spec":{}}'
    watched = b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"spec":{}}'
    assert decode_item(bare, PODS).raw == watched == decode_item(watched, PODS).raw
    assert json.loads(decode_item(b"{}", PODS).raw) == {"kind": "Pod", "apiVersion": "v1"}


def test_a_page_says_whether_more_follow() -> None:
    page, token = decode_list(b'{"metadata":{"resourceVersion":"9","continue":"t"},"items":[{"metadata":{}}]}', PODS)
    assert (len(page.items), page.resource_version, page.last, token) == (1, "9", False, "t")


def test_bookmarks() -> None:
    line = b'{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"12"}}}'
    assert decode_event(line, PODS) == Bookmark("12")


@pytest.mark.parametrize("line", [b"", b"{", b'{"type":1}', b'{"type":"ADDED","object":[]}', b"\xff"])
def test_garbage_is_a_failing_server(line: bytes) -> None:
    with pytest.raises(ServerFailed):
        decode_event(line, PODS)


def test_error_events() -> None:
    with pytest.raises(Gone, match="cannot watch pods: old"):
        decode_event(b'{"type":"ERROR","object":{"code":410,"message":"old"}}', PODS)
