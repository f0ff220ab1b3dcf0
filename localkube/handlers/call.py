"""One API request, taken apart: path, query, accepted forms, body. No I/O."""

import dataclasses
import re
from collections.abc import Mapping

import msgspec

from localkube.errors import ApiError, bad_request, unsupported_media_type
from localkube.resources import Registry, Resource
from localkube.values import Value
from localkube.wire import decode as protobuf

_BODY_TYPES = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    """Who asks. There is no authorisation: every authenticated user may do everything."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """What a path points at."""

    resource: Resource
    namespace: str | None
    name: str | None
    subresource: str | None
    watch: bool = False
    """The legacy /watch/ form of a path."""


@dataclasses.dataclass(slots=True)
class Call:
    """One request on a resource."""

    method: str
    target: Target
    query: Mapping[str, str]
    accept: str
    content_type: str
    body: bytes
    user: User
    agent: str
    warnings: list[str] = dataclasses.field(default_factory=list)
    """Filled while answering; sent as Warning headers."""

    @property
    def resource(self) -> Resource:
        return self.target.resource

    @property
    def namespace(self) -> str:
        return self.target.namespace or ""

    @property
    def name(self) -> str:
        return self.target.name or ""

    def flag(self, name: str) -> bool:
        return self.query.get(name, "") in ("true", "1", "True")

    @property
    def dry_run(self) -> bool:
        return self.query.get("dryRun", "") == "All"

    @property
    def manager(self) -> str:
        """Who is recorded as owner of the fields this request sets."""
        return self.query.get("fieldManager") or (self.agent.split("/")[0] if self.agent else "") or "unknown"

    def number(self, name: str) -> int | None:
        text = self.query.get(name)
        if not text:
            return None
        try:
            return int(text)
        except ValueError:
            raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def find_target(registry: Registry, path: str) -> Target | None:
    """Resolve a path below /api or /apis; None when nothing lives there."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    watch = rest[0] == "watch" and len(rest) > 1
    if watch:
        rest = rest[1:]
    namespace: str | None = None
    if rest[0] == "namespaces" and len(rest) >= 3 and not _is_namespace_subresource(group, rest):
        namespace, rest = rest[1], rest[2:]
    resource = registry.find(group, version, rest[0])
    if resource is None or len(rest) > 3 or (namespace is not None and not resource.row.namespaced):
        return None
    name = rest[1] if len(rest) > 1 else None
    if resource.row.namespaced and namespace is None and name is not None:
        return None
    return Target(resource, namespace, name, rest[2] if len(rest) > 2 else None, watch)


def _is_namespace_subresource(group: str, rest: list[str]) -> bool:
    return not group and len(rest) == 3 and rest[2] in ("status", "finalize")


@dataclasses.dataclass(frozen=True, slots=True)
class Form:
    """The representation a client asked for."""

    shape: str
    """object, Table, PartialObjectMetadata or PartialObjectMetadataList"""
    yaml: bool = False


ACCEPTED = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_PLAIN = Form("object")
_SHAPES = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


def accepted_form(accept: str) -> Form | None:
    """The first form in *accept* that this server speaks; None when there is none."""
    if not accept or accept == "application/json":
        return _PLAIN
    for part in accept.split(","):
        media, *parameters = (piece.strip() for piece in part.split(";"))
        options = dict(piece.partition("=")[::2] for piece in parameters)
        if media not in ("application/json", "application/yaml", "*/*", "application/*"):
            continue
        shape = options.get("as", "")
        if shape in _SHAPES and options.get("g", "meta.k8s.io") == "meta.k8s.io" and options.get("v") == "v1":
            return Form(shape, media == "application/yaml")
        if not shape:
            return Form("object", media == "application/yaml")
    return None


def parse_body(body: bytes, content_type: str, kind: str) -> Value:
    """The request body as data. YAML is read only when the client says so; its parser is imported only then."""
    media = content_type.split(";")[0].strip()
    if media in ("application/yaml", "application/apply-patch+yaml") and not body.lstrip().startswith(b"{"):
        import yaml

        try:
            return yaml.safe_load(body)
        except yaml.YAMLError as cause:
            raise bad_request(f"error parsing YAML: {cause}") from cause
    if media == protobuf.MEDIA_TYPE:
        try:
            return protobuf.decode(body)
        except protobuf.Unsupported as cause:
            raise unsupported_media_type(_BODY_TYPES[:2]) from cause
    if media and media not in ("application/json", "application/yaml") and not media.endswith(("+json", "+yaml")):
        raise unsupported_media_type(_BODY_TYPES)
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as cause:
        raise _bad_json(body, kind) from cause


def _bad_json(body: bytes, kind: str) -> ApiError:
    text = body[:200].decode(errors="replace")
    if not body.strip():
        problem = "unexpected end of JSON input (<empty>)"
    elif match := re.match(r"\{\s*([^\s\"}])", text):
        problem = f"invalid character '{match[1]}' looking for beginning of object key string ({text})"
    else:
        problem = f"invalid character '{text.lstrip()[0]}' looking for beginning of value ({text})"
    subject = f"the object provided is unrecognized (must be of type {kind})"
    return bad_request(f"{subject}: couldn't get version/kind; json parse error: {problem}")
