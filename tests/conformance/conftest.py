"""Conformance tests stand on the same real parts as the end-to-end ones."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgecore.runtime.contract import Runtime
from edgecore.runtime.cri import CriRuntime
from testbed.containerd import ContainerdNode
from testbed.registry import Registry
from tests.conformance.runtime_bench import IMAGE, Bench, ContainerdBench, FakeBench


@pytest.fixture(params=["fake", "containerd"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """A container runtime without pods: first the fake, then containerd."""
    if request.param == "fake":
        fake = FakeBench(tmp_path)
        yield fake
        await fake.runtime.close()
        return
    node, images = request.getfixturevalue("containerd"), request.getfixturevalue("registry")
    async with _on_containerd(node, images) as real:
        yield real


@pytest.fixture
async def containerd_bench(containerd: ContainerdNode, registry: Registry) -> AsyncIterator[ContainerdBench]:
    """A real container runtime without pods."""
    async with _on_containerd(containerd, registry) as real:
        yield real


@contextlib.asynccontextmanager
async def _on_containerd(node: ContainerdNode, images: Registry) -> AsyncIterator[ContainerdBench]:
    async with asyncio.TaskGroup() as group:
        runtime = CriRuntime(str(node.socket), group)
        try:
            if await runtime.image(IMAGE) is None:
                await runtime.pull(IMAGE)
            yield ContainerdBench(runtime, node, images)
        finally:
            await _remove_pods(runtime)
            await runtime.close()


async def _remove_pods(runtime: Runtime) -> None:
    for brief in await runtime.pods():
        for sandbox in (await runtime.view(brief.pod.uid)).sandboxes:
            await runtime.stop_sandbox(sandbox.id)
            await runtime.remove_sandbox(sandbox.id)
