"""What is refused in a pod, and what may change in one that exists. Pure."""

import json
from collections.abc import Iterator

from localkube.admission.names import label_problem, subdomain_problem
from localkube.admission.pod_status import check_status
from localkube.admission.quantity import parse
from localkube.errors import Cause
from localkube.values import Json, Value

_MUTABLE = "pod updates may not change fields other than"
_MUTABLE_FIELDS = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_CHOICES = {
    "restartPolicy": ("Always", "OnFailure", "Never"),
    "dnsPolicy": ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"),
}
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def check(pod: Json, old: Json | None) -> list[Cause]:
    """Complaints about a new pod, or about the change of one."""
    if old is not None:
        return [*check_spec(pod["spec"], "spec"), *_changes(pod["spec"], old["spec"]), *check_status(pod, old)]
    return check_spec(pod["spec"], "spec")


def check_spec(spec: Json, path: str) -> list[Cause]:
    """Complaints about a pod spec, also inside a template."""
    causes: list[Cause] = []
    volumes = _volumes(spec.get("volumes") or [], f"{path}.volumes", causes)
    if not spec.get("containers"):
        causes.append(Cause("FieldValueRequired", "Required value", f"{path}.containers"))
    names: set[str] = set()
    for field in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(field) or []):
            causes += _container(container, f"{path}.{field}[{index}]", names, volumes)
    for field, allowed in _CHOICES.items():
        causes += _choice(spec.get(field), allowed, f"{path}.{field}")
    grace = spec.get("terminationGracePeriodSeconds")
    if isinstance(grace, int) and grace < 0:
        causes.append(_negative(grace, f"{path}.terminationGracePeriodSeconds"))
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= 2147483647:
        message = f"Invalid value: {deadline}: must be between 1 and 2147483647, inclusive"
        causes.append(Cause("FieldValueInvalid", message, f"{path}.activeDeadlineSeconds"))
    if spec.get("nodeName") and (problem := subdomain_problem(spec["nodeName"])):
        causes.append(_invalid(spec["nodeName"], problem, f"{path}.nodeName"))
    causes += _tolerations(spec.get("tolerations") or [], f"{path}.tolerations")
    return causes


def _invalid(value: Value, why: str, field: str) -> Cause:
    shown = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Cause("FieldValueInvalid", f"Invalid value: {shown}: {why}", field)


def _negative(value: int, field: str) -> Cause:
    return _invalid(value, "must be greater than or equal to 0", field)


def _choice(value: Value, allowed: tuple[str, ...], field: str) -> list[Cause]:
    if value is None or value in allowed:
        return []
    supported = ", ".join(f'"{item}"' for item in sorted(allowed))
    return [Cause("FieldValueNotSupported", f'Unsupported value: "{value}": supported values: {supported}', field)]


def _required(field: str) -> Cause:
    return Cause("FieldValueRequired", "Required value", field)


def _volumes(volumes: list[Json], path: str, causes: list[Cause]) -> set[str]:
    names: set[str] = set()
    for index, volume in enumerate(volumes):
        name, at = volume.get("name", ""), f"{path}[{index}].name"
        if not name:
            causes.append(_required(at))
        elif problem := label_problem(name):
            causes.append(_invalid(name, problem, at))
        elif name in names:
            causes.append(Cause("FieldValueDuplicate", f'Duplicate value: "{name}"', at))
        names.add(name)
        sources = [key for key in volume if key != "name"]
        for extra in sources[1:]:
            message = "Forbidden: may not specify more than 1 volume type"
            causes.append(Cause("FieldValueForbidden", message, f"{path}[{index}].{extra}"))
    return names


def _container(container: Json, path: str, names: set[str], volumes: set[str]) -> Iterator[Cause]:
    name = container.get("name", "")
    if not name:
        yield _required(f"{path}.name")
    elif problem := label_problem(name):
        yield _invalid(name, problem, f"{path}.name")
    elif name in names:
        yield Cause("FieldValueDuplicate", f'Duplicate value: "{name}"', f"{path}.name")
    names.add(name)
    image = container.get("image", "")
    if not image:
        yield _required(f"{path}.image")
    elif image != image.strip():
        yield _invalid(image, "must not have leading or trailing whitespace", f"{path}.image")
    yield from _choice(container.get("imagePullPolicy"), _PULL_POLICIES, f"{path}.imagePullPolicy")
    yield from _ports(container.get("ports") or [], f"{path}.ports")
    yield from _environment(container.get("env") or [], f"{path}.env")
    yield from _mounts(container.get("volumeMounts") or [], f"{path}.volumeMounts", volumes)
    yield from _resources(container.get("resources") or {}, f"{path}.resources")


