"""A CloudCore with all its parts, held to the manifests: it asks for nothing more, and uses all it was given."""

import contextlib
import datetime
import json

import yaml

from cloudcore.cli import commands
from cloudcore.enroll.keystore import Keystore
from cloudcore.enroll.revocations import Revocations, revoke
from cloudcore.enroll.tokens import TokenStore
from cloudcore.kube.kinds import BY_KIND, NAMESPACES
from cloudcore.manifests.render import manifests
from edgelink.objects import Action, Kind, NodeName, ObjectKey, Report, Uid
from tests.unit.cloudcore.cell import Cell, Node, running, until

HOME = "marram-system"
NODE = NodeName("press-03")
LEASE = ("leases", "kube-node-lease", NODE)
Right = tuple[str, str, str]
"""verb, resource, namespace ("" is the whole cluster)"""


def granted() -> set[Right]:
    found = list(yaml.safe_load_all(manifests(HOME, commands.IMAGE)))
    return {
        (verb, resource, role["metadata"].get("namespace", ""))
        for role in found
        if role["kind"] in ("Role", "ClusterRole")
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


async def test_all_parts_work_with_exactly_the_rights_of_the_manifests(cell: Cell) -> None:
    rights, used, missing = granted(), set[Right](), set[Right]()

    def permits(verb: str, resource: str, namespace: str) -> bool:
        wide, own = (verb, resource, ""), (verb, resource, namespace)
        right = wide if wide in rights else own
        (used if right in rights else missing).add(right)
        return right in rights

    for name in (HOME, "plant"):
        cell.kube.put(NAMESPACES, "", {"metadata": {"name": name}})
    cell.kube.permits = permits
    cell.services.append(Revocations(cell.kube, HOME, cell.clock))
    async with running(cell), cell.node(NODE) as node:
        await _a_nodes_life(cell, node)
        await _fetching(cell)
        await _enrolment(cell)
    assert missing == set()
    assert rights - used == set()


async def _a_nodes_life(cell: Cell, node: Node) -> None:
    await until(lambda: node.synced)
    about_node = Report(ObjectKey(Kind.NODE, "", NODE), Uid(""), 1, Action.STATUS, b'{"status":{}}')
    assert await node.report(about_node) == ""
    await until(lambda: LEASE in cell.kube.objects)
    cell.put(Kind.SERVICE_ACCOUNT, "default")
    pod = cell.pod("boiler", NODE, serviceAccountName="default")
    await until(lambda: pod in node.have)
    wish = {"namespace": "plant", "serviceAccount": "default", "pod": {"name": "boiler", "uid": cell.uid(pod)}}
    assert not (await node.ask("token", wish)).error
    assert await node.report(cell.says(pod, 2, {"phase": "Running"})) == ""
    about = {"kind": "Pod", "namespace": "plant", "name": "boiler"}
    for revision in (3, 4):  # the second brings the first up to date
        body = json.dumps({"involvedObject": about, "reason": "Started", "count": revision}).encode()
        report = Report(ObjectKey(Kind.EVENT, "plant", "boiler.1"), Uid(""), revision, Action.RECORDED, body)
        assert await node.report(report) == ""
    assert await node.report(Report(pod, cell.uid(pod), 5, Action.REMOVED, b"{}")) == ""
    await _a_device(cell, node)
    # A newer session takes the Lease over: read, then patched.
    async with cell.node(NODE):
        epoch = "marram.io/epoch"
        await until(lambda: cell.kube.objects[LEASE]["metadata"]["annotations"][epoch] == "2")


async def _a_device(cell: Cell, node: Node) -> None:
    device = cell.device("meter", NODE)
    await until(lambda: device in node.have)
    for revision, state in ((10, "online"), (11, "offline")):
        assert await node.report(cell.says_of(device, revision, {"state": state})) == ""
    # There is no model of it: that is said beside what the node says.
    status = ("devicestatuses", "plant", "meter")
    await until(lambda: cell.kube.objects[status]["status"].get("conditions"), "a word on the missing model")


async def _fetching(cell: Cell) -> None:
    """What becomes needed later is fetched, of whatever kind it is."""
    for kind in (
        Kind.POD,
        Kind.CONFIG_MAP,
        Kind.SECRET,
        Kind.SERVICE_ACCOUNT,
        Kind.VOLUME,
        Kind.CLAIM,
        Kind.DEVICE_MODEL,
    ):
        resource = BY_KIND[kind]
        with contextlib.suppress(KeyError):
            await cell.observer._get(resource, ObjectKey(kind, "plant" if resource.namespaced else "", "x"))


async def _enrolment(cell: Cell) -> None:
    store, tokens = Keystore(cell.kube, HOME, cell.clock), TokenStore(cell.kube, HOME, cell.clock)
    authority = await store.authority()
    await store.server(authority)
    token, _ = await tokens.create(authority.fingerprint, node="", life=datetime.timedelta(hours=1), uses=1)
    await tokens.consume(token, NODE, "k")
    await tokens.revoke(token.id)
    await revoke(cell.kube, HOME, NODE, cell.clock)
