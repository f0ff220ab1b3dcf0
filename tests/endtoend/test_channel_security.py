"""Who gets in, who does not, and what each of them is told: against a CloudCore process with its own API.

Everything goes over the one real port. Each refusal ends in a sentence that a person can act on.
"""

import asyncio
import contextlib
import dataclasses
import datetime
import json
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import connect

from cloudcore.enroll.authority import Authority, check_request
from cloudcore.enroll.keystore import Keystore
from cloudcore.enroll.tokens import TokenStore
from cloudcore.kube.auth import access
from cloudcore.kube.client import HttpKubeClient
from cloudcore.kube.errors import NotFound
from cloudcore.kube.kinds import LEASES, PODS, SECRETS, Resource
from edgecore.link import grpc_pipe, ws_pipe
from edgelink.aio.clock import SystemClock
from edgelink.errors import Closed
from edgelink.events import Ended, Event, InSync, InventoryWanted, ObjectWanted, Opened, ReportTaken
from edgelink.native import codec, frames
from edgelink.native.edge import NativeEdge
from edgelink.objects import Action, Kind, NodeName, ObjectKey, Report, Uid, digest
from edgelink.pipe import Pipe
from edgelink.pump import Link, connected
from edgelink.session import EdgeSession
from testbed.ports import free_port
from testbed.process import Daemon, eventually
from tests.fakes import certificates

NAMESPACE = "marram-system"
FRAME_LIMIT = 1 << 20
PATIENCE = 15.0

pytestmark = pytest.mark.timeout(90)


@dataclasses.dataclass(frozen=True)
class Cloud:
    """One running CloudCore."""

    daemon: Daemon
    port: int
    kubeconfig: Path
    data_dir: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


def start(directory: Path, *flags: str, log: str) -> Cloud:
    port, health = free_port(), free_port()
    daemon = Daemon(
        [
            *(sys.executable, "-m", "cloudcore", "run", "--data-dir", str(directory), *flags),
            *("--listen", f"127.0.0.1:{port}", "--health-listen", f"127.0.0.1:{health}"),
            *("--frame-limit", "1Mi"),
        ],
        log=directory / log,
    )
    cloud = Cloud(daemon, port, directory / "kubeconfig", directory)
    daemon.wait_for(lambda: "edges may attach" in daemon.output(), 30, "cloudcore serves")
    return cloud


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    directory = tmp_path_factory.mktemp("cloud")
    api = f"127.0.0.1:{free_port()}"
    running = start(directory, "--embedded", "--api-listen", api, "--replica", "cloud-a", log="a.log")
    with running.daemon:
        yield running


@pytest.fixture
async def kube(cloud: Cloud) -> AsyncIterator[HttpKubeClient]:
    clock = SystemClock()
    async with HttpKubeClient(access(cloud.kubeconfig, None, clock, {}), clock) as client:
        yield client


@pytest.fixture
async def authority(kube: HttpKubeClient) -> Authority:
    """The CA itself: with its key tests can make what CloudCore never would."""
    return await Keystore(kube, NAMESPACE, SystemClock()).authority()


@dataclasses.dataclass(frozen=True)
class Identity:
    """What a node has after joining."""

    ca: bytes
    pair: certificates.Pair | None

    def context(self) -> ssl.SSLContext:
        trust = certificates.Authority.__new__(certificates.Authority)
        trust.pem = self.ca
        return certificates.client_context(trust, self.pair)


Curve = type[ec.EllipticCurve]


def new_key(curve: Curve = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve())


def csr(key: ec.EllipticCurvePrivateKey, name: str) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{name}")])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def issue(authority: Authority, name: str, *, ago: datetime.timedelta = datetime.timedelta(0)) -> Identity:
    """A certificate for a day that began *ago*."""
    key, node = new_key(), NodeName(name)
    request = check_request(csr(key, name), node)
    issued = datetime.datetime.now(datetime.UTC) - ago
    certificate = authority.issue(request, node, issued, datetime.timedelta(days=1))
    return Identity(authority.certificate, certificates.Pair(certificate, key_pem(key)))


async def enroll(cloud: Cloud, ca: bytes, request: object, *, source: str = "127.0.0.1") -> dict[str, Any]:
    """One request to the real enrolment endpoint, from an address of its own (failures are counted per address)."""
    raw = request if isinstance(request, bytes) else json.dumps(request).encode()
    async with connect(
        f"wss://{cloud.address}/v1/enroll",
        ssl=Identity(ca, None).context(),
        server_hostname="cloudcore",
        local_addr=(source, 0),
        proxy=None,
    ) as socket_:
        await socket_.send(raw)
        answer: dict[str, Any] = json.loads(await socket_.recv())
        return answer


