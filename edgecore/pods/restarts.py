"""May this container run again, and when. Pure.

The kubelet's rules: the first restart is immediate; after that the pause doubles from 10 s to 5 min, counted from the
moment the container ended; one that ran 10 min since its last restart starts over.
"""

import dataclasses
from typing import Final

from edgecore.pods.spec import RestartPolicy

FIRST: Final = 10.0
CAP: Final = 300.0
FORGIVEN_AFTER: Final = 2 * CAP


@dataclasses.dataclass(frozen=True, slots=True)
class BackOff:
    """Pause before the next restart, and when the last one was (seconds, wall clock)."""

    delay: float
    since: float


def may_restart(policy: RestartPolicy, exit_code: int, *, init: bool = False) -> bool:
    """Whether a container that ended with *exit_code* is to run again; an init container that succeeded is not."""
    if policy == "Never":
        return False
    return exit_code != 0 or (policy == "Always" and not init)


def _forgiven(back_off: BackOff, ended: float) -> bool:
    return ended - back_off.since > FORGIVEN_AFTER


def pause(back_off: BackOff | None, *, ended: float, now: float, watched: float) -> float:
    """Seconds still to wait, 0 for none.

    *ended* and *now* are wall clock; *watched* is how long the dead container has been known to this process on the
    monotonic clock, so that a wall clock set back cannot keep a container down.
    """
    if back_off is None or _forgiven(back_off, ended):
        return 0.0
    return max(0.0, back_off.delay - max(now - ended, watched))


def restarted(back_off: BackOff | None, *, ended: float, now: float) -> BackOff:
    """The back-off after a restart at *now* of a container that had *ended*."""
    if back_off is None or _forgiven(back_off, ended):
        return BackOff(FIRST, now)
    return BackOff(min(CAP, back_off.delay * 2), now)
