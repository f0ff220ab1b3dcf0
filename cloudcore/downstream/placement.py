"""Pure: which node an object is bound to, which other objects it needs, and what of it an edge gets to see.

An edge sees an object without ``status`` and ``managedFields``: what it reports itself must not come back down. The
version of what it sees is a digest of exactly that, resourceVersion left aside.
"""

import hashlib
from collections.abc import Iterator
from typing import Final, TypeVar

import msgspec

from edgelink.objects import DesiredObject, Kind, NodeName, ObjectKey, Uid, Version

T = TypeVar("T")


class _Named(msgspec.Struct):
    name: str = ""


class _ModelRef(msgspec.Struct):
    name: str | None = None


class _EnvSource(msgspec.Struct, rename="camel"):
    config_map_key_ref: _Named | None = None
    secret_key_ref: _Named | None = None


class _Env(msgspec.Struct, rename="camel"):
    value_from: _EnvSource | None = None


class _EnvFrom(msgspec.Struct, rename="camel"):
    config_map_ref: _Named | None = None
    secret_ref: _Named | None = None


class _Container(msgspec.Struct, rename="camel"):
    env: list[_Env] | None = None
    env_from: list[_EnvFrom] | None = None


class _SecretVolume(msgspec.Struct, rename="camel"):
    secret_name: str = ""


class _ClaimVolume(msgspec.Struct, rename="camel"):
    claim_name: str = ""


class _Source(msgspec.Struct, rename="camel"):
    config_map: _Named | None = None
    secret: _Named | None = None


class _Projected(msgspec.Struct):
    sources: list[_Source] | None = None


class _Volume(msgspec.Struct, rename="camel"):
    config_map: _Named | None = None
    secret: _SecretVolume | None = None
    persistent_volume_claim: _ClaimVolume | None = None
    projected: _Projected | None = None


class _PodSpec(msgspec.Struct, rename="camel", frozen=True):
    node_name: str = ""
    service_account_name: str = ""
    image_pull_secrets: list[_Named] | None = None
    volumes: list[_Volume] | None = None
    containers: list[_Container] | None = None
    init_containers: list[_Container] | None = None
    ephemeral_containers: list[_Container] | None = None


class _Pod(msgspec.Struct):
    spec: _PodSpec = _PodSpec()


class _DeviceSpec(msgspec.Struct, rename="camel", frozen=True):
    node_name: str | None = None
    device_model_ref: _ModelRef | None = None


class _Device(msgspec.Struct):
    spec: _DeviceSpec | None = None


class _ClaimSpec(msgspec.Struct, rename="camel", frozen=True):
    volume_name: str = ""


class _Claim(msgspec.Struct):
    spec: _ClaimSpec = _ClaimSpec()


_pod: Final = msgspec.json.Decoder(_Pod)
_device: Final = msgspec.json.Decoder(_Device)
_claim: Final = msgspec.json.Decoder(_Claim)
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_annotations: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_STATUS_INSIDE: Final = frozenset({Kind.DEVICE, Kind.DEVICE_MODEL})
"""Kinds whose status is no subresource: the API server counts a change of it as one of the object."""
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


class Unreadable(ValueError):
    """An object of the API does not have the shape its kind promises."""


def bound_to(kind: str, raw: bytes) -> NodeName | None:
    """The node a pod or a device is bound to."""
    if kind == Kind.POD:
        return NodeName(_decoded(_pod, raw).spec.node_name) or None
    if kind == Kind.DEVICE and (spec := _decoded(_device, raw).spec) and spec.node_name:
        return NodeName(spec.node_name)
    return None


def references(key: ObjectKey, raw: bytes) -> frozenset[ObjectKey]:
    """What must be on a node that has this object."""
    if key.kind == Kind.POD:
        return frozenset(_of_pod(key.namespace, _decoded(_pod, raw).spec))
    if key.kind == Kind.DEVICE:
        return frozenset({model} if (model := model_of(key, raw)) else ())
    if key.kind == Kind.CLAIM and (volume := _decoded(_claim, raw).spec.volume_name):
        return frozenset({ObjectKey(Kind.VOLUME, "", volume)})
    return frozenset()


def model_of(key: ObjectKey, raw: bytes) -> ObjectKey | None:
    """The DeviceModel that device *key* names; it may name none."""
    spec = _decoded(_device, raw).spec
    name = spec.device_model_ref.name if spec and spec.device_model_ref else None
    return ObjectKey(Kind.DEVICE_MODEL, key.namespace, name) if name else None


def visible(key: ObjectKey, uid: str, raw: bytes) -> DesiredObject:
    """What an edge gets of this object."""
    fields = _decoded(_fields, raw)
    fields.pop("status", None)
    metadata = _decoded(_fields, bytes(fields.get("metadata", b"{}")))
    metadata.pop("managedFields", None)
    if key.kind in _STATUS_INSIDE:
        _forget_status(metadata)
    resource_version = metadata.pop("resourceVersion", None)
    fields["metadata"] = msgspec.Raw(msgspec.json.encode(metadata))
    version = hashlib.blake2b(msgspec.json.encode(fields), digest_size=9).hexdigest()
    if resource_version is not None:
        metadata["resourceVersion"] = resource_version
        fields["metadata"] = msgspec.Raw(msgspec.json.encode(metadata))
    return DesiredObject(key, Uid(uid), Version(version), msgspec.json.encode(fields))


def _forget_status(metadata: dict[str, msgspec.Raw]) -> None:
    """Take out what a mere change of the status leaves in *metadata*."""
    metadata.pop("generation", None)
    if annotations := _decoded(_annotations, metadata.get("annotations", msgspec.Raw(b"null"))):
        annotations.pop(_LAST_APPLIED, None)
        metadata["annotations"] = msgspec.Raw(msgspec.json.encode(annotations))
        if not annotations:
            del metadata["annotations"]


def _of_pod(namespace: str, spec: _PodSpec) -> Iterator[ObjectKey]:
    for kind, name in _names(spec):
        if name:
            yield ObjectKey(kind, namespace, name)


def _names(spec: _PodSpec) -> Iterator[tuple[str, str]]:
    yield Kind.SERVICE_ACCOUNT, spec.service_account_name
    for secret in spec.image_pull_secrets or ():
        yield Kind.SECRET, secret.name
    for volume in spec.volumes or ():
        if volume.secret:
            yield Kind.SECRET, volume.secret.secret_name
        if volume.persistent_volume_claim:
            yield Kind.CLAIM, volume.persistent_volume_claim.claim_name
        yield from _pair(volume.config_map, None)
        for source in (volume.projected.sources if volume.projected else None) or ():
            yield from _pair(source.config_map, source.secret)
    for containers in (spec.init_containers, spec.containers, spec.ephemeral_containers):
        for container in containers or ():
            for env in container.env or ():
                if env.value_from:
                    yield from _pair(env.value_from.config_map_key_ref, env.value_from.secret_key_ref)
            for env_from in container.env_from or ():
                yield from _pair(env_from.config_map_ref, env_from.secret_ref)


def _pair(config_map: _Named | None, secret: _Named | None) -> Iterator[tuple[str, str]]:
    if config_map:
        yield Kind.CONFIG_MAP, config_map.name
    if secret:
        yield Kind.SECRET, secret.name


def _decoded(decoder: "msgspec.json.Decoder[T]", raw: bytes | msgspec.Raw) -> T:
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError as cause:
        raise Unreadable(str(cause)) from cause
