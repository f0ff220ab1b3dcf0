"""What every administrative command starts with: settings, an API client, a clock."""

import argparse
import contextlib
import dataclasses
from collections.abc import AsyncIterator

from cloudcore import config
from cloudcore.kube.auth import access
from cloudcore.kube.client import HttpKubeClient
from cloudcore.kube.contract import KubeClient
from edgelink.aio.clock import Clock, SystemClock


@dataclasses.dataclass(frozen=True, slots=True)
class Admin:
    """One command's view of the world."""

    kube: KubeClient
    settings: config.Settings
    clock: Clock


@contextlib.asynccontextmanager
async def admin(args: argparse.Namespace) -> AsyncIterator[Admin]:
    """Connected as the flags say. Raises ConfigError, KubeError."""
    settings, clock = config.load(args), SystemClock()
    api = settings.api
    service = (api.service.host, api.service.port) if api.service else None
    async with HttpKubeClient(access(api.kubeconfig, service, clock, api.environment), clock) as kube:
        yield Admin(kube, settings, clock)
