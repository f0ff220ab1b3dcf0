"""Topics, filters, addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from edgecore.bus.broker import Broker
from edgecore.bus.filters import identifier, matches, valid_filter, valid_topic
from edgecore.bus.settings import Address, BadAddress, BusSettings, parse_address
from edgelink.aio.clock import SystemClock

LEVEL = st.sampled_from(["a", "b", "", "$x"])
TOPICS = st.lists(LEVEL, min_size=1, max_size=4).map("/".join).filter(bool)
FILTERS = (
    st.tuples(st.lists(LEVEL | st.just("+"), max_size=4), st.booleans())
    .map(lambda made: "/".join([*made[0], *(["#"] if made[1] else [])]))
    .filter(bool)
)


@given(FILTERS, TOPICS)
def test_matching_is_pahos(text: str, topic: str) -> None:
    assert matches(text, topic) == topic_matches_sub(text, topic)


@pytest.mark.parametrize("text", ["", "a/#/b", "a#", "+a", "a\0", "\ud800", "x" * 65536])
def test_no_filters(text: str) -> None:
    assert not valid_filter(text)


@pytest.mark.parametrize("text", ["", "a/+", "#", "a\0", "\ud800", "x" * 65536])
def test_no_topics(text: str) -> None:
    assert not valid_topic(text)


@given(st.text())
def test_identifiers_fit_the_protocol(text: str) -> None:
    assert 0 < identifier(text.encode("utf-8", "replace").decode()) < 2**28


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("mqtt://h", Address("h", 1883, False)),
        ("mqtts://h", Address("h", 8883, True)),
        ("tcp://127.0.0.1:1884", Address("127.0.0.1", 1884, False)),
        ("ssl://[::1]:8884/", Address("::1", 8884, True)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["h:1883", "http://h", "mqtt://", "mqtt://u:p@h", "mqtt://h:99999", "mqtt://h/x"])
def test_bad_addresses(text: str) -> None:
    with pytest.raises(BadAddress):
        parse_address(text)
    with pytest.raises(BadAddress):
        Broker(BusSettings(address=text), SystemClock())
