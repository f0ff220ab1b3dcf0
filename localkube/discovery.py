"""What lives where: /api, /apis and their versions, in the legacy and the aggregated form."""

import base64
import hashlib
import re

import msgspec

from localkube.resources import Registry, Resource
from localkube.values import Json

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_SUBRESOURCE_VERBS = {
    "status": ["get", "patch", "update"],
    "scale": ["get", "patch", "update"],
    "resize": ["get", "patch", "update"],
    "ephemeralcontainers": ["get", "patch", "update"],
    "finalize": ["update"],
    "binding": ["create"],
    "eviction": ["create"],
    "token": ["create"],
}
_SUBRESOURCE_KINDS = {
    "scale": ("autoscaling", "v1", "Scale"),
    "binding": ("", "", "Binding"),
    "eviction": ("policy", "v1", "Eviction"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest"),
}


class Discovery:
    """The discovery documents of a registry, rebuilt when it changes."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._aggregated: dict[str, tuple[int, bytes, str]] = {}

    def groups(self) -> dict[str, dict[str, list[Resource]]]:
        """group → version → resources: groups as they were registered, of versions the preferred one first."""
        found: dict[str, dict[str, list[Resource]]] = {}
        for resource in self._registry.every():
            found.setdefault(resource.group, {}).setdefault(resource.row.version, []).append(resource)
        for group, versions in found.items():
            for resources in versions.values():
                resources.sort(key=lambda resource: resource.plural)
            found[group] = {version: versions[version] for version in sorted(versions, key=preference)}
        return found

    def legacy_versions(self, address: str) -> Json:
        where = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": where}

    def group_list(self) -> Json:
        groups = [_group(name, list(versions)) for name, versions in self.groups().items() if name]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}

    def group(self, name: str) -> Json | None:
        versions = self.groups().get(name)
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, list(versions))} if versions and name else None

    def resource_list(self, group: str, version: str) -> Json | None:
        resources = self.groups().get(group, {}).get(version)
        if resources is None:
            return None
        document: Json = {"kind": "APIResourceList"}
        if group:
            document["apiVersion"] = "v1"
        document["groupVersion"] = f"{group}/{version}" if group else version
        document["resources"] = [row for resource in resources for row in _rows(resource)]
        return document

    def aggregated(self, root: str) -> tuple[bytes, str]:
        """The aggregated document of /api or /apis, and its ETag."""
        known = self._aggregated.get(root)
        if known is None or known[0] != self._registry.generation:
            items = [
                {"metadata": {"name": name} if name else {}, "versions": [_version(*one) for one in versions.items()]}
                for name, versions in self.groups().items()
                if (not name) is (root == "api")
            ]
            kind, version = "APIGroupDiscoveryList", "apidiscovery.k8s.io/v2"
            document = {"kind": kind, "apiVersion": version, "metadata": {}, "items": items}
            body = msgspec.json.encode(document)
            known = (self._registry.generation, body, hashlib.sha512(body).hexdigest().upper())
            self._aggregated[root] = known
        return known[1], known[2]


def preference(version: str) -> tuple[int, int, int, str]:
    """Sorts versions as Kubernetes prefers them: v10, v2, v1, v11beta2, v3beta1, v12alpha1, others by name."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return 3, 0, 0, version
    stage = {None: 0, "beta": 1, "alpha": 2}[match["stage"]]
    return stage, -int(match["major"]), -int(match["minor"] or 0), version


_VERSION = re.compile(r"v(?P<major>[1-9]\d*)((?P<stage>alpha|beta)(?P<minor>[1-9]\d*))?", re.ASCII)


def _group(name: str, versions: list[str]) -> Json:
    rows = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": rows, "preferredVersion": rows[0]}


def _rows(resource: Resource) -> list[Json]:
    row = resource.row
    main: Json = {
        "name": row.plural,
        "singularName": row.singular,
        "namespaced": row.namespaced,
        "kind": row.kind,
        "verbs": list(row.verbs),
    }
    if row.short:
        main["shortNames"] = list(row.short)
    if row.categories:
        main["categories"] = list(row.categories)
    if "list" in row.verbs:
        main["storageVersionHash"] = _storage_hash(resource)
    return [main] + [_subresource_row(resource, name) for name in row.subresources]


def _storage_hash(resource: Resource) -> str:
    digest = hashlib.sha256(f"{resource.group}/{resource.row.version}/{resource.kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def _subresource_row(resource: Resource, name: str) -> Json:
    row: Json = {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.row.namespaced,
    }
    group, version, kind = _SUBRESOURCE_KINDS.get(name, ("", "", resource.kind))
    if group:
        row |= {"group": group, "version": version}
    return row | {"kind": kind, "verbs": _SUBRESOURCE_VERBS[name]}


def _version(version: str, resources: list[Resource]) -> Json:
    return {"version": version, "resources": [_aggregated_row(item) for item in resources], "freshness": "Current"}


def _aggregated_row(resource: Resource) -> Json:
    row = resource.row
    main: Json = {
        "resource": row.plural,
        "responseKind": _response_kind(resource, "", "", row.kind),
        "scope": "Namespaced" if row.namespaced else "Cluster",
        "singularResource": row.singular,
        "verbs": list(row.verbs),
    }
    if row.short:
        main["shortNames"] = list(row.short)
    if row.categories:
        main["categories"] = list(row.categories)
    if row.subresources:
        main["subresources"] = [
            {
                "subresource": name,
                "responseKind": _response_kind(resource, *_SUBRESOURCE_KINDS.get(name, ("", "", resource.kind))),
                "verbs": _SUBRESOURCE_VERBS[name],
            }
            for name in row.subresources
        ]
    return main


def _response_kind(resource: Resource, group: str, version: str, kind: str) -> Json:
    if resource.custom is not None and not group:
        group, version = resource.group, resource.row.version
    return {"group": group, "version": version, "kind": kind}
