"""Covers edgecore.link.identity, csr and keys."""

import dataclasses
import datetime
import ssl
from pathlib import Path

import pytest

from edgecore.link import identity, keys
from edgecore.link.identity import Identity, IdentityError
from tests.unit.edgecore.link.pki import DAY, NOW, Authority


@pytest.fixture(scope="session")
def made(authority: Authority) -> Identity:
    key, csr = keys.make_request("press-03")
    return keys.certified("press-03", "cloud:10000", key, authority.sign(csr), authority.pem)


def test_what_was_saved_is_loaded_and_private(made: Identity, tmp_path: Path) -> None:
    directory = tmp_path / "identity"
    assert identity.load(directory) is None
    identity.save(directory, made)
    identity.save(directory, made)
    loaded = identity.load(directory)
    assert loaded == dataclasses.replace(
        made, key=made.key.strip() + b"\n", certificate=made.certificate.strip() + b"\n"
    )
    modes = {entry.name: entry.stat().st_mode & 0o777 for entry in directory.iterdir()}
    assert modes == {"identity.pem": 0o600, "ca.pem": 0o600}
    assert directory.stat().st_mode & 0o777 == 0o700
    assert "PRIVATE" not in repr(loaded)


def test_a_damaged_identity_says_what_to_do(made: Identity, tmp_path: Path) -> None:
    identity.save(tmp_path, made)
    (tmp_path / "ca.pem").unlink()
    with pytest.raises(IdentityError, match=r"lacks .*ca.pem; run 'edgecore reset'"):
        identity.load(tmp_path)
    identity.save(tmp_path, made)
    (tmp_path / "identity.pem").write_bytes(b"\x00nonsense")
    with pytest.raises(IdentityError, match="run 'edgecore reset'"):
        identity.load(tmp_path)


def test_renewal_is_due_between_70_and_90_percent_and_does_not_wander(made: Identity) -> None:
    life = made.not_after - made.not_before
    moments = {(dataclasses.replace(made, certificate=bytes([n])).renewal - made.not_before) / life for n in range(100)}
    assert 0.7 <= min(moments) < 0.72
    assert 0.88 < max(moments) <= 0.9
    assert made.renewal == made.renewal


def test_only_the_end_of_a_certificate_counts(made: Identity) -> None:
    assert made.expired(made.not_after + DAY)
    assert not made.expired(made.not_before - 1000 * DAY)


def test_the_channel_speaks_tls_13_and_verifies(made: Identity, tmp_path: Path) -> None:
    identity.save(tmp_path, made)
    context = identity.tls_context(tmp_path, made, NOW)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert not context.verify_flags & 0x200000


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> None:
    """Both ends over memory; raises what the client would."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue


def test_only_the_servers_fixed_name_under_our_authority_is_trusted(
    made: Identity, authority: Authority, tmp_path: Path
) -> None:
    identity.save(tmp_path, made)
    context = identity.tls_context(tmp_path, made, NOW)
    handshake(context, authority.server_context(tmp_path), "cloudcore")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(context, authority.server_context(tmp_path, "gateway"), "cloudcore")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(context, Authority().server_context(tmp_path), "cloudcore")


def test_a_clock_before_our_own_certificate_does_not_judge_dates(
    made: Identity, authority: Authority, tmp_path: Path
) -> None:
    identity.save(tmp_path, made)
    lost = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    context = identity.tls_context(tmp_path, made, lost)
    assert context.verify_flags & 0x200000
    handshake(context, authority.server_context(tmp_path), "cloudcore")


def test_unusable_key_material_is_one_clear_error(made: Identity, tmp_path: Path) -> None:
    identity.save(tmp_path, dataclasses.replace(made, certificate=b"-----BEGIN CERTIFICATE-----\nx\n"))
    with pytest.raises(IdentityError, match="join again"):
        identity.tls_context(tmp_path, made, NOW)
    with pytest.raises(IdentityError, match="CA certificate is unusable"):
        identity.verifying(b"nothing")


def test_a_request_can_be_made_again_with_the_same_key() -> None:
    key, first = keys.make_request("press-03")
    again, second = keys.make_request("press-03", key)
    assert again == key
    assert first != second


def test_a_certificate_that_is_not_ours_is_refused(authority: Authority) -> None:
    key, csr = keys.make_request("press-03")
    other, _ = keys.make_request("press-03")
    good = authority.sign(csr)
    for wrong_key, certificate, sentence in (
        (other, good, "another key"),
        (key, authority.sign(csr, name="system:node:other"), "not for node press-03"),
        (key, Authority().sign(csr), "not one of the cloud's authority"),
        (key, "nonsense", "not one of the cloud's authority"),
    ):
        with pytest.raises(IdentityError, match=sentence):
            keys.certified("press-03", "c:1", wrong_key, certificate, authority.pem)
    found = keys.certified("press-03", "c:1", key, good, authority.pem)
    assert (found.not_before, found.not_after) == (NOW - DAY, NOW + 100 * DAY)


def test_a_broken_key_is_one_clear_error() -> None:
    with pytest.raises(IdentityError, match="cannot make a key or certificate request"):
        keys.make_request("press-03", b"nonsense")
