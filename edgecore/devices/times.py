"""Instants as people and programs write them into metadata. Pure."""

import datetime


def milliseconds(text: str) -> int | None:
    """Milliseconds since 1970 from such a number or from RFC 3339; None if *text* is neither."""
    if text.isascii() and text.isdigit() and len(text) <= 15:
        return int(text)
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return int(moment.timestamp() * 1000) if moment.tzinfo else None