async def token_for(kube: HttpKubeClient, authority: Authority, *, node: str = "", life: float = 60) -> str:
    store = TokenStore(kube, NAMESPACE, SystemClock())
    token, _ = await store.create(authority.fingerprint, node=node, life=datetime.timedelta(seconds=life), uses=1)
    return str(token)


class Edge:
    """A node at the other end of a real connection, by hand."""

    def __init__(self, link: Link[EdgeSession]) -> None:
        self.link = link
        self._events = link.events()

    async def until(self, kind: type[Event]) -> Any:  # noqa: ANN401 - an event of that kind
        """The next event of *kind*."""
        async with asyncio.timeout(PATIENCE):
            async for event in self._events:
                if isinstance(event, kind):
                    return event
                assert not isinstance(event, Ended), event
        raise AssertionError(f"no {kind.__name__} came")

    async def report(self, report: Report) -> ReportTaken:
        self.link.session.report(report)
        self.link.kick()
        taken: ReportTaken = await self.until(ReportTaken)
        return taken


Dial = Callable[[Cloud, Identity], contextlib.AbstractAsyncContextManager[Pipe]]


@contextlib.asynccontextmanager
async def websocket(cloud: Cloud, identity: Identity, proxy: str | None = None) -> AsyncIterator[Pipe]:
    async with ws_pipe.dial(
        cloud.address, identity.context(), server_name="cloudcore", frame_limit=FRAME_LIMIT, proxy=proxy
    ) as pipe:
        yield pipe


@contextlib.asynccontextmanager
async def grpc(cloud: Cloud, identity: Identity, proxy: str | None = None) -> AsyncIterator[Pipe]:
    assert identity.pair
    async with grpc_pipe.dial(
        cloud.address,
        ca=identity.ca,
        certificate=identity.pair.certificate,
        key=identity.pair.key,
        server_name="cloudcore",
        frame_limit=FRAME_LIMIT,
        proxy=proxy,
    ) as pipe:
        yield pipe


@contextlib.asynccontextmanager
async def attached(cloud: Cloud, identity: Identity, name: str, dial: Dial = websocket) -> AsyncIterator[Edge]:
    clock = SystemClock()
    session = NativeEdge(
        NodeName(name), digest(()), software="edge of a test", utc=clock.utc().timestamp(), now=clock.now()
    )
    async with dial(cloud, identity) as pipe, connected(session, pipe, clock, name=name) as link:
        yield Edge(link)


async def says(cloud: Cloud, text: str) -> None:
    """Wait until CloudCore's log matches *text*."""

    async def said() -> bool:
        return re.search(text, cloud.daemon.output()) is not None

    await eventually(said, PATIENCE, f"cloudcore logs {text!r}; so far: {cloud.daemon.output()[-2000:]}")


async def serves(cloud: Cloud, authority: Authority) -> None:
    """The cloud is none the worse: a good node attaches at once."""
    assert cloud.daemon.running
    async with asyncio.timeout(5), attached(cloud, issue(authority, "witness"), "witness") as edge:
        await edge.until(InSync)


# --- certificates


async def test_a_node_with_its_certificate_attaches(cloud: Cloud, authority: Authority) -> None:
    async with attached(cloud, issue(authority, "press-01"), "press-01") as edge:
        opened = await edge.until(Opened)
        assert opened.peer.startswith("cloudcore/")
        await edge.until(InSync)


async def test_without_a_client_certificate_nobody_attaches(cloud: Cloud, authority: Authority) -> None:
    async with attached(cloud, Identity(authority.certificate, None), "press-01") as edge:
        ended = await edge.until(Ended)
    assert ended == Ended("no client certificate was presented: join this node first (edgecore join)", refused=True)


async def test_a_certificate_of_another_ca_is_refused(cloud: Cloud, authority: Authority) -> None:
    stranger = certificates.Authority().issue("system:node:press-01")
    with pytest.raises(Closed, match="does not accept this node's certificate"):
        async with attached(cloud, Identity(authority.certificate, stranger), "press-01"):
            pass
    await says(cloud, "refused 127.0.0.1: TLS handshake failed: client certificate: ")
    await serves(cloud, authority)


