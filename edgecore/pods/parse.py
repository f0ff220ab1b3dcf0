"""Body of a pod → `PodSpec`, with a complaint for every field that this node would not honour. Pure.

Owns: the list of what is supported. A field is either read here, or accepted by name because it is no business of a
node (scheduling, priorities), or it ends in `PodSpec.complaints` with its path and the pod is refused visibly.
"""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any, Final, cast

from edgecore.pods import times
from edgecore.pods.dirs import NAME
from edgecore.pods.parse_container import container_view, security_view
from edgecore.pods.parse_volume import volume_view
from edgecore.pods.reader import Reader
from edgecore.pods.spec import Deletion, DnsConfig, HostAlias, PodSecurity, PodSpec, RestartPolicy
from edgelink.objects import DesiredObject

_NOT_OURS: Final = (
    "affinity",
    "automountServiceAccountToken",
    "enableServiceLinks",
    "nodeName",
    "nodeSelector",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "schedulerName",
    "schedulingGates",
    "serviceAccount",
    "tolerations",
    "topologySpreadConstraints",
)
"""Decided before a pod reaches a node, or by admission."""

DNS_POLICIES: Final = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")


def parse(wanted: DesiredObject) -> PodSpec:
    """The pod in *wanted*. Never raises: what cannot be read is a complaint."""
    complaints: list[str] = []
    try:
        body: Any = json.loads(wanted.body)
    except ValueError as error:
        body, complaints = {}, [f"the body is not JSON: {error}"]
    if not isinstance(body, dict):
        body, complaints = {}, ["the body is not a JSON object"]
    whole = Reader(body, "", complaints)
    metadata = whole.sub("metadata") or Reader({}, "metadata", complaints)
    spec = whole.sub("spec") or Reader({}, "spec", complaints)
    fields = _metadata(metadata) | _policies(spec) | _host(spec) | _parts(spec) | _security(spec)
    spec.accept(*_NOT_OURS)
    spec.close()
    pod = PodSpec(namespace=wanted.key.namespace, name=wanted.key.name, uid=wanted.uid, **fields)
    complaints.extend(_ill_named(pod))
    return dataclasses.replace(pod, complaints=tuple(complaints))


def _ill_named(pod: PodSpec) -> Iterator[str]:
    """Names become paths on this node, so the API's rules for them are checked once more."""
    if not pod.containers:
        yield "spec.containers: must not be empty"
    for field, name in (("namespace", pod.namespace), ("name", pod.name), ("uid", pod.uid)):
        if not NAME.fullmatch(name):
            yield f"metadata.{field}: {name[:64]!r} is not a valid name"
    for kind, names in (
        ("containers", [view.name for view in pod.all_containers()]),
        ("volumes", [volume.name for volume in pod.volumes]),
    ):
        yield from (f"spec.{kind}: {name[:64]!r} is not a valid name" for name in names if not NAME.fullmatch(name))
        if len(set(names)) != len(names):
            yield f"spec.{kind}: names must be unique"


def _metadata(metadata: Reader) -> dict[str, Any]:
    created = None
    if text := metadata.optional_text("creationTimestamp"):
        try:
            created = times.parse(text)
        except ValueError:
            metadata.complain("creationTimestamp", "is not a time")
    deletion = None
    if text := metadata.optional_text("deletionTimestamp"):
        grace = metadata.integer("deletionGracePeriodSeconds")
        deletion = Deletion(text, float(max(0, 30 if grace is None else grace)))
    return {
        "labels": metadata.table("labels"),
        "annotations": metadata.table("annotations"),
        "generation": metadata.integer("generation"),
        "created": created,
        "deletion": deletion,
    }


def _policies(spec: Reader) -> dict[str, Any]:
    grace = spec.integer("terminationGracePeriodSeconds")
    deadline = spec.integer("activeDeadlineSeconds")
    restart = spec.choice("restartPolicy", ("Always", "OnFailure", "Never"), "Always")
    return {
        "restart_policy": cast(RestartPolicy, restart),
        "grace": float(max(0, 30 if grace is None else grace)),
        "active_deadline": None if deadline is None else float(deadline),
        "service_account": spec.text("serviceAccountName"),
        "pull_secrets": tuple(entry.text("name") for entry in spec.each("imagePullSecrets")),
    }


def _host(spec: Reader) -> dict[str, Any]:
    dns = DnsConfig()
    if (config := spec.sub("dnsConfig")) is not None:
        options = []
        for option in config.each("options"):
            name, value = option.text("name"), option.optional_text("value")
            options.append(name if value is None else f"{name}:{value}")
        dns = DnsConfig(config.strings("nameservers"), config.strings("searches"), tuple(options))
        config.close()
    if spec.optional_flag("hostUsers") is False:
        spec.complain("hostUsers", "false is not supported")
    if (system := spec.sub("os")) is not None:
        system.choice("name", ("linux",), "linux")
    aliases = [HostAlias(entry.text("ip"), entry.strings("hostnames")) for entry in spec.each("hostAliases")]
    return {
        "host_network": spec.flag("hostNetwork"),
        "host_pid": spec.flag("hostPID"),
        "host_ipc": spec.flag("hostIPC"),
        "share_process_namespace": spec.flag("shareProcessNamespace"),
        "hostname": spec.text("hostname"),
        "subdomain": spec.text("subdomain"),
        "host_aliases": tuple(aliases),
        "dns_policy": spec.choice("dnsPolicy", DNS_POLICIES, "ClusterFirst"),
        "dns_config": dns,
    }


def _parts(spec: Reader) -> dict[str, Any]:
    return {
        "containers": tuple(container_view(entry) for entry in spec.each("containers")),
        "init_containers": tuple(container_view(entry) for entry in spec.each("initContainers")),
        # These come while the pod runs: a complaint would end what somebody only wants to look into.
        "ephemeral": {entry.text("name"): entry.text("image") for entry in spec.each("ephemeralContainers")},
        "volumes": tuple(volume_view(entry) for entry in spec.each("volumes")),
    }


def _security(spec: Reader) -> dict[str, Any]:
    context = spec.sub("securityContext")
    if context is None:
        return {}
    view = security_view(context)
    context.choice("supplementalGroupsPolicy", ("", "Merge"), "")
    context.accept("fsGroupChangePolicy", "seLinuxChangePolicy")
    sysctls = {entry.text("name"): entry.text("value") for entry in context.each("sysctls")}
    pod_security = PodSecurity(context.integers("supplementalGroups"), context.integer("fsGroup"), sysctls)
    context.close()
    return {"security": view, "pod_security": pod_security}
