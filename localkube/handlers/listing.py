"""get and list: selectors, pages, revisions."""

import base64
import dataclasses
import re

import msgspec

from localkube import selectors
from localkube.errors import Cause, bad_request, expired, invalid, not_found, too_large_revision
from localkube.handlers.api import Api, Reply
from localkube.handlers.call import Call
from localkube.handlers.render import reply_list, reply_object
from localkube.resources import Resource
from localkube.storage.store import Entry
from localkube.values import Json


@dataclasses.dataclass(frozen=True, slots=True)
class Filter:
    """Label and field selectors of one request, ready to be asked often."""

    resource: Resource
    labels: tuple[selectors.Requirement, ...]
    fields: tuple[selectors.FieldTerm, ...]
    names: tuple[selectors.FieldTerm, ...]
    """Terms on metadata.name and metadata.namespace, which need no decoding."""

    @property
    def everything(self) -> bool:
        return not (self.labels or self.fields or self.names)

    def matches(self, entry: Entry) -> bool:
        for term in self.names:
            value = entry.name if term.path == "metadata.name" else entry.namespace
            if (value == term.value) is not term.equal:
                return False
        if self.labels and not selectors.matches_labels(self.labels, entry.labels):
            return False
        return not self.fields or selectors.matches_fields(self.fields, self.resource.key, entry.decoded())


def filter_of(call: Call) -> Filter:
    """The selectors of a list, watch or deletecollection."""
    resource = call.resource
    labels = selectors.parse_labels(call.query.get("labelSelector", ""))
    terms = selectors.parse_fields(call.query.get("fieldSelector", ""))
    if resource.key == "events" and resource.group:
        terms = tuple(
            dataclasses.replace(term, path=re.sub("^regarding", "involvedObject", term.path)) for term in terms
        )
    selectable = resource.custom.selectable if resource.custom else ()
    unknown = selectors.check_fields(terms, resource.key, selectable)
    if unknown is not None:
        if resource.custom is None and resource.key not in selectors.FIELDS:
            only = '"metadata.name", "metadata.namespace"'
            raise bad_request(f'"{unknown}" is not a known field selector: only {only}')
        raise bad_request(f"field label not supported: {unknown}")
    if call.target.name is not None:
        terms = (*terms, selectors.FieldTerm("metadata.name", True, call.target.name))
    names = tuple(term for term in terms if term.path.startswith("metadata."))
    return Filter(resource, labels, tuple(term for term in terms if term not in names), names)


def get(api: Api, call: Call) -> Reply:
    entry = api.store.get(call.resource.key, call.namespace, call.name)
    wanted = revision_of(call)
    if wanted is not None and wanted > api.store.revision:
        raise too_large_revision(wanted, api.store.revision)
    if entry is None:
        raise not_found(call.resource.plural, call.resource.group, call.name)
    return reply_object(call, entry)


def revision_of(call: Call) -> int | None:
    """The resourceVersion parameter, None when not given; ApiError 400 when it is no number."""
    text = call.query.get("resourceVersion", "")
    if not text:
        return None
    if not text.isdigit():
        problem = f'strconv.ParseUint: parsing "{text}": invalid syntax'
        raise bad_request(f'invalid resource version: resourceVersion: Invalid value: "{text}": {problem}')
    return int(text)


def list_options_error(reason: str, message: str, field: str) -> Exception:
    return invalid("ListOptions", "meta.k8s.io", "", [Cause(reason, message, field)])


def _check_match(call: Call) -> None:
    match = call.query.get("resourceVersionMatch", "")
    if not match:
        return
    field = "resourceVersionMatch"
    if not call.query.get("resourceVersion") and not call.query.get("continue"):
        message = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
        raise list_options_error("FieldValueForbidden", message, field)
    if match not in ("Exact", "NotOlderThan"):
        message = f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""'
        raise list_options_error("FieldValueNotSupported", message, field)


class _Page(msgspec.Struct):
    """What a continue token says: the revision of the first page, and the last key given."""

    v: str
    rv: int
    start: str


def _read_token(text: str) -> _Page:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=_Page)
    except (ValueError, msgspec.DecodeError) as cause:
        problem = "invalid character '\u00c7' looking for beginning of value"
        raise bad_request(f"invalid continue token: continue key is not valid: {problem}") from cause


def _token(rev: int, entry: Entry) -> str:
    page = _Page("meta.k8s.io/v1", rev, f"{entry.namespace}/{entry.name}")
    return base64.urlsafe_b64encode(msgspec.json.encode(page)).rstrip(b"=").decode()


def list_(api: Api, call: Call) -> Reply:
    """One page of objects, consistent with the revision it names."""
    chosen = filter_of(call)
    _check_match(call)
    store, key, namespace = api.store, call.resource.key, call.target.namespace
    wanted = revision_of(call)
    if wanted is not None and wanted > store.revision:
        raise too_large_revision(wanted, store.revision)
    revision = store.revision
    after: tuple[str, str] | None = None
    if token := call.query.get("continue"):
        page = _read_token(token)
        revision = page.rv
        space, _, name = page.start.partition("/")
        after = (space, name)
    elif call.query.get("resourceVersionMatch") == "Exact" and wanted:
        revision = wanted
    entries: list[Entry] | None = store.entries(key, namespace)
    if revision != store.revision:
        entries = store.list_at(key, namespace, revision)
        if entries is None:
            raise expired("The provided continue parameter is too old to display a consistent list result.")
    assert entries is not None
    return _paged(call, chosen, entries, revision, after)


def _paged(call: Call, chosen: Filter, entries: list[Entry], revision: int, after: tuple[str, str] | None) -> Reply:
    if after is not None:
        entries = [entry for entry in entries if (entry.namespace, entry.name) > after]
    if not chosen.everything:
        entries = [entry for entry in entries if chosen.matches(entry)]
    meta: Json = {"resourceVersion": str(revision)}
    limit = call.number("limit")
    if limit and len(entries) > limit:
        meta["continue"] = _token(revision, entries[limit - 1])
        if chosen.everything:
            meta["remainingItemCount"] = len(entries) - limit
        entries = entries[:limit]
    return reply_list(call, entries, meta)