async def test_an_edge_does_not_talk_to_a_cloud_of_another_ca(cloud: Cloud, authority: Authority) -> None:
    other = certificates.Authority()
    with pytest.raises(Closed, match="CERTIFICATE_VERIFY_FAILED"):
        async with attached(cloud, Identity(other.pem, None), "press-01"):
            pass


async def test_an_expired_certificate_is_refused_with_the_reason(cloud: Cloud, authority: Authority) -> None:
    identity = issue(authority, "press-01", ago=datetime.timedelta(days=10))
    with pytest.raises(Closed, match=r"does not accept this node's certificate \(of another CA, or expired\)"):
        async with attached(cloud, identity, "press-01"):
            pass
    await serves(cloud, authority)


async def test_another_nodes_certificate_is_refused(cloud: Cloud, authority: Authority) -> None:
    async with attached(cloud, issue(authority, "press-01"), "press-02") as edge:
        ended = await edge.until(Ended)
    assert ended == Ended("the certificate is for node press-01, not for press-02", refused=True)
    await says(cloud, "refused press-01: the certificate is for node press-01, not for press-02")


async def test_a_revoked_node_is_thrown_out_and_stays_out(cloud: Cloud, authority: Authority) -> None:
    identity = issue(authority, "press-09")
    async with attached(cloud, identity, "press-09") as edge:
        await edge.until(InSync)
        command = [sys.executable, "-m", "cloudcore", "node", "revoke", "press-09"]
        told = await asyncio.to_thread(
            subprocess.run,
            [*command, "--kubeconfig", str(cloud.kubeconfig)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "certificates of node press-09 revoked" in told.stdout
        ended = await edge.until(Ended)
    assert ended == Ended("this node was revoked: join again with a new token", refused=True)
    async with attached(cloud, identity, "press-09") as edge:
        ended = await edge.until(Ended)
    assert ended.refused
    assert ended.reason == "the certificate of node press-09 is revoked: join again with a new token"


# --- enrolment


async def test_a_token_lets_one_node_in_once(cloud: Cloud, kube: HttpKubeClient, authority: Authority) -> None:
    token, key = await token_for(kube, authority), new_key()
    request = {"token": token, "node": "press-10", "csr": csr(key, "press-10")}
    answer = await enroll(cloud, authority.certificate, request)
    pair = certificates.Pair(answer["certificate"].encode(), key_pem(key))
    async with attached(cloud, Identity(answer["ca"].encode(), pair), "press-10") as edge:
        await edge.until(InSync)
    reused = {"token": token, "node": "press-11", "csr": csr(new_key(), "press-11")}
    answer = await enroll(cloud, authority.certificate, reused, source="127.0.0.2")
    assert "is used up: ask for a new one" in answer["error"]
    assert answer["retry"] is False
    assert token.rsplit(".", 1)[1] not in cloud.daemon.output(), "the secret is in the log"


async def test_a_bound_token_is_for_its_node_only(cloud: Cloud, kube: HttpKubeClient, authority: Authority) -> None:
    token = await token_for(kube, authority, node="press-12")
    request = {"token": token, "node": "press-13", "csr": csr(new_key(), "press-13")}
    answer = await enroll(cloud, authority.certificate, request, source="127.0.0.3")
    assert re.fullmatch(r"join token \w+ is for another node than press-13", answer["error"])


async def test_an_expired_token_is_refused(cloud: Cloud, kube: HttpKubeClient, authority: Authority) -> None:
    token = await token_for(kube, authority, life=0)
    request = {"token": token, "node": "press-14", "csr": csr(new_key(), "press-14")}
    answer = await enroll(cloud, authority.certificate, request, source="127.0.0.4")
    assert re.fullmatch(r"join token \w+ has expired: ask for a new one", answer["error"])


def broken(request: str) -> str:
    """The same request with another signature."""
    der = bytearray(ssl.PEM_cert_to_DER_cert(request.replace("CERTIFICATE REQUEST", "CERTIFICATE")))
    der[-1] ^= 1
    return ssl.DER_cert_to_PEM_cert(bytes(der)).replace("CERTIFICATE", "CERTIFICATE REQUEST")


FORGED = {
    "signature": (lambda: broken(csr(new_key(), "press-15")), "is not signed by its own key"),
    "subject": (lambda: csr(new_key(), "press-99"), "names something else than node press-15"),
    "curve": (lambda: csr(new_key(ec.SECP384R1), "press-15"), "must use a P-256 key"),
    "nonsense": (lambda: "-----BEGIN CERTIFICATE REQUEST-----", "is not readable"),
}


@pytest.mark.parametrize("forgery", FORGED)
async def test_a_forged_request_is_refused_and_costs_no_token(
    cloud: Cloud, kube: HttpKubeClient, authority: Authority, forgery: str
) -> None:
    make, reason = FORGED[forgery]
    token = await token_for(kube, authority)
    request = {"token": token, "node": "press-15", "csr": make()}
    answer = await enroll(cloud, authority.certificate, request, source="127.0.0.5")
    assert reason in answer["error"]
    good = {"token": token, "node": "press-15", "csr": csr(new_key(), "press-15")}
    assert "certificate" in await enroll(cloud, authority.certificate, good, source="127.0.0.5")


async def test_guessing_tokens_is_slowed_down(cloud: Cloud, authority: Authority) -> None:
    guess = f"{authority.fingerprint}.{'a' * 10}.{'b' * 32}"
    request = {"token": guess, "node": "press-16", "csr": csr(new_key(), "press-16")}
    answers = [await enroll(cloud, authority.certificate, request, source="127.0.0.6") for _ in range(12)]
    assert "ask for a new one" in answers[0]["error"]
    assert answers[-1] == {"error": "too many failed attempts from this address: wait a minute", "retry": True}


@pytest.mark.parametrize("request_", [b"", b"\x00" * 100, b"[]", b'{"node":7}'], ids=["empty", "zeros", "list", "type"])
async def test_a_malformed_enrolment_is_answered(cloud: Cloud, authority: Authority, request_: bytes) -> None:
    answer = await enroll(cloud, authority.certificate, request_, source="127.0.0.7")
    assert answer["error"] == "the enrolment request is not readable"


async def test_an_oversized_enrolment_ends_the_connection(cloud: Cloud, authority: Authority) -> None:
    with pytest.raises(Exception, match="1009"):
        await enroll(cloud, authority.certificate, b"x" * (65 * 1024), source="127.0.0.8")
    await says(cloud, "refused 127.0.0.8: a message exceeds the frame limit")


# --- garbage


def raw_connection(cloud: Cloud) -> socket.socket:
    return socket.create_connection(("127.0.0.1", cloud.port), timeout=PATIENCE)


async def test_garbage_instead_of_tls_is_hung_up_on_at_once(cloud: Cloud, authority: Authority) -> None:
    def garbage() -> bytes:
        with raw_connection(cloud) as sock:
            sock.settimeout(3)
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            with contextlib.suppress(ConnectionError):
                while part := sock.recv(4096):
                    answer += part
            return answer

    assert b"HTTP" not in await asyncio.to_thread(garbage)
    await says(cloud, "refused 127.0.0.1: TLS handshake failed")
    await serves(cloud, authority)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b"nonsense\r\n\r\n", b"400 Bad Request"),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", b"414 "),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 300 + b"\r\n", b"431 "),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"there is nothing here; edges use /v1/channel"),
        (b"GET /v1/channel HTTP/1.1\r\nHost: x\r\n\r\n", b"426 Upgrade Required"),
        (b"POST /v1/channel HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 4"),
    ],
    ids=["nonsense", "long line", "many headers", "unknown path", "no upgrade", "post"],
)
async def test_http_that_is_no_websocket_handshake_is_answered(
    cloud: Cloud, authority: Authority, request_: bytes, answer: bytes
) -> None:
    context = issue(authority, "press-01").context()
    reader, writer = await asyncio.open_connection("127.0.0.1", cloud.port, ssl=context, server_hostname="cloudcore")
    async with asyncio.timeout(PATIENCE):
        writer.write(request_)
        seen = b""
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(4096):
                seen += part
    writer.close()
    assert answer in seen
    assert cloud.daemon.running


