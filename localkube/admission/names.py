"""Name and label syntax, with the complaints of the API server. Pure."""

import re

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_SEGMENT_PROBLEMS = {".": "may not be '.'", "..": "may not be '..'"}

_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_QUALIFIED_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def subdomain_problem(name: str) -> str | None:
    """Why *name* is no RFC 1123 subdomain, None when it is one."""
    if len(name) > 253:
        return "must be no more than 253 bytes"
    return None if _SUBDOMAIN.fullmatch(name) else _SUBDOMAIN_RULE


def label_problem(name: str) -> str | None:
    """Why *name* is no RFC 1123 label."""
    if len(name) > 63:
        return "must be no more than 63 bytes"
    if _LABEL.fullmatch(name):
        return None
    return "must not contain dots" if "." in name and _SUBDOMAIN.fullmatch(name) else _LABEL_RULE


def segment_problem(name: str) -> str | None:
    """Why *name* cannot be part of a path; all that roles and their bindings are asked."""
    if name in _SEGMENT_PROBLEMS:
        return _SEGMENT_PROBLEMS[name]
    for letter in "/%":
        if letter in name:
            return f"may not contain '{letter}'"
    return None


def qualified_problem(name: str) -> str | None:
    """Why *name* is no label or annotation key."""
    prefix, slash, last = name.rpartition("/")
    if slash and subdomain_problem(prefix):
        return f"prefix part {_SUBDOMAIN_RULE}"
    if not last:
        return f"name part must be non-empty; {_QUALIFIED_RULE}" if slash else "name part must be non-empty"
    if len(last) > 63:
        return "name part must be no more than 63 bytes"
    return None if _QUALIFIED.fullmatch(last) else _QUALIFIED_RULE


def label_value_problem(value: str) -> str | None:
    if len(value) > 63:
        return "must be no more than 63 bytes"
    return None if _VALUE.fullmatch(value) else _VALUE_RULE
