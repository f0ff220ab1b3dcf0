"""Defaults and validation of the workload kinds that are stored without a controller behind them. Pure."""

import json

from localkube.admission.pod_defaults import fill_in_spec
from localkube.admission.pod_validation import check_spec
from localkube.errors import Cause
from localkube.selectors import matches_label_selector
from localkube.values import Json


def _template(spec: Json) -> None:
    template: Json = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    fill_in_spec(template.setdefault("spec", {}))


def fill_in_deployment(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    _template(spec)


def fill_in_replica_set(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    _template(spec)


def fill_in_stateful_set(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    spec.setdefault("persistentVolumeClaimRetentionPolicy", {"whenDeleted": "Retain", "whenScaled": "Retain"})
    _template(spec)


def fill_in_daemon_set(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("revisionHistoryLimit", 10)
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {"maxUnavailable": 1, "maxSurge": 0})
    _template(spec)


def fill_in_job(obj: Json) -> None:
    _job_spec(obj.setdefault("spec", {}))


def _job_spec(spec: Json) -> None:
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("podReplacementPolicy", "TerminatingOrFailed")
    _template(spec)


def fill_in_cron_job(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    template = spec.setdefault("jobTemplate", {})
    template.setdefault("metadata", {})
    _template(template.setdefault("spec", {}))


_DAEMON_COUNTS = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")


def start_status(obj: Json) -> None:
    """The counts that are shown even when they are zero."""
    spec = obj["spec"]
    if "updateStrategy" in spec and "replicas" not in spec:
        obj["status"] = dict.fromkeys(_DAEMON_COUNTS, 0)
    elif "podManagementPolicy" in spec:
        obj["status"] = {"replicas": 0, "availableReplicas": 0}
    elif "replicas" in spec and "strategy" not in spec:
        obj["status"] = {"replicas": 0}
    else:
        obj["status"] = {}


def check_workload(obj: Json, old: Json | None) -> list[Cause]:
    """A selector that fits the template and never changes, and a sound pod template."""
    spec = obj["spec"]
    selector, template = spec.get("selector"), spec["template"]
    causes = []
    replicas = spec.get("replicas")
    if isinstance(replicas, int) and replicas < 0:
        message = f"Invalid value: {replicas}: must be greater than or equal to 0"
        causes.append(Cause("FieldValueInvalid", message, "spec.replicas"))
    if not selector:
        causes.append(Cause("FieldValueRequired", "Required value", "spec.selector"))
    elif not matches_label_selector(selector, template["metadata"].get("labels") or {}):
        labels = json.dumps(template["metadata"].get("labels"), separators=(",", ":"))
        message = f"Invalid value: {labels}: `selector` does not match template `labels`"
        causes.append(Cause("FieldValueInvalid", message, "spec.template.metadata.labels"))
    causes += check_spec(template["spec"], "spec.template.spec")
    if old is not None and selector != old["spec"].get("selector"):
        shown = json.dumps(selector, separators=(",", ":"))
        message = f"Invalid value: {shown}: field is immutable"
        causes.append(Cause("FieldValueInvalid", message, "spec.selector"))
    return causes
