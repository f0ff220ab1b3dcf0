"""How calls are made, and what follows one that failed."""

import pytest
from grpclib.const import Status

from edgecore.runtime.contract import PodRef, PodView, SandboxSpec
from edgecore.runtime.errors import RuntimeFault
from edgecore.runtime.pb import runtime_pb2 as pb
from tests.unit.edgecore.runtime.conftest import Connect
from tests.unit.edgecore.runtime.cri_server import CriServer, refusal

POD = PodRef("plant", "boiler", "u1")


def sandbox_spec(directory: object, attempt: int = 0) -> SandboxSpec:
    return SandboxSpec(POD, attempt, "boiler", str(directory), "/pods", {}, {})


def listed(attempt: int, state: pb.PodSandboxState) -> pb.PodSandbox:
    metadata = pb.PodSandboxMetadata(name=POD.name, namespace=POD.namespace, uid=POD.uid, attempt=attempt)
    return pb.PodSandbox(id=f"sandbox{attempt}", metadata=metadata, state=state)


@pytest.mark.parametrize(("grace", "seconds"), [(0, 0), (-5, 0), (0.2, 1), (1.0, 1), (29.5, 30)])
async def test_grace_is_whole_seconds_and_never_a_kill_by_rounding(
    connect: Connect, grace: float, seconds: int
) -> None:
    server = CriServer()
    async with connect(server) as runtime:
        await runtime.stop_container("c", grace)
    assert server.requests == [pb.StopContainerRequest(container_id="c", timeout=seconds)]


async def test_only_the_failed_attempt_is_cleaned_up(connect: Connect, tmp_path: object) -> None:
    server = CriServer()
    left = [
        listed(0, pb.PodSandboxState.SANDBOX_NOTREADY),
        listed(1, pb.PodSandboxState.SANDBOX_NOTREADY),
        listed(2, pb.PodSandboxState.SANDBOX_READY),
    ]
    server.answers["RunPodSandbox"] = refusal(Status.UNKNOWN, "no network")
    server.answers["ListPodSandbox"] = pb.ListPodSandboxResponse(items=left)
    async with connect(server) as runtime:
        with pytest.raises(RuntimeFault, match="cannot run a sandbox for pod plant/boiler: no network"):
            await runtime.run_sandbox(sandbox_spec(tmp_path, attempt=1))
    removed = [request for request in server.requests if isinstance(request, pb.RemovePodSandboxRequest)]
    assert [request.pod_sandbox_id for request in removed] == ["sandbox1"]


async def test_a_clean_up_that_fails_does_not_hide_the_cause(connect: Connect, tmp_path: object) -> None:
    server = CriServer()
    server.answers["RunPodSandbox"] = refusal(Status.UNKNOWN, "no network")
    server.answers["StopPodSandbox"] = refusal(Status.UNKNOWN, "cni plugin not initialized")
    server.answers["ListPodSandbox"] = pb.ListPodSandboxResponse(items=[listed(0, pb.PodSandboxState.SANDBOX_NOTREADY)])
    async with connect(server) as runtime:
        with pytest.raises(RuntimeFault, match="no network"):
            await runtime.run_sandbox(sandbox_spec(tmp_path))


async def test_what_vanishes_while_it_is_looked_at_is_left_out(connect: Connect) -> None:
    server = CriServer()
    server.answers["ListPodSandbox"] = pb.ListPodSandboxResponse(items=[listed(0, pb.PodSandboxState.SANDBOX_READY)])
    server.answers["ListContainers"] = pb.ListContainersResponse(
        containers=[pb.Container(id="c", pod_sandbox_id="sandbox0")]
    )
    server.answers["PodSandboxStatus"] = refusal(Status.NOT_FOUND, "gone")
    server.answers["ContainerStatus"] = refusal(Status.NOT_FOUND, "gone")
    async with connect(server) as runtime:
        view = await runtime.view("u1")
    assert view == PodView()


async def test_a_server_without_cri_is_named(connect: Connect) -> None:
    server = CriServer()
    server.answers["ListImages"] = refusal(Status.UNIMPLEMENTED, "unknown service runtime.v1.ImageService")
    async with connect(server) as runtime:
        with pytest.raises(RuntimeFault, match="CRI plugin"):
            await runtime.images()


async def test_conditions_become_problems(connect: Connect) -> None:
    server = CriServer()
    server.answers["Version"] = pb.VersionResponse(runtime_name="containerd", runtime_version="2.1")
    server.answers["Status"] = pb.StatusResponse(
        status=pb.RuntimeStatus(
            conditions=[
                pb.RuntimeCondition(type="RuntimeReady", status=True),
                pb.RuntimeCondition(type="NetworkReady", status=False, reason="NotReady", message="cni not set up"),
            ]
        )
    )
    async with connect(server) as runtime:
        status = await runtime.status()
    assert (status.name, status.version, status.ready, status.network_ready) == ("containerd", "2.1", True, False)
    assert status.problems == ("NetworkReady: cni not set up",)