@pytest.mark.parametrize(
    "garbage",
    [b"\xff" * 40, b"", b"GET / HTTP/1.1", codec.encode(frames.Ack((1,))), codec.encode(frames.Synced())],
    ids=["ones", "empty", "text", "ack before hello", "cloud's frame"],
)
async def test_garbage_frames_end_the_session_and_nothing_else(
    cloud: Cloud, authority: Authority, garbage: bytes
) -> None:
    async with websocket(cloud, issue(authority, "press-01")) as pipe, asyncio.timeout(PATIENCE):
        await pipe.send(garbage)
        if garbage:  # an empty frame is one of a newer protocol, and ignored
            bye = codec.decode(await pipe.receive())
            assert isinstance(bye, frames.Bye)
            assert re.search("malformed frame|before Hello", bye.reason)
    await serves(cloud, authority)


async def test_an_oversized_frame_ends_the_session_with_the_reason(cloud: Cloud, authority: Authority) -> None:
    async with attached(cloud, issue(authority, "press-20"), "press-20") as edge:
        await edge.until(InSync)
        with contextlib.suppress(Closed):
            await edge.link._pipe.send(b"x" * (FRAME_LIMIT + 1))
        ended = await edge.until(Ended)
    assert ended.reason == "a message exceeds the frame limit"
    await says(cloud, "session ended: a message exceeds the frame limit node=press-20")
    await serves(cloud, authority)


