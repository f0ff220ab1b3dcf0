"""Serves /openapi/v2 and /openapi/v3: built when first asked, and again after the registry has changed."""

import hashlib

import msgspec

from localkube.errors import no_such_path
from localkube.handlers.api import Reply
from localkube.openapi import protobuf
from localkube.openapi.definitions import definitions, paths
from localkube.resources import Registry, Resource

_V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
_INFO = {"title": "Kubernetes", "version": "localkube"}


class OpenApi:
    """The OpenAPI documents of a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._generation = -1
        self._built: dict[str, bytes] = {}

    def reply(self, path: str, accept: str, known: str) -> Reply:
        """The document at *path*, or ApiError 404; 304 when the client's ETag is current."""
        if self._generation != self._registry.generation:
            self._generation, self._built = self._registry.generation, {}
        if path == "/openapi/v2":
            binary = _V2_PROTOBUF in accept
            kind = _V2_PROTOBUF.replace("@", ".") if binary else "application/json"  # "@" is no MIME type
            return _tagged(self._v2(binary=binary), kind, known)
        if path == "/openapi/v3":
            return _tagged(self._index(), "application/json", known)
        key = path.removeprefix("/openapi/v3/")
        members = self._members().get(key)
        if members is None:
            raise no_such_path()
        return _tagged(self._v3(key, members), "application/json", known)

    def _members(self) -> dict[str, list[Resource]]:
        """Path of a group version → its resources."""
        found: dict[str, list[Resource]] = {}
        for resource in self._registry.every():
            prefix = "apis" if resource.group else "api"
            found.setdefault(f"{prefix}/{resource.api_version}", []).append(resource)
        return found

    def _index(self) -> bytes:
        rows = {}
        for key, members in self._members().items():
            tag = hashlib.sha256(self._v3(key, members)).hexdigest()[:32].upper()
            rows[key] = {"serverRelativeURL": f"/openapi/v3/{key}?hash={tag}"}
        return msgspec.json.encode({"paths": rows})

    def _v3(self, key: str, members: list[Resource]) -> bytes:
        if key not in self._built:
            document = {
                "openapi": "3.0.0",
                "info": _INFO,
                "paths": paths(members),
                "components": {"schemas": definitions(members, "#/components/schemas/")},
            }
            self._built[key] = msgspec.json.encode(document)
        return self._built[key]

    def _v2(self, *, binary: bool) -> bytes:
        key = f"v2 {binary}"
        if key not in self._built:
            members = list(self._registry.every())
            document = {
                "swagger": "2.0",
                "info": _INFO,
                "paths": {},
                "definitions": definitions(members, "#/definitions/"),
            }
            self._built[key] = protobuf.encode(document) if binary else msgspec.json.encode(document)
        return self._built[key]


def _tagged(body: bytes, kind: str, known: str) -> Reply:
    tag = f'"{hashlib.sha256(body).hexdigest().upper()}"'
    headers = (("Etag", tag), ("Vary", "Accept"))
    if known == tag:
        return Reply(304, b"", "", headers)
    return Reply(200, body, kind, headers)
