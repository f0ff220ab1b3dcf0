"""Small pure pieces: quantities, ages, names, selectors, JSONPath."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localkube.admission import names, quantity
from localkube.errors import ApiError
from localkube.printing import duration, jsonpath
from localkube.selectors import matches_labels, parse_fields, parse_labels


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1Gi", "1Gi"),
        ("1024Mi", "1Gi"),
        ("1e3", "1e3"),
        ("0", "0"),
        ("1.5Gi", "1536Mi"),
    ],
)
def test_quantities_have_one_spelling(written: str, shown: str) -> None:
    assert quantity.canonical(written) == shown


@given(st.integers(0, 10**12), st.sampled_from(["", "m", "k", "M", "Ki", "Mi"]))
def test_the_canonical_spelling_means_the_same(number: int, suffix: str) -> None:
    assert quantity.parse(quantity.canonical(f"{number}{suffix}")) == quantity.parse(f"{number}{suffix}")


@pytest.mark.parametrize("text", ["", "abc", "1x", "--1", "1 Gi"])
def test_what_is_no_quantity(text: str) -> None:
    assert quantity.parse(text) is None


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (119, "119s"),
        (192, "3m12s"),
        (600, "10m"),
        (3 * 3600 + 60, "3h1m"),
        (200000, "2d7h"),
        (86400 * 9, "9d"),
    ],
)
def test_ages(seconds: int, shown: str) -> None:
    assert duration.human(seconds) == shown


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ("app=a", True),
        ("app==a,tier", True),
        ("app!=a", False),
        ("app in (a, b)", True),
        ("app notin (a)", False),
        ("!gone", True),
        ("!app", False),
        ("n>2", True),
        ("n<2", False),
        ("", True),
    ],
)
def test_label_selectors(selector: str, fits: bool) -> None:
    assert matches_labels(parse_labels(selector), {"app": "a", "tier": "x", "n": "3"}) is fits


@pytest.mark.parametrize("selector", ["a b c", "app===a", "app in a", ",", "n>x"])
def test_unreadable_label_selectors_are_refused(selector: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_labels(selector)
    assert refused.value.code == 400


def test_field_selectors() -> None:
    [name, phase] = parse_fields("metadata.name=x,status.phase!=Running")
    assert (name.path, name.equal, name.value) == ("metadata.name", True, "x")
    assert (phase.path, phase.equal, phase.value) == ("status.phase", False, "Running")
    with pytest.raises(ApiError, match="can't understand"):
        parse_fields("metadata.name")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.size", [3]),
        ("{.spec.size}", [3]),
        ('.conditions[?(@.type=="Ready")].status', ["True"]),
        (".conditions[*].type", ["Ready", "Other"]),
        (".conditions[0].type", ["Ready"]),
        (".labels['a.b/c']", ["x"]),
        (r".labels.a\.b/c", ["x"]),
        (".missing.deep", []),
        ("(((", []),
    ],
)
def test_jsonpath(path: str, found: list[object]) -> None:
    conditions = [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]
    obj = {"spec": {"size": 3}, "conditions": conditions, "labels": {"a.b/c": "x"}}
    assert jsonpath.find(obj, path) == found


@pytest.mark.parametrize(
    ("name", "good"), [("a", True), ("a.b-c", True), ("A", False), ("-a", False), ("a" * 254, False)]
)
def test_subdomain_names(name: str, good: bool) -> None:
    assert (names.subdomain_problem(name) is None) is good


def test_a_namespace_name_has_no_dots() -> None:
    assert names.label_problem("a.b") == "must not contain dots"
