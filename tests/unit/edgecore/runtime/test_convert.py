"""Traps of CRI that a wrong conversion would spring."""

import dataclasses

import pytest

from edgecore.runtime import convert
from edgecore.runtime.contract import (
    MASKED_PATHS,
    ContainerSpec,
    Credentials,
    Namespaces,
    PodRef,
    PortMapping,
    SandboxSpec,
    Seccomp,
    Security,
)
from edgecore.runtime.pb import runtime_pb2 as pb

SANDBOX = SandboxSpec(PodRef("plant", "boiler", "u1"), 3, "boiler", "/log", "/pods/u1", {"app": "boiler"}, {"a": "b"})
CONTAINER = ContainerSpec("pump", 1, "busybox", (), (), "", (), (), {"x": "y"}, {}, "pump/1.log")


def secured(security: Security, sandbox: SandboxSpec = SANDBOX) -> pb.LinuxContainerSecurityContext:
    spec = dataclasses.replace(CONTAINER, security=security)
    return convert.container_config(sandbox, spec).linux.security_context


@pytest.mark.parametrize("pid", Namespaces)
@pytest.mark.parametrize("network", [Namespaces.POD, Namespaces.NODE])
def test_a_container_repeats_the_namespaces_of_its_sandbox(pid: Namespaces, network: Namespaces) -> None:
    sandbox = dataclasses.replace(SANDBOX, pid=pid, network=network, ipc=network)
    of_sandbox = convert.sandbox_config(sandbox).linux.security_context.namespace_options
    assert secured(Security(), sandbox).namespace_options == of_sandbox
    assert pb.NamespaceMode.Name(of_sandbox.pid) == pid.name


def test_processes_are_not_shared_by_default() -> None:
    assert secured(Security()).namespace_options.pid == pb.NamespaceMode.CONTAINER


def test_paths_are_masked_but_in_privileged_containers() -> None:
    assert tuple(secured(Security()).masked_paths) == MASKED_PATHS
    assert "/proc/sys" in secured(Security()).readonly_paths
    assert list(secured(Security(privileged=True)).masked_paths) == []
    assert list(secured(Security(privileged=True)).readonly_paths) == []


def test_user_zero_is_not_no_user() -> None:
    assert not secured(Security()).HasField("run_as_user")
    assert secured(Security(run_as_user=0)).HasField("run_as_user")


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("RuntimeDefault", pb.SecurityProfile(profile_type=pb.SecurityProfile.RuntimeDefault)),
        ("Unconfined", pb.SecurityProfile(profile_type=pb.SecurityProfile.Unconfined)),
        ("/lib/p.json", pb.SecurityProfile(profile_type=pb.SecurityProfile.Localhost, localhost_ref="/lib/p.json")),
    ],
)
def test_seccomp_profiles(profile: str, expected: pb.SecurityProfile) -> None:
    assert secured(Security(seccomp=Seccomp(profile))).seccomp == expected
    assert not secured(Security()).HasField("seccomp")


def test_a_pod_is_found_by_its_labels_whatever_its_own_say() -> None:
    sandbox = dataclasses.replace(SANDBOX, labels={convert.UID_LABEL: "forged", "app": "boiler"})
    labels = dict(convert.sandbox_config(sandbox).labels)
    assert labels == {
        "app": "boiler",
        "io.kubernetes.pod.name": "boiler",
        "io.kubernetes.pod.namespace": "plant",
        "io.kubernetes.pod.uid": "u1",
    }
    assert convert.container_config(SANDBOX, CONTAINER).labels["io.kubernetes.container.name"] == "pump"


def test_with_the_nodes_network_the_hostname_is_the_nodes() -> None:
    assert convert.sandbox_config(SANDBOX).hostname == "boiler"
    assert convert.sandbox_config(dataclasses.replace(SANDBOX, network=Namespaces.NODE)).hostname == ""


def test_port_protocols() -> None:
    ports = tuple(PortMapping(53, 53, protocol) for protocol in ("TCP", "UDP", "SCTP"))
    config = convert.sandbox_config(dataclasses.replace(SANDBOX, port_mappings=ports))
    assert [pb.Protocol.Name(port.protocol) for port in config.port_mappings] == ["TCP", "UDP", "SCTP"]


def test_credentials_go_into_their_fields() -> None:
    auth = convert.auth_config(Credentials("u", "p", "a", "i", "r"))
    # No server address: containerd wants a URL there, and refuses host:port.
    assert auth == pb.AuthConfig(username="u", password="p", auth="a", identity_token="i", registry_token="r")


def test_both_address_families_are_seen() -> None:
    network = pb.PodSandboxNetworkStatus(ip="10.0.0.2", additional_ips=[pb.PodIP(ip="fd00::2")])
    assert convert.addresses(pb.PodSandboxStatus(network=network)) == ("10.0.0.2", "fd00::2")
    assert convert.addresses(pb.PodSandboxStatus()) == ()


def listing(*states: int) -> tuple[list[pb.PodSandbox], list[pb.Container]]:
    metadata = pb.PodSandboxMetadata(name="boiler", namespace="plant", uid="u1")
    containers = [pb.Container(id=f"c{n}", pod_sandbox_id="s", state=s) for n, s in enumerate(states)]  # type: ignore[arg-type]
    return [pb.PodSandbox(id="s", metadata=metadata)], containers


def test_a_fingerprint_changes_with_every_state_and_not_with_the_order() -> None:
    seen = {convert.briefs(*listing(*states))[0].fingerprint for states in [(), (0,), (1,), (2,), (1, 1), (1, 2)]}
    assert len(seen) == 6
    sandboxes, containers = listing(1, 2)
    assert convert.briefs(sandboxes, containers) == convert.briefs(sandboxes, containers[::-1])


def test_containers_without_a_sandbox_belong_to_nobody() -> None:
    sandboxes, containers = listing(1)
    stray = pb.Container(id="stray", pod_sandbox_id="gone")
    assert convert.briefs(sandboxes, [*containers, stray]) == convert.briefs(sandboxes, containers)
    assert convert.owners(sandboxes, [*containers, stray]) == {"s": "u1", "c0": "u1"}
