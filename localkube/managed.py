"""metadata.managedFields: who set which field last; and server-side apply, which is built on it."""

from localkube.patch.merge_patch import apply_merge_patch
from localkube.resources import Resource
from localkube.values import Json


def track_update(resource: Resource, old: Json | None, new: Json, manager: str, subresource: str, now: float) -> None:
    """Record in *new*, in place, which fields this update set."""


def track_apply(
    resource: Resource, old: Json | None, applied: Json, manager: str, subresource: str, force: bool, now: float
) -> Json:
    """*old* with *applied* merged in."""
    return apply_merge_patch(old or {}, applied)
