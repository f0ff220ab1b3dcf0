"""Manifests: complete YAML, and rights that are enough and no more."""

import datetime
from typing import Any

import pytest
import yaml

from cloudcore.enroll.keystore import Keystore
from cloudcore.enroll.revocations import revoke
from cloudcore.enroll.tokens import TokenStore
from cloudcore.kube.errors import Forbidden
from cloudcore.kube.kinds import NAMESPACES, PODS, SECRETS
from cloudcore.manifests.render import manifests
from edgelink.aio.clock import SystemClock
from edgelink.objects import NodeName
from tests.fakes.kube import FakeKube

SPACE = "plant-system"
Object = dict[str, Any]


@pytest.fixture(scope="module")
def objects() -> list[Object]:
    return list(yaml.safe_load_all(manifests(SPACE, "registry.example/cloudcore:1")))


def permits(objects: list[Object], verb: str, resource: str, namespace: str) -> bool:
    roles = [one for one in objects if one["kind"] in ("Role", "ClusterRole")]
    return any(
        resource in rule["resources"] and verb in rule["verbs"]
        for role in roles
        if role["kind"] == "ClusterRole" or role["metadata"]["namespace"] == namespace
        for rule in role["rules"]
    )


@pytest.fixture
def kube(objects: list[Object]) -> FakeKube:
    """An API server that holds us to the manifests."""
    kube = FakeKube()
    kube.put(NAMESPACES, "", objects[0])
    kube.permits = lambda verb, resource, namespace: permits(objects, verb, resource, namespace)
    return kube


def test_kinds_come_in_an_order_that_can_be_applied(objects: list[Object]) -> None:
    kinds = [one["kind"] for one in objects]
    assert kinds[:5] == ["Namespace", *["CustomResourceDefinition"] * 3, "ServiceAccount"]
    assert kinds[-2:] == ["Deployment", "Service"]
    assert all({"apiVersion", "kind", "metadata"} <= set(one) for one in objects)


def test_every_binding_has_its_role_and_our_account(objects: list[Object]) -> None:
    roles = {(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in objects}
    bindings = [one for one in objects if one["kind"].endswith("Binding")]
    assert len(bindings) == 3
    for one in bindings:
        assert (one["roleRef"]["kind"], one["metadata"].get("namespace"), one["roleRef"]["name"]) in roles
        assert one["subjects"] == [{"kind": "ServiceAccount", "name": "cloudcore", "namespace": SPACE}]


def test_no_right_is_a_wildcard_and_secrets_are_written_at_home_only(objects: list[Object]) -> None:
    rules = [(one["kind"], rule) for one in objects if one["kind"].endswith("Role") for rule in one["rules"]]
    assert not any("*" in rule[field] for _, rule in rules for field in rule)
    for verb in ("create", "update", "patch", "delete"):
        assert not permits(objects, verb, "secrets", "default")
    for right in (("create", "pods"), ("delete", "nodes"), ("list", "leases"), ("create", "serviceaccounts")):
        assert not permits(objects, *right, SPACE)


def test_leases_in_their_namespace_only(objects: list[Object]) -> None:
    assert all(permits(objects, verb, "leases", "kube-node-lease") for verb in ("get", "create", "patch"))
    assert not permits(objects, "patch", "leases", "kube-system")


async def test_the_rights_are_enough_for_enrolment(kube: FakeKube) -> None:
    clock = SystemClock()
    store = Keystore(kube, SPACE, clock)
    authority = await store.authority()
    await store.server(authority)
    tokens = TokenStore(kube, SPACE, clock)
    token, _ = await tokens.create(authority.fingerprint, node="", life=datetime.timedelta(hours=1), uses=1)
    await tokens.consume(token, NodeName("press-03"), "k")
    await tokens.revoke(token.id)
    await revoke(kube, SPACE, NodeName("press-03"), clock)


async def test_the_guard_of_these_tests_guards(kube: FakeKube) -> None:
    with pytest.raises(Forbidden):
        await kube.create(SECRETS, "default", b'{"metadata":{"name":"a"}}')
    with pytest.raises(Forbidden):
        await kube.create(PODS, SPACE, b'{"metadata":{"name":"a"}}')


def test_what_runs_is_confined(objects: list[Object]) -> None:
    pod = objects[-2]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["image"] == "registry.example/cloudcore:1"
    assert f"--namespace={SPACE}" in container["args"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    labels = objects[-2]["spec"]["template"]["metadata"]["labels"]
    assert objects[-1]["spec"]["selector"].items() <= labels.items()
    assert objects[-2]["spec"]["selector"]["matchLabels"].items() <= labels.items()
