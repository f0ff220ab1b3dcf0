"""kubeconfig in all its forms, and credentials that renew themselves."""

import base64
import datetime
import json
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from cloudcore.enroll.authority import Authority, Pair, new_authority
from cloudcore.kube.auth import Access, access, from_kubeconfig, in_cluster
from cloudcore.kube.credentials import TokenFile
from cloudcore.kube.errors import BadCredentials
from tests.fakes.clock import START, FakeClock

Object = dict[str, Any]
PATH = {"PATH": "/usr/bin:/bin"}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(new_authority(datetime.datetime.now(datetime.UTC)))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.new_server(datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def kubeconfig(folder: Path, user: Object, cluster: Object | None = None) -> Path:
    config = {
        "current-context": "plant",
        "contexts": [
            {"name": "other", "context": {"cluster": "nowhere"}},
            {"name": "plant", "context": {"cluster": "c", "user": "u"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "https://api.example:6443/", **(cluster or {})}}],
        "users": [{"name": "u", "user": user}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def load(folder: Path, clock: FakeClock, user: Object, cluster: Object | None = None) -> Access:
    return from_kubeconfig(kubeconfig(folder, user, cluster), clock, PATH)


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({"token": "t1"}, "Bearer t1"),
        ({"username": "u", "password": "p"}, "Basic dTpw"),
        ({}, ""),
    ],
)
async def test_headers(tmp_path: Path, clock: FakeClock, user: Object, header: str) -> None:
    there = load(tmp_path, clock, user)
    assert there.url == "https://api.example:6443"
    assert await there.credentials.authorization() == header
    assert there.credentials.rejected() is False


async def test_token_files_are_read_again(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "token").write_text("one\n")
    there = load(tmp_path, clock, {"tokenFile": "token"})
    assert await there.credentials.authorization() == "Bearer one"
    (tmp_path / "token").write_text("two")
    assert await there.credentials.authorization() == "Bearer one"
    await clock.advance(60)
    assert await there.credentials.authorization() == "Bearer two"
    (tmp_path / "token").write_text("three")
    assert there.credentials.rejected()
    assert await there.credentials.authorization() == "Bearer three"


@pytest.mark.parametrize("content", [None, "", " \n"])
async def test_a_token_file_without_a_token(tmp_path: Path, clock: FakeClock, content: str | None) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    with pytest.raises(BadCredentials, match="token"):
        await TokenFile(tmp_path / "token", clock).authorization()


def test_certificates_as_data(tmp_path: Path, clock: FakeClock, authority: Authority, pair: Pair) -> None:
    user = {"client-certificate-data": b64(pair.certificate), "client-key-data": b64(pair.key)}
    there = load(tmp_path, clock, user, {"certificate-authority-data": b64(authority.certificate)})
    assert there.tls is not None
    assert len(there.tls.get_ca_certs()) == 1
    assert there.tls.verify_mode is ssl.CERT_REQUIRED


async def test_certificates_in_files_are_read_again(
    tmp_path: Path, clock: FakeClock, authority: Authority, pair: Pair
) -> None:
    for name, content in (("ca", authority.certificate), ("crt", pair.certificate), ("key", pair.key)):
        (tmp_path / name).write_bytes(content)
    user = {"client-certificate": "crt", "client-key": "key"}
    there = load(tmp_path, clock, user, {"certificate-authority": "ca"})
    assert await there.credentials.authorization() == ""
    (tmp_path / "crt").write_text("nonsense")
    assert await there.credentials.authorization() == ""
    await clock.advance(60)
    with pytest.raises(BadCredentials, match="client certificate"):
        await there.credentials.authorization()


def test_no_key_stays_in_a_temporary_file(
    tmp_path: Path, clock: FakeClock, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    load_chain = ssl.SSLContext.load_cert_chain

    def watching(self: ssl.SSLContext, certificate: Path, key: Path) -> None:
        modes.extend(stat.S_IMODE(file.stat().st_mode) for file in (certificate, key))
        load_chain(self, certificate, key)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", watching)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    load(tmp_path, clock, {"client-certificate-data": b64(pair.certificate), "client-key-data": b64(pair.key)})
    assert modes == [0o600, 0o600]
    assert list((tmp_path / "t").iterdir()) == []


def test_server_name_proxy_and_trust(tmp_path: Path, clock: FakeClock) -> None:
    cluster = {"tls-server-name": "kubernetes", "proxy-url": "http://proxy:3128", "insecure-skip-tls-verify": True}
    there = load(tmp_path, clock, {"token": "t"}, cluster)
    assert (there.server_name, there.proxy) == ("kubernetes", "http://proxy:3128")
    assert there.tls is not None
    assert there.tls.verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize(
    ("user", "cluster", "said"),
    [
        ({"auth-provider": {"name": "gcp"}}, {}, "auth-provider"),
        ({"client-certificate-data": "!!", "client-key-data": "eA=="}, {}, "not base64"),
        ({"client-certificate-data": "eA==", "client-key-data": "eA=="}, {}, "client certificate"),
        ({}, {"certificate-authority-data": "eA=="}, "certificate authority"),
        ({}, {"certificate-authority": "/none"}, "cannot read certificate-authority"),
        ({}, {"server": "ftp://x"}, "no usable server"),
        ({"exec": {"command": "x"}}, {}, "lacks command or apiVersion"),
    ],
)
def test_what_cannot_work(tmp_path: Path, clock: FakeClock, user: Object, cluster: Object, said: str) -> None:
    with pytest.raises(BadCredentials, match=said):
        load(tmp_path, clock, user, cluster)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("a: [", "not YAML"),
        ("a: 1", "no current-context"),
        ("current-context: x", "no context named 'x'"),
        ("current-context: x\ncontexts: [{name: x, context: {cluster: y}}]", "no cluster named 'y'"),
    ],
)
def test_files_that_are_no_kubeconfig(tmp_path: Path, clock: FakeClock, text: str, said: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(BadCredentials, match=said):
        from_kubeconfig(path, clock, PATH)


async def test_inside_a_pod(tmp_path: Path, clock: FakeClock, authority: Authority) -> None:
    (tmp_path / "ca.crt").write_bytes(authority.certificate)
    (tmp_path / "token").write_text("t")
    there = in_cluster("fd00::1", 443, clock, tmp_path)
    assert there.url == "https://[fd00::1]:443"
    assert await there.credentials.authorization() == "Bearer t"
    with pytest.raises(BadCredentials, match="CA"):
        in_cluster("10.0.0.1", 443, clock, tmp_path / "none")
    with pytest.raises(BadCredentials, match="neither"):
        access(None, None, clock, PATH)


def plugin(folder: Path, answer: Object | str, status: int = 0) -> Object:
    """A credential plugin that counts its runs and shows what it was told."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    (folder / "answer").write_text(text)
    script = folder / "plugin"
    script.write_text(
        f'#!/bin/sh\necho run >> {folder}/runs\nprintf "%s" "$KUBERNETES_EXEC_INFO" > {folder}/info\n'
        f'printf "%s %s" "$1" "$EXTRA" > {folder}/args\necho broken >&2\ncat {folder}/answer\nexit {status}\n'
    )
    script.chmod(0o755)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "./plugin",
            "args": ["a;b"],
            "env": [{"name": "EXTRA", "value": "e"}],
            "provideClusterInfo": True,
        }
    }


async def test_plugins_run_when_needed(tmp_path: Path, clock: FakeClock) -> None:
    until = (START + datetime.timedelta(minutes=10)).isoformat()
    there = load(tmp_path, clock, plugin(tmp_path, {"status": {"token": "p1", "expirationTimestamp": until}}))
    for _ in range(3):
        assert await there.credentials.authorization() == "Bearer p1"
    assert (tmp_path / "runs").read_text().count("run") == 1
    assert (tmp_path / "args").read_text() == "a;b e"
    info = json.loads((tmp_path / "info").read_text())
    assert (info["kind"], info["spec"]["interactive"]) == ("ExecCredential", False)
    assert info["spec"]["cluster"]["server"] == "https://api.example:6443/"
    await clock.advance(9 * 60 + 1)
    await there.credentials.authorization()
    assert (tmp_path / "runs").read_text().count("run") >= 2


async def test_a_rejected_plugin_answer_is_asked_for_again(tmp_path: Path, clock: FakeClock) -> None:
    there = load(tmp_path, clock, plugin(tmp_path, {"status": {"token": "p1"}}))
    await there.credentials.authorization()
    assert there.credentials.rejected()
    (tmp_path / "answer").write_text('{"status": {"token": "p2"}}')
    assert await there.credentials.authorization() == "Bearer p2"


async def test_plugins_may_bring_a_certificate(tmp_path: Path, clock: FakeClock, pair: Pair) -> None:
    status = {"clientCertificateData": pair.certificate.decode(), "clientKeyData": pair.key.decode()}
    there = load(tmp_path, clock, plugin(tmp_path, {"status": status}))
    assert await there.credentials.authorization() == ""


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ("nonsense", 0, "answered no ExecCredential"),
        ({"status": {}}, 0, "neither a token nor a certificate"),
        ({"status": {"token": "x"}}, 3, r"failed \(3\): broken"),
    ],
)
async def test_plugins_that_fail(
    tmp_path: Path, clock: FakeClock, answer: Object | str, status: int, said: str
) -> None:
    there = load(tmp_path, clock, plugin(tmp_path, answer, status))
    with pytest.raises(BadCredentials, match=said):
        await there.credentials.authorization()


async def test_a_plugin_that_is_not_there(tmp_path: Path, clock: FakeClock) -> None:
    there = load(tmp_path, clock, {"exec": {"apiVersion": "v1", "command": "./none"}})
    with pytest.raises(BadCredentials, match=r"cannot run credential plugin .*none: No such file"):
        await there.credentials.authorization()