async def test_many_half_open_connections_stop_nobody(cloud: Cloud, authority: Authority) -> None:
    hello = b"\x16\x03\x01\x02\x00\x01"  # the beginning of a ClientHello of 512 bytes
    with contextlib.ExitStack() as stack:
        for number in range(300):
            sock = stack.enter_context(raw_connection(cloud))
            sock.sendall(hello[: number % len(hello)])
        await serves(cloud, authority)
        for dial in (websocket, grpc):
            async with asyncio.timeout(5), attached(cloud, issue(authority, "press-21"), "press-21", dial) as edge:
                await edge.until(InSync)


# --- transports


async def conversation(pipe: Pipe, name: str) -> list[frames.Frame]:
    """The same bytes whatever carries them; what comes back, times aside."""
    hello = frames.Hello(1, 1, name, "edge of a test", digest(()), 0.0)
    for frame in (hello, frames.Question(1, "weather", b"{}"), frames.Ping()):
        await pipe.send(codec.encode(frame))
    seen: list[frames.Frame] = []
    while len(seen) < 3:
        frame = codec.decode(await pipe.receive())
        seen.append(dataclasses.replace(frame, utc=0.0) if isinstance(frame, frames.Welcome) else frame)
    return sorted(seen, key=repr)


async def test_both_transports_carry_the_same_frames_on_one_port(cloud: Cloud, authority: Authority) -> None:
    identity = issue(authority, "press-22")
    async with asyncio.timeout(PATIENCE):
        async with websocket(cloud, identity) as pipe:
            over_websocket = await conversation(pipe, "press-22")
        async with grpc(cloud, identity) as pipe:
            over_grpc = await conversation(pipe, "press-22")
    assert over_websocket == over_grpc
    assert {type(frame) for frame in over_grpc} == {frames.Welcome, frames.Answer, frames.Pong}


async def test_grpc_is_held_to_the_same_rules(cloud: Cloud, authority: Authority) -> None:
    async with attached(cloud, issue(authority, "press-01"), "press-02", grpc) as edge:
        ended = await edge.until(Ended)
    assert ended == Ended("the certificate is for node press-01, not for press-02", refused=True)
    expired = issue(authority, "press-01", ago=datetime.timedelta(days=10))
    with pytest.raises(Closed, match=r"cannot connect to .*: refused, unreachable, or TLS failed"):
        async with attached(cloud, expired, "press-01", grpc):
            pass


