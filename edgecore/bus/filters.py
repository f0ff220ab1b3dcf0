"""Pure: topics and topic filters of MQTT (5.0, section 4.7)."""

import zlib
from typing import Final

_LONGEST: Final = 65_535  # bytes: what the length field holds


def valid_topic(topic: str) -> bool:
    """Whether *topic* can be published to."""
    return _text(topic) and "+" not in topic and "#" not in topic


def valid_filter(text: str) -> bool:
    """Whether *text* can be subscribed to."""
    levels = text.split("/")
    wild = all(level in ("+", "#") or not {"+", "#"} & set(level) for level in levels)
    return _text(text) and wild and "#" not in levels[:-1]


def _text(text: str) -> bool:
    try:
        return 0 < len(text.encode()) <= _LONGEST and "\0" not in text
    except UnicodeEncodeError:
        return False


def matches(text: str, topic: str) -> bool:
    """Whether the filter *text* takes *topic*."""
    if text == topic:
        return True
    wanted, found = text.split("/"), topic.split("/")
    if found[0].startswith("$") and wanted[0] in ("+", "#"):
        return False  # such topics are not for wildcards that do not name them
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position >= len(found) or level not in ("+", found[position]):
            return False
    return len(wanted) == len(found)


def identifier(text: str) -> int:
    """The number that stands for a filter in messages: the same in every run, for the broker remembers it."""
    return (zlib.crc32(text.encode()) & 0x0FFF_FFFF) or 1
