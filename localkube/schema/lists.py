"""How lists of built-in kinds merge: the facts that types.json cannot carry.

Three views of one list differ in the API: the strategic merge patch key, the (possibly wider) key of field ownership,
and for some fields the rule that a patch keeps only the keys it names. A list without an entry is replaced whole.
"""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class ListRule:
    """Semantics of one list field."""

    patch_key: str = ""
    """Merge key of a strategic merge patch; empty: a list of scalars merged as a set."""
    map_keys: tuple[str, ...] = ()
    """Keys of field ownership; empty with an empty patch_key: a set."""
    patch_merges: bool = True
    """False: a strategic merge patch replaces the list, only ownership sees single items."""
    retain_keys: bool = False


def _by(key: str, *map_keys: str, **more: bool) -> ListRule:
    return ListRule(key, map_keys or (key,), **more)


_SET = ListRule()
_CONDITIONS = _by("type")

LISTS: dict[tuple[str, str], ListRule] = {
    ("V1ObjectMeta", "ownerReferences"): _by("uid"),
    ("V1ObjectMeta", "finalizers"): _SET,
    ("V1PodSpec", "volumes"): _by("name", retain_keys=True),
    ("V1PodSpec", "containers"): _by("name"),
    ("V1PodSpec", "initContainers"): _by("name"),
    ("V1PodSpec", "ephemeralContainers"): _by("name"),
    ("V1PodSpec", "imagePullSecrets"): _by("name"),
    ("V1PodSpec", "hostAliases"): _by("ip"),
    ("V1PodSpec", "topologySpreadConstraints"): _by("topologyKey", "topologyKey", "whenUnsatisfiable"),
    ("V1PodSpec", "schedulingGates"): _by("name"),
    ("V1PodSpec", "resourceClaims"): _by("name", retain_keys=True),
    ("V1PodStatus", "conditions"): _CONDITIONS,
    ("V1PodStatus", "podIPs"): _by("ip"),
    ("V1PodStatus", "hostIPs"): ListRule(patch_key="ip"),
    ("V1PodStatus", "resourceClaimStatuses"): _by("name", retain_keys=True),
    ("V1NodeSpec", "podCIDRs"): _SET,
    ("V1NodeStatus", "conditions"): _CONDITIONS,
    ("V1NodeStatus", "addresses"): _by("type"),
    ("V1NamespaceStatus", "conditions"): _CONDITIONS,
    ("V1PersistentVolumeClaimStatus", "conditions"): _CONDITIONS,
    ("V1ServiceAccount", "secrets"): _by("name"),
    ("V1ServiceSpec", "ports"): _by("port", "port", "protocol"),
    ("V1ServiceStatus", "conditions"): _CONDITIONS,
    ("V1DeploymentStatus", "conditions"): _CONDITIONS,
    ("V1ReplicaSetStatus", "conditions"): _CONDITIONS,
    ("V1DaemonSetStatus", "conditions"): _CONDITIONS,
    ("V1StatefulSetStatus", "conditions"): _CONDITIONS,
    ("V1ReplicationControllerStatus", "conditions"): _CONDITIONS,
    ("V1JobStatus", "conditions"): _CONDITIONS,
    ("V1PodDisruptionBudgetStatus", "conditions"): _CONDITIONS,
    ("V1CustomResourceDefinitionStatus", "conditions"): ListRule(map_keys=("type",), patch_merges=False),
    ("V1ResourceRequirements", "claims"): ListRule(map_keys=("name",), patch_merges=False),
}
for _container in ("V1Container", "V1EphemeralContainer"):
    LISTS[_container, "ports"] = _by("containerPort", "containerPort", "protocol")
    LISTS[_container, "env"] = _by("name")
    LISTS[_container, "volumeMounts"] = _by("mountPath")
    LISTS[_container, "volumeDevices"] = _by("devicePath")

ATOMIC_TYPES = frozenset(
    {
        "V1LabelSelector",
        "V1ObjectReference",
        "CoreV1ObjectReference",
        "V1SecretKeySelector",
        "V1ConfigMapKeySelector",
        "V1LocalObjectReference",
        "V1ObjectFieldSelector",
        "V1ResourceFieldSelector",
        "V1NodeSelector",
        "V1NodeSelectorTerm",
        "V1TypedLocalObjectReference",
        "V1OwnerReference",
        "V1RoleRef",
        "V1SecretReference",
        "V1ScopeSelector",
        "V1Subject",
    }
)
"""Structures that one manager owns as a whole."""

ATOMIC_FIELDS = frozenset({("V1PodSpec", "nodeSelector"), ("V1ServiceSpec", "selector"), ("V1Endpoints", "subsets")})
"""Maps and lists that one manager owns as a whole although their type does not say so."""

ALWAYS_SHOWN: dict[str, dict[str, object]] = {
    "CoreV1Event": {
        "firstTimestamp": None,
        "lastTimestamp": None,
        "eventTime": None,
        "source": {},
        "reportingComponent": "",
        "reportingInstance": "",
    },
    "V1NodeCondition": {"lastHeartbeatTime": None, "lastTransitionTime": None},
    "V1PodCondition": {"lastProbeTime": None, "lastTransitionTime": None},
    "V1DeploymentCondition": {"lastUpdateTime": None, "lastTransitionTime": None},
    "V1ReplicaSetCondition": {"lastTransitionTime": None},
    "V1ContainerStateRunning": {"startedAt": None},
    "V1ContainerStateTerminated": {"startedAt": None, "finishedAt": None},
    "V1ContainerStatus": {"lastState": {}},
}
"""Fields that an answer shows even when nobody set them: Go writes a zero time as null."""

MICRO_TIMES = frozenset(
    {
        ("V1LeaseSpec", "renewTime"),
        ("V1LeaseSpec", "acquireTime"),
        ("CoreV1Event", "eventTime"),
        ("EventsV1Event", "eventTime"),
        ("CoreV1EventSeries", "lastObservedTime"),
        ("EventsV1EventSeries", "lastObservedTime"),
    }
)
"""Timestamps that must be written with six digits after the point."""
