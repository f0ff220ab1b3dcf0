"""Pure: what the desired value in a Device object makes of a twin. Each change there is one wish, taken once."""

import dataclasses
import hashlib
import json

from device_models import values
from device_models.errors import BadValue
from device_models.fields import shown
from device_models.model import Desired, Property
from device_models.twin import End, Origin, Twin, Wish
from edgecore.devices import plan
from edgecore.devices.times import milliseconds


def taken(prop: Property, known: Twin | None, now: int) -> Twin | None:
    """The twin afterwards; *known* itself if the object says nothing new. *now* in milliseconds since 1970."""
    desired = prop.desired
    if desired is None or not desired.value:
        return _withdrawn(known) if known and known.wish.token else known
    fault = _fault(prop, desired)
    token = _token(desired) + (plan.UNFIT if fault else "")
    stamped = milliseconds(desired.metadata.get("timestamp", ""))
    if not plan.supersedes(known, token, stamped):
        if known is None or plan.same_change(known, token):
            return known
        return dataclasses.replace(known, wish=dataclasses.replace(known.wish, token=token))
    wish = Wish(origin=Origin.CLOUD, expires=milliseconds(desired.expires), token=token)
    twin = dataclasses.replace(known or Twin(), type=values.twin_type(prop.type))
    twin = twin.wanted(desired.value, now if stamped is None else stamped, wish)
    return twin.ended(End.REJECTED, fault) if fault else twin


def _fault(prop: Property, desired: Desired) -> str:
    """Why no driver could write it; empty: one could."""
    try:
        values.desired(desired.value, prop)
    except BadValue as bad:
        return str(bad)
    if desired.expires and milliseconds(desired.expires) is None:
        return f"expires {shown(desired.expires)} is neither RFC 3339 nor milliseconds since 1970"
    return ""


def _withdrawn(known: Twin) -> Twin:
    """The cloud wants nothing any more; should it want the same again, that is another wish."""
    if known.wish.origin is Origin.CLOUD and known.wish.end.open:
        known = known.ended(End.EXPIRED, "withdrawn before the device had it")
    return dataclasses.replace(known, wish=dataclasses.replace(known.wish, token=""))


def _token(desired: Desired) -> str:
    content = json.dumps([desired.value, sorted(desired.metadata.items())])
    return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