def _ports(ports: list[Json], path: str) -> Iterator[Cause]:
    for index, port in enumerate(ports):
        for field in ("containerPort", "hostPort"):
            number = port.get(field)
            if number is None and field == "containerPort":
                yield _required(f"{path}[{index}].{field}")
            elif number is not None and not (0 < number < 65536 or (field == "hostPort" and number == 0)):
                yield _invalid(number, "must be between 1 and 65535, inclusive", f"{path}[{index}].{field}")
        yield from _choice(port.get("protocol"), _PROTOCOLS, f"{path}[{index}].protocol")


def _environment(variables: list[Json], path: str) -> Iterator[Cause]:
    for index, variable in enumerate(variables):
        at = f"{path}[{index}]"
        if not variable.get("name"):
            yield _required(f"{at}.name")
        source = variable.get("valueFrom")
        if source is not None and variable.get("value"):
            yield _invalid("", "may not be specified when `value` is not empty", f"{at}.valueFrom")
        elif source is not None and len(source) != 1:
            if not source:
                why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
            else:
                why = "may not have more than one field specified at a time"
            yield _invalid("", why, f"{at}.valueFrom")


def _mounts(mounts: list[Json], path: str, volumes: set[str]) -> Iterator[Cause]:
    places: set[str] = set()
    for index, mount in enumerate(mounts):
        name, place = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            yield _required(f"{path}[{index}].name")
        elif name not in volumes:
            yield Cause("FieldValueNotFound", f'Not found: "{name}"', f"{path}[{index}].name")
        if not place:
            yield _required(f"{path}[{index}].mountPath")
        elif place in places:
            yield _invalid(place, "must be unique", f"{path}[{index}].mountPath")
        places.add(place)


def _resources(resources: Json, path: str) -> Iterator[Cause]:
    limits = resources.get("limits") or {}
    for kind in ("limits", "requests"):
        for name, text in (resources.get(kind) or {}).items():
            amount, at = parse(text), f"{path}.{kind}[{name}]"
            if amount is None:
                why = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                yield _invalid(text, why, at)
            elif amount < 0:
                yield _invalid(text, "must be greater than or equal to 0", at)
            elif kind == "requests" and (limit := parse(limits.get(name, ""))) is not None and amount > limit:
                why = f"must be less than or equal to {name} limit of {limits[name]}"
                yield _invalid(text, why, f"{path}.requests")


def _tolerations(tolerations: list[Json], path: str) -> Iterator[Cause]:
    for index, toleration in enumerate(tolerations):
        at = f"{path}[{index}]"
        operator = toleration.get("operator", "Equal")
        yield from _choice(operator, ("Equal", "Exists"), f"{at}.operator")
        if not toleration.get("key") and operator != "Exists":
            why = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            yield _invalid(operator, why, f"{at}.operator")
        if operator == "Exists" and toleration.get("value"):
            yield _invalid(toleration, "value must be empty when `operator` is 'Exists'", f"{at}.operator")
        yield from _choice(toleration.get("effect") or None, _EFFECTS, f"{at}.effect")
        if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
            why = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            yield _invalid(toleration.get("effect", ""), why, f"{at}.effect")


def _changes(new: Json, old: Json) -> Iterator[Cause]:
    """Only images, deadlines, tolerations (more of them) and a negative grace period may change."""
    if len(new.get("containers") or []) != len(old.get("containers") or []):
        message = "Forbidden: pod updates may not add or remove containers"
        yield Cause("FieldValueForbidden", message, "spec.containers")
        return
    if len(new.get("initContainers") or []) != len(old.get("initContainers") or []):
        message = "Forbidden: pod updates may not add or remove containers"
        yield Cause("FieldValueForbidden", message, "spec.initContainers")
        return
    added = new.get("tolerations") or []
    if any(toleration not in added for toleration in old.get("tolerations") or []):
        message = "Forbidden: existing toleration can not be modified except its tolerationSeconds"
        yield Cause("FieldValueForbidden", message, "spec.tolerations")
    elif _frozen_part(new) != _frozen_part(old):
        yield Cause("FieldValueForbidden", f"Forbidden: {_MUTABLE} {_MUTABLE_FIELDS}", "spec")


def _frozen_part(spec: Json) -> Json:
    frozen = {k: v for k, v in spec.items() if k not in ("activeDeadlineSeconds", "tolerations", "ephemeralContainers")}
    for field in ("containers", "initContainers"):
        if field in frozen:
            frozen[field] = [{k: v for k, v in c.items() if k != "image"} for c in frozen[field]]
    if (frozen.get("terminationGracePeriodSeconds") or 0) in (1, -1):
        frozen.pop("terminationGracePeriodSeconds")
    return frozen
