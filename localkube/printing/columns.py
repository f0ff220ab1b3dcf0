"""Which columns each built-in kind has, and which function fills them. Pure data.

A column is written ``Name:type:priority``; type string and priority 0 may be left out. Priority 1 shows with -o wide.
"""

from collections.abc import Callable

from localkube.printing import cells, pods
from localkube.values import Json, Value

Printer = Callable[[Json, float], list[Value]]

_TEMPLATE = "Containers::1 Images::1"
_PLAIN = "Name Age"


def _printer(columns: str, fill: Printer) -> tuple[list[Json], Printer]:
    return [_column(text.replace("_", " ")) for text in columns.split()], fill


def _column(text: str) -> Json:
    name, kind, priority = (*text.split(":"), "", "")[:3]
    return {
        "name": name,
        "type": kind or "string",
        "format": "name" if name == "Name" else "",
        "description": "",
        "priority": int(priority or 0),
    }


DEFAULT = _printer(_PLAIN, cells.plain)
PRINTERS: dict[str, tuple[list[Json], Printer]] = {
    "pods": _printer("Name Ready Status Restarts Age IP::1 Node::1 Nominated_Node::1 Readiness_Gates::1", pods.row),
    "nodes": _printer(
        "Name Status Roles Age Version Internal-IP::1 External-IP::1 OS-Image::1 Kernel-Version::1 "
        "Container-Runtime::1",
        cells.node,
    ),
    "namespaces": _printer("Name Status Age", cells.namespace),
    "configmaps": _printer("Name Data Age", cells.config_map),
    "secrets": _printer("Name Type Data Age", cells.secret),
    "leases.coordination.k8s.io": _printer("Name Holder Age", cells.lease),
    "events": _printer(
        "Last_Seen Type Reason Object Subobject::1 Source::1 Message First_Seen::1 Count::1 Name::1", cells.event
    ),
    "services": _printer("Name Type Cluster-IP External-IP Port(s) Age Selector::1", cells.service),
    "deployments.apps": _printer(f"Name Ready Up-to-date Available Age {_TEMPLATE} Selector::1", cells.deployment),
    "replicasets.apps": _printer(
        f"Name Desired:integer Current:integer Ready:integer Age {_TEMPLATE} Selector::1", cells.replica_set
    ),
    "replicationcontrollers": _printer(
        f"Name Desired:integer Current:integer Ready:integer Age {_TEMPLATE} Selector::1", cells.replication_controller
    ),
    "statefulsets.apps": _printer(f"Name Ready Age {_TEMPLATE}", cells.stateful_set),
    "daemonsets.apps": _printer(
        "Name Desired:integer Current:integer Ready:integer Up-to-date:integer Available:integer Node_Selector Age "
        f"{_TEMPLATE} Selector::1",
        cells.daemon_set,
    ),
    "jobs.batch": _printer(f"Name Status Completions Duration Age {_TEMPLATE} Selector::1", cells.job),
    "cronjobs.batch": _printer(
        f"Name Schedule Timezone Suspend:boolean Active:integer Last_Schedule Age {_TEMPLATE} Selector::1",
        cells.cron_job,
    ),
    "customresourcedefinitions.apiextensions.k8s.io": _printer("Name Created_At:date", cells.created_at),
    "roles.rbac.authorization.k8s.io": _printer("Name Created_At:date", cells.created_at),
    "clusterroles.rbac.authorization.k8s.io": _printer("Name Created_At:date", cells.created_at),
    "rolebindings.rbac.authorization.k8s.io": _printer(
        "Name Role Age Users::1 Groups::1 ServiceAccounts::1", cells.binding
    ),
    "clusterrolebindings.rbac.authorization.k8s.io": _printer(
        "Name Role Age Users::1 Groups::1 ServiceAccounts::1", cells.binding
    ),
    "persistentvolumeclaims": _printer(
        "Name Status Volume Capacity Access_Modes StorageClass VolumeAttributesClass Age VolumeMode::1", cells.claim
    ),
    "persistentvolumes": _printer(
        "Name Capacity Access_Modes Reclaim_Policy Status Claim StorageClass VolumeAttributesClass Reason Age "
        "VolumeMode::1",
        cells.volume,
    ),
    "endpointslices.discovery.k8s.io": _printer("Name AddressType Ports Endpoints Age", cells.endpoint_slice),
}
