"""Who a mapper is, and what is known of what it has. Values only."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Mapper:
    """Who registered."""

    protocol: str
    name: str
    version: str
    address: str
    """Path of its socket, exactly as it said."""


@dataclasses.dataclass(frozen=True, slots=True)
class Held:
    """What a mapper has of one model or device."""

    digest: str
    """Of its content; empty: some content, nobody knows which."""
    sure: bool = True
    """False: a call broke off, it may have it or not."""


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """A call for one model or device that failed."""

    digest: str
    """What was to be sent; a changed one is tried at once."""
    times: int
    again: float
    """Not before then, on the monotonic clock."""
    why: str
