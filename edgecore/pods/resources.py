"""Requests and limits → cgroup settings, OOM score and QoS class, as the kubelet derives them. Pure.

Sources: pkg/kubelet/cm/helpers_linux.go (shares, quota), pkg/kubelet/qos/policy.go (OOM score),
pkg/apis/core/v1/helper/qos (QoS class).
"""

import dataclasses
from typing import Final

from edgecore.pods import quantity
from edgecore.pods.spec import ContainerView, PodSpec, ResourceRef
from edgecore.runtime.contract import Resources

PERIOD: Final = 100_000
_MIN_QUOTA: Final = 1_000
_MIN_SHARES: Final = 2
_MAX_SHARES: Final = 262_144


@dataclasses.dataclass(frozen=True, slots=True)
class Capacity:
    """What the node has to give."""

    cpu_milli: int
    memory: int


def qos_class(pod: PodSpec) -> str:
    """Guaranteed, Burstable or BestEffort."""
    guaranteed, anything = True, False
    for container in pod.all_containers():
        for name in ("cpu", "memory"):
            limit = quantity.nano(container.limits.get(name, "0"))
            request = quantity.nano(container.requests.get(name, "0"))
            anything = anything or limit > 0 or request > 0
            guaranteed = guaranteed and limit > 0 and limit == request
    if not anything:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def oom_score_adj(pod: PodSpec, container: ContainerView, capacity: Capacity) -> int:
    """Who dies first when the node runs out of memory."""
    match qos_class(pod):
        case "Guaranteed":
            return -997
        case "BestEffort":
            return 1000
    request = quantity.whole(container.requests.get("memory", "0"))
    return min(max(1000 - 1000 * request // max(1, capacity.memory), 3), 999)


def container_resources(pod: PodSpec, container: ContainerView, capacity: Capacity) -> Resources:
    """cgroup settings of a container; no limit leaves quota and memory alone."""
    shares = quantity.milli(container.requests.get("cpu", "0")) * 1024 // 1000
    quota = None
    if (limit := quantity.milli(container.limits.get("cpu", "0"))) > 0:
        quota = max(_MIN_QUOTA, limit * PERIOD // 1000)
    return Resources(
        cpu_shares=min(max(_MIN_SHARES, shares), _MAX_SHARES),
        cpu_quota=quota,
        cpu_period=None if quota is None else PERIOD,
        memory_limit=quantity.whole(container.limits.get("memory", "0")) or None,
        oom_score_adj=oom_score_adj(pod, container, capacity),
    )


def field_value(container: ContainerView, ref: ResourceRef, capacity: Capacity) -> str:
    """What ``resourceFieldRef`` shows: rounded up to the divisor; a limit that is not set is the node's capacity."""
    kind, _, name = ref.resource.partition(".")
    given = (container.limits if kind == "limits" else container.requests).get(name)
    if given is not None:
        value = quantity.nano(given)
    elif kind == "limits":
        value = capacity.cpu_milli * 10**6 if name == "cpu" else capacity.memory * 10**9
    else:
        value = 0
    divisor = quantity.nano(ref.divisor) or 10**9
    return str(quantity.divided(value, divisor))
