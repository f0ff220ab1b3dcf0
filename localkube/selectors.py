"""Label and field selectors: text → predicate. Pure.

Label selector grammar: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

import dataclasses
import re
from collections.abc import Callable, Mapping

from localkube.errors import ApiError, bad_request
from localkube.values import Json, Value

Labels = Mapping[str, str]
LabelTest = Callable[[Labels], bool]

_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_KEY = rf"(?:[a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?{_NAME}"
_REQUIREMENT = re.compile(
    rf"\s*(?:!\s*(?P<absent>{_KEY})|(?P<key>{_KEY})(?:\s*(?P<op>==|=|!=|>|<)\s*(?P<value>[^\s,=!<>()]*)"
    r"|\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?)\s*"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Requirement:
    key: str
    op: str
    values: frozenset[str]

    def matches(self, labels: Labels) -> bool:
        value = labels.get(self.key)
        if self.op == "exists":
            return value is not None
        if self.op == "absent":
            return value is None
        if self.op == "in":
            return value in self.values
        if self.op == "notin":
            return value not in self.values
        if value is None or not re.fullmatch(r"-?\d+", value):
            return False
        (bound,) = self.values
        return int(value) > int(bound) if self.op == ">" else int(value) < int(bound)


def parse_labels(text: str) -> tuple[Requirement, ...]:
    """The requirements of a label selector; ApiError 400 when it cannot be read."""
    requirements: list[Requirement] = []
    position = 0
    while position < len(text):
        match = _REQUIREMENT.match(text, position)
        if match is None or (match.end() < len(text) and text[match.end()] != ","):
            raise _unreadable(text, match.end() if match else position)
        requirements.append(_requirement(match))
        position = match.end() + 1
    return tuple(requirements)


def _requirement(match: re.Match[str]) -> Requirement:
    if match["absent"]:
        return Requirement(match["absent"], "absent", frozenset())
    key = match["key"]
    if match["set"]:
        return Requirement(key, match["set"], frozenset(value.strip() for value in match["values"].split(",")))
    if match["op"] is None:
        return Requirement(key, "exists", frozenset())
    value = frozenset({match["value"]})
    if match["op"] in (">", "<"):
        if not re.fullmatch(r"-?\d+", match["value"]):
            raise bad_request(f"unable to parse requirement: values[0][{key}]: Invalid value: {match['value']!r}")
        return Requirement(key, match["op"], value)
    return Requirement(key, "notin" if match["op"] == "!=" else "in", value)


def _unreadable(text: str, position: int) -> ApiError:
    before, rest = text[:position], text[position:].strip()
    found = re.split(r"[\s,]", rest)[0] if rest else ""
    if found.startswith("="):
        return bad_request(f"unable to parse requirement: found '{found[0]}', expected: identifier")
    expected = "in, notin, =, ==, !=, gt, lt" if before.endswith(" ") else "',' or 'end of string'"
    return bad_request(f"unable to parse requirement: found '{found}', expected: {expected}")


def matches_labels(requirements: tuple[Requirement, ...], labels: Labels) -> bool:
    return all(requirement.matches(labels) for requirement in requirements)


def matches_label_selector(selector: Json, labels: Labels) -> bool:
    """A LabelSelector object (matchLabels, matchExpressions)."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(matches_expression(expression, labels) for expression in selector.get("matchExpressions") or [])


_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "absent", "Gt": ">", "Lt": "<"}


def matches_expression(expression: Json, labels: Labels) -> bool:
    """One matchExpressions item of a label or node selector."""
    op = _OPERATORS.get(expression.get("operator", ""))
    if op is None:
        return False
    values = frozenset(expression.get("values") or [])
    return Requirement(expression.get("key", ""), op, values).matches(labels)


@dataclasses.dataclass(frozen=True, slots=True)
class FieldTerm:
    path: str
    equal: bool
    value: str


FIELDS: dict[str, dict[str, str]] = {
    "pods": {
        "spec.nodeName": "",
        "spec.restartPolicy": "",
        "spec.schedulerName": "",
        "spec.serviceAccountName": "",
        "spec.hostNetwork": "false",
        "status.phase": "",
        "status.podIP": "",
        "status.podIPs": "",
        "status.nominatedNodeName": "",
    },
    "nodes": {"spec.unschedulable": "false"},
    "namespaces": {"status.phase": ""},
    "secrets": {"type": ""},
    "services": {"spec.clusterIP": "", "spec.type": ""},
    "events": {
        "involvedObject.kind": "",
        "involvedObject.namespace": "",
        "involvedObject.name": "",
        "involvedObject.uid": "",
        "involvedObject.apiVersion": "",
        "involvedObject.resourceVersion": "",
        "involvedObject.fieldPath": "",
        "reason": "",
        "reportingComponent": "",
        "source": "",
        "type": "",
    },
    "replicasets.apps": {"status.replicas": "0"},
    "replicationcontrollers": {"status.replicas": "0"},
    "jobs.batch": {"status.successful": "0"},
}
"""Storage key → selectable field → what an absent field counts as."""

_METADATA = ("metadata.name", "metadata.namespace")


def parse_fields(text: str) -> tuple[FieldTerm, ...]:
    """The terms of a field selector; ApiError 400 when it cannot be read."""
    terms = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"([^=!]+)(!=|==|=)(.*)", part)
        if match is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        terms.append(FieldTerm(match[1].strip(), match[2] != "!=", match[3].strip()))
    return tuple(terms)


def lookup(obj: Json, path: str) -> str:
    """The text of a plain dotted *path*; empty when absent."""
    value: Value = obj
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def check_fields(terms: tuple[FieldTerm, ...], key: str, selectable: tuple[str, ...]) -> str | None:
    """The first field that *key* cannot be selected by, if any."""
    known = FIELDS.get(key, {})
    for term in terms:
        if term.path not in _METADATA and term.path not in known and term.path not in selectable:
            return term.path
    return None


def matches_fields(terms: tuple[FieldTerm, ...], key: str, obj: Json) -> bool:
    known = FIELDS.get(key, {})
    return all(((lookup(obj, t.path) or known.get(t.path, "")) == t.value) is t.equal for t in terms)
