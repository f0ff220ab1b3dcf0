"""Puts the custom resources of devices into an API server that is ours alone: the embedded one.

In a real cluster that is for an administrator to do, with ``cloudcore manifests``: CloudCore has no right to.
"""

import json
import logging

from cloudcore.kube.contract import KubeClient, Patch
from cloudcore.kube.errors import AlreadyExists
from cloudcore.kube.kinds import DEFINITIONS
from cloudcore.manifests.devices import definitions

log = logging.getLogger(__name__)


async def install(client: KubeClient) -> None:
    """Create each definition, or bring it up to date. Raises KubeError."""
    for definition in definitions():
        body = json.dumps(definition).encode()
        try:
            await client.create(DEFINITIONS, "", body)
        except AlreadyExists:
            await client.patch(DEFINITIONS, "", definition["metadata"]["name"], body, Patch.MERGE)
        else:
            log.info("made the kind %s", definition["spec"]["names"]["kind"])
