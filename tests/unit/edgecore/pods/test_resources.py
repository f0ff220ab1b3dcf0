"""Covers edgecore.pods.resources."""

import pytest

from edgecore.pods.parse import parse
from edgecore.pods.resources import Capacity, container_resources, field_value, qos_class
from edgecore.pods.spec import PodSpec, ResourceRef
from tests.unit.edgecore.pods.story import Json, container, pod, want

NODE = Capacity(4000, 4 << 30)


def of(*resources: Json) -> PodSpec:
    return parse(want(pod(containers=[container(f"c{n}", resources=each) for n, each in enumerate(resources)])))


@pytest.mark.parametrize(
    ("resources", "qos"),
    [
        ([{}], "BestEffort"),
        ([{"requests": {"cpu": "0"}}], "BestEffort"),
        ([{"requests": {"cpu": "1"}}], "Burstable"),
        ([{"limits": {"memory": "1Gi"}}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}], "Guaranteed"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}, {}], "Burstable"),
    ],
)
def test_qos(resources: list[Json], qos: str) -> None:
    assert qos_class(of(*resources)) == qos


def test_limits_become_quota_and_memory() -> None:
    pod_spec = of({"limits": {"cpu": "300m", "memory": "64Mi"}, "requests": {"cpu": "100m", "memory": "32Mi"}})
    found = container_resources(pod_spec, pod_spec.containers[0], NODE)
    assert (found.cpu_shares, found.cpu_quota, found.cpu_period, found.memory_limit) == (102, 30000, 100000, 64 << 20)
    assert found.oom_score_adj == 993


def test_nothing_asked_leaves_the_runtime_alone() -> None:
    pod_spec = of({})
    found = container_resources(pod_spec, pod_spec.containers[0], NODE)
    assert (found.cpu_shares, found.cpu_quota, found.cpu_period, found.memory_limit) == (2, None, None, None)
    assert found.oom_score_adj == 1000


def test_the_smallest_quota() -> None:
    pod_spec = of({"limits": {"cpu": "1m"}})
    assert container_resources(pod_spec, pod_spec.containers[0], NODE).cpu_quota == 1000


@pytest.mark.parametrize(("memory", "score"), [("4Gi", 3), ("2Gi", 500), ("1Ki", 999)])
def test_burstable_scores(memory: str, score: int) -> None:
    pod_spec = of({"requests": {"memory": memory}})
    assert container_resources(pod_spec, pod_spec.containers[0], NODE).oom_score_adj == score


def test_guaranteed_dies_last() -> None:
    pod_spec = of({"limits": {"cpu": "1", "memory": "1Gi"}})
    assert container_resources(pod_spec, pod_spec.containers[0], NODE).oom_score_adj == -997


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        ("limits.cpu", "0", "1"),
        ("limits.cpu", "1m", "300"),
        ("requests.cpu", "1m", "300"),
        ("limits.memory", "1Mi", "4096"),
        ("requests.memory", "1", "0"),
    ],
)
def test_fields(resource: str, divisor: str, value: str) -> None:
    pod_spec = of({"limits": {"cpu": "300m"}})
    assert field_value(pod_spec.containers[0], ResourceRef(resource, divisor=divisor), NODE) == value


def test_a_limit_that_is_not_set_is_the_node() -> None:
    assert field_value(of({}).containers[0], ResourceRef("limits.cpu"), NODE) == "4"
