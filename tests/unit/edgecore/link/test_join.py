"""Covers edgecore.link.join: against a real endpoint over real TLS."""

# ruff: noqa: ASYNC240 - small local files, and nothing else runs in these loops

import json
import socket
from pathlib import Path

import pytest

from edgecore.link import identity, join, keys
from edgecore.link.identity import Identity
from edgecore.link.join import JoinFailed, Token
from tests.unit.edgecore.link.pki import Authority, Cloud, Proxy


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "identity"


async def enrol(cloud: Cloud, directory: Path, proxy: str = "") -> Identity:
    token = Token.parse(cloud.authority.token)
    return await join.join(directory, cloud=cloud.address, token=token, node="press-03", proxy=proxy)


async def test_a_token_turns_a_machine_into_a_node(cloud: Cloud, directory: Path) -> None:
    made = await enrol(cloud, directory)
    loaded = identity.load(directory)
    assert loaded is not None
    assert (loaded.node, loaded.cloud, loaded.not_after) == ("press-03", cloud.address, made.not_after)
    assert {entry.name for entry in directory.iterdir()} == {"identity.pem", "ca.pem"}
    [asked] = cloud.asked
    assert (asked["token"], asked["node"]) == (cloud.authority.token, "press-03")


async def test_everything_goes_through_the_proxy_if_one_is_set(cloud: Cloud, proxy: Proxy, directory: Path) -> None:
    await enrol(cloud, directory, proxy.address)
    assert proxy.tunnels == [cloud.address] * 2


async def test_a_join_that_lost_its_answer_comes_again_with_the_same_key(cloud: Cloud, directory: Path) -> None:
    cloud.answers = [None]
    with pytest.raises(JoinFailed, match="try again") as lost:
        await enrol(cloud, directory)
    assert lost.value.retry
    assert identity.load(directory) is None
    await enrol(cloud, directory)
    certificates = [cloud.authority.sign(asked["csr"]) for asked in cloud.asked]
    key = (identity.load(directory) or pytest.fail("not joined")).key
    for certificate in certificates:
        keys.certified("press-03", "c:1", key, certificate, cloud.authority.pem)


async def test_a_refusal_is_told_and_leaves_nothing_that_looks_joined(cloud: Cloud, directory: Path) -> None:
    cloud.answers = [json.dumps({"error": "join token aaaa is used up: ask for a new one", "retry": False})]
    with pytest.raises(JoinFailed, match="the cloud refuses: join token aaaa is used up") as refused:
        await enrol(cloud, directory)
    assert not refused.value.retry
    assert identity.load(directory) is None


@pytest.mark.parametrize("answer", ["nonsense", "[]", "{}", '{"certificate": "x"}'])
async def test_an_unreadable_answer_is_refused(cloud: Cloud, directory: Path, answer: str) -> None:
    cloud.answers = [answer]
    with pytest.raises(JoinFailed, match="not readable"):
        await enrol(cloud, directory)


async def test_a_second_join_is_refused_and_changes_nothing(cloud: Cloud, directory: Path) -> None:
    await enrol(cloud, directory)
    before = (directory / "identity.pem").read_bytes()
    with pytest.raises(JoinFailed, match="edgecore reset"):
        await enrol(cloud, directory)
    assert (directory / "identity.pem").read_bytes() == before
    assert len(cloud.asked) == 1


async def test_a_cloud_with_another_authority_never_learns_the_token(cloud: Cloud, directory: Path) -> None:
    cloud.ca = Authority().pem
    with pytest.raises(JoinFailed, match="not the one in the token"):
        await enrol(cloud, directory)
    assert cloud.asked == []


async def test_an_interceptor_that_shows_the_right_ca_never_learns_the_token(
    authority: Authority, directory: Path, tmp_path: Path
) -> None:
    async with Cloud(authority).serving(Authority().server_context(tmp_path)) as interceptor:
        with pytest.raises(JoinFailed, match="is not valid"):
            await enrol(interceptor, directory)
        assert interceptor.asked == []


@pytest.mark.parametrize("body", ["hello", ""])
async def test_something_that_is_no_cloudcore_is_told_apart(cloud: Cloud, directory: Path, body: str) -> None:
    cloud.ca = body
    with pytest.raises(JoinFailed, match="is it a CloudCore"):
        await enrol(cloud, directory)


async def test_nobody_at_the_address_is_told_and_may_be_tried_again(authority: Authority, directory: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = Cloud(authority)
        nobody.address = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(JoinFailed, match="check address, port and firewall") as failed:
            await enrol(nobody, directory)
    assert failed.value.retry


@pytest.mark.parametrize("text", ["", "abc", "g" * 64 + "." + "a" * 10 + "." + "b" * 32])
def test_a_token_is_checked_before_anything_is_asked(text: str) -> None:
    with pytest.raises(JoinFailed, match="cloudcore token create"):
        Token.parse(text)


def test_a_token_keeps_its_secret_out_of_logs(authority: Authority) -> None:
    assert "b" * 32 not in repr(Token.parse(f" {authority.token}\n"))


async def test_an_expired_certificate_is_renewed_with_its_own_key(cloud: Cloud, directory: Path) -> None:
    made = await enrol(cloud, directory)
    renewed = await join.renew_expired(directory, made)
    assert cloud.asked[1]["renew"] == made.certificate.decode()
    loaded = identity.load(directory)
    assert loaded is not None
    assert loaded.key.strip() == made.key.strip() == renewed.key.strip()
    assert loaded.certificate != made.certificate


async def test_an_ordinary_renewal_brings_a_new_key_and_a_bad_answer_changes_nothing(
    cloud: Cloud, directory: Path, authority: Authority
) -> None:
    made = await enrol(cloud, directory)
    before = (directory / "identity.pem").read_bytes()
    renewal = join.prepare_renewal(made)
    signed = authority.sign(json.loads(renewal.question)["csr"])
    with pytest.raises(identity.IdentityError):
        join.install_renewal(
            directory,
            made,
            join.Renewal(made.key, b""),
            json.dumps({"certificate": signed, "ca": authority.pem}).encode(),
        )
    with pytest.raises(JoinFailed, match="node press-03 is revoked"):
        join.install_renewal(directory, made, renewal, b'{"error": "node press-03 is revoked"}')
    assert (directory / "identity.pem").read_bytes() == before
    answer = json.dumps({"certificate": signed, "ca": authority.pem}).encode()
    renewed = join.install_renewal(directory, made, renewal, answer)
    assert renewed.key != made.key
    assert (identity.load(directory) or made).certificate.strip() == signed.encode().strip()