class ConnectProxy:
    """A proxy that knows CONNECT and nothing else."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.address = ""
        self._tunnels: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._tunnel, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield
            for tunnel in self._tunnels:
                tunnel.cancel()
            await asyncio.gather(*self._tunnels, return_exceptions=True)

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            self._tunnels.add(task)
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = request.split("\r\n", 1)[0].split(" ")
        self.asked.append(f"{method} {target}")
        host, port = target.rsplit(":", 1)
        inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(copy(reader, inner_writer))
                group.create_task(copy(inner_reader, writer))
        finally:
            for end in (writer, inner_writer):
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()


async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while part := await source.read(65536):
            sink.write(part)
            await sink.drain()
    sink.close()


@pytest.mark.parametrize("transport", [websocket, grpc], ids=lambda make: make.__name__)
async def test_the_channel_works_through_a_connect_proxy(
    cloud: Cloud, authority: Authority, transport: Callable[..., contextlib.AbstractAsyncContextManager[Pipe]]
) -> None:
    proxy = ConnectProxy()

    def dial(cloud: Cloud, identity: Identity) -> contextlib.AbstractAsyncContextManager[Pipe]:
        return transport(cloud, identity, proxy.address)

    async with proxy.running(), attached(cloud, issue(authority, "press-23"), "press-23", dial) as edge:
        await edge.until(InSync)
    assert proxy.asked == [f"CONNECT {cloud.address}"]


# --- what a node may say


async def create(kube: HttpKubeClient, resource: Resource, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(await kube.create(resource, namespace, json.dumps(body).encode()))
    return made


def pod_on(node: str, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "busybox:1.36"}]},
    }


async def test_a_node_may_not_report_on_a_pod_of_another(
    cloud: Cloud, kube: HttpKubeClient, authority: Authority
) -> None:
    pod = await create(kube, PODS, "default", pod_on("press-31", "theirs"))
    key, uid = ObjectKey(Kind.POD, "default", "theirs"), Uid(pod["metadata"]["uid"])
    failed = Report(key, uid, 1, Action.STATUS, b'{"status":{"phase":"Failed"}}')
    removed = Report(key, uid, 2, Action.REMOVED, b"{}")
    running = Report(key, uid, 1, Action.STATUS, b'{"status":{"phase":"Running"}}')
    async with (
        attached(cloud, issue(authority, "press-30"), "press-30") as stranger,
        attached(cloud, issue(authority, "press-31"), "press-31") as owner,
    ):
        await stranger.until(InSync)
        await owner.until(InventoryWanted)
        owner.link.session.state_inventory({})
        owner.link.kick()
        while (await owner.until(ObjectWanted)).object.key != key:
            pass  # its service account
        for report in (failed, removed):
            taken = await stranger.report(report)
            assert taken == ReportTaken(report, "node press-30 may not report on pods/default/theirs")
        assert await owner.report(running) == ReportTaken(running)
    body = json.loads(await kube.get(PODS, "default", "theirs"))
    assert body["status"]["phase"] == "Running"
    await says(cloud, r"refused a report on pods/default/theirs: .* \(further ones are only counted\) node=press-30")


async def test_the_newest_session_wins_and_the_older_is_told(cloud: Cloud, authority: Authority) -> None:
    identity = issue(authority, "press-32")
    async with attached(cloud, identity, "press-32") as older:
        await older.until(InSync)
        async with attached(cloud, identity, "press-32") as newer:
            await newer.until(InSync)
            assert await older.until(Ended) == Ended("a newer session of this node took over", refused=True)
            assert not newer.link.session.ended


# --- two replicas


async def lease(kube: HttpKubeClient, node: str) -> dict[str, Any]:
    held: dict[str, Any] = json.loads(await kube.get(LEASES, "kube-node-lease", node))
    return held


async def kept(kube: HttpKubeClient) -> dict[str, Any]:
    """Everything secret that CloudCore keeps, join tokens aside."""
    found: dict[str, Any] = {}
    async for page in kube.list(SECRETS):
        for item in page.items:
            if item.metadata.namespace == NAMESPACE and not item.metadata.name.startswith("join-token-"):
                found[item.metadata.name] = json.loads(item.raw)["data"]
    return found


async def test_a_node_moves_between_replicas_that_share_one_ca(
    cloud: Cloud, kube: HttpKubeClient, authority: Authority, tmp_path: Path
) -> None:
    before = await kept(kube)
    assert before
    flags = ("--kubeconfig", str(cloud.kubeconfig), "--replica", "cloud-b")
    second = await asyncio.to_thread(lambda: start(tmp_path, *flags, log="b.log"))
    with second.daemon:
        assert await kept(kube) == before, "the second replica overwrote keys"
        identity = issue(authority, "press-40")
        async with attached(cloud, identity, "press-40") as first:
            await first.until(InSync)
            await eventually(lambda: held_by(kube, "press-40", "cloud-a"), PATIENCE, "cloud-a holds the lease")
            async with attached(second, identity, "press-40") as moved:
                await moved.until(InSync)
                await eventually(lambda: held_by(kube, "press-40", "cloud-b"), PATIENCE, "cloud-b holds the lease")
                ended = await first.until(Ended)
                assert ended == Ended("this node attached to another replica (cloud-b)", refused=True)
                assert not moved.link.session.ended


async def held_by(kube: HttpKubeClient, node: str, replica: str) -> bool:
    try:
        annotations = (await lease(kube, node))["metadata"]["annotations"]
    except NotFound:
        return False
    return bool(annotations["marram.io/replica"] == replica)


async def test_afterwards_the_cloud_still_runs_and_says_nothing_of_a_traceback(
    cloud: Cloud, authority: Authority
) -> None:
    await serves(cloud, authority)
    assert "Traceback" not in cloud.daemon.output()
