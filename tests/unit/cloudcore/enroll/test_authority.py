"""What is signed and what is not."""

import datetime
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.enroll.authority import Authority, Pair, check_request, new_authority
from cloudcore.enroll.errors import EnrolmentRefused
from edgelink.objects import NodeName

NODE = NodeName("press-03")
NOW = datetime.datetime(2026, 3, 1, 12, 0, 0, tzinfo=datetime.UTC)
YEAR = datetime.timedelta(days=365)
HOUR = datetime.timedelta(hours=1)


def request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, name: str = "") -> str:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else []
    names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"))
    hidden = x509.SubjectAlternativeName([x509.DNSName("cloudcore")])
    builder = (
        x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).add_extension(hidden, critical=False)
    )
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def issue(authority: Authority, csr: str, life: datetime.timedelta = YEAR) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.issue(check_request(csr, NODE), NODE, NOW, life))


def test_subject_usage_and_lifetime_are_ours(authority: Authority) -> None:
    key = p256()
    certificate = issue(authority, request(key))
    assert certificate.subject.rfc4514_string() == "CN=system:node:press-03,O=system:nodes"
    assert list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert certificate.not_valid_before_utc == NOW - HOUR
    assert certificate.not_valid_after_utc == NOW + YEAR
    assert certificate.public_key() == key.public_key()


def test_nothing_outlives_the_authority(authority: Authority) -> None:
    certificate = issue(authority, request(p256()), 20 * YEAR)
    assert certificate.not_valid_after_utc == NOW + datetime.timedelta(days=3650)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
        rsa.generate_private_key(65537, 2048),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["p384", "k256", "rsa", "ed25519"],
)
def test_only_p256(key: ec.EllipticCurvePrivateKey) -> None:
    with pytest.raises(EnrolmentRefused, match="P-256"):
        check_request(request(key), NODE)


def test_a_request_for_another_name_is_refused() -> None:
    with pytest.raises(EnrolmentRefused, match="something else than node press-03"):
        check_request(request(p256(), "system:node:press-04"), NODE)
    check_request(request(p256(), "system:node:press-03"), NODE)


def test_a_request_signed_by_another_key_is_refused() -> None:
    """The victim's name and public key, with a signature that is not the victim's."""
    victim = x509.load_pem_x509_csr(request(p256()).encode())
    forged = bytearray(victim.public_bytes(serialization.Encoding.DER))
    forged[-4] ^= 1
    pem = x509.load_der_x509_csr(bytes(forged)).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(EnrolmentRefused, match="not signed by its own key"):
        check_request(pem, NODE)


CSR = request(p256())


@given(st.integers(0, len(CSR) - 1), st.characters(max_codepoint=127))
def test_no_changed_request_is_taken(at: int, char: str) -> None:
    changed = CSR[:at] + char + CSR[at + 1 :]
    try:
        taken = check_request(changed, NODE)
    except EnrolmentRefused:
        return
    assert taken.fingerprint == check_request(CSR, NODE).fingerprint


@pytest.mark.parametrize("nonsense", ["", "x", None, 7, "-----BEGIN CERTIFICATE REQUEST-----\n" * 1000, "\ud800"])
def test_nonsense_is_refused(nonsense: object) -> None:
    with pytest.raises(EnrolmentRefused):
        check_request(nonsense, NODE)


def test_a_certificate_of_ours_is_recognised(authority: Authority) -> None:
    request_ = check_request(request(p256()), NODE)
    shown = authority.examine(authority.issue(request_, NODE, NOW, YEAR).decode())
    assert (shown.node, shown.issued, shown.until) == (NODE, NOW, NOW + YEAR)
    assert shown.fingerprint == request_.fingerprint


def test_other_certificates_are_not(authority: Authority) -> None:
    other = Authority(new_authority(NOW))
    csr = check_request(request(p256()), NODE)
    for pem in (
        other.issue(csr, NODE, NOW, YEAR),
        authority.new_server(NOW, YEAR).certificate,
        authority.certificate,
        b"x",
    ):
        with pytest.raises(EnrolmentRefused):
            authority.examine(pem.decode())


def test_the_server_certificate_is_due_at_seventy_percent(authority: Authority) -> None:
    assert authority.server_due(authority.new_server(NOW, YEAR)) == NOW + 0.7 * YEAR
    assert Authority(new_authority(NOW)).server_due(authority.new_server(NOW, YEAR)) is None
    assert authority.server_due(Pair(b"x", b"y")) is None


def test_a_key_that_does_not_fit_is_no_authority() -> None:
    first, second = new_authority(NOW), new_authority(NOW)
    with pytest.raises(ValueError, match="does not belong"):
        Authority(Pair(first.certificate, second.key))


def test_keys_do_not_show_in_logs() -> None:
    assert "PRIVATE" not in repr(new_authority(NOW))


def test_openssl_accepts_the_pair_both_ways(tmp_path: Path) -> None:
    """TLS 1.3 in memory: each side verifies the other, and a server certificate cannot act as an edge."""
    now = datetime.datetime.now(datetime.UTC)
    authority = Authority(new_authority(now))
    key = p256()
    edge = Pair(
        authority.issue(check_request(request(key), NODE), NODE, now, YEAR),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    server = authority.new_server(now, YEAR)
    subject = handshake(tmp_path, authority, server, edge)
    assert subject["commonName"] == "system:node:press-03"
    with pytest.raises(ssl.SSLError, match=r"unsuitable certificate purpose|CERTIFICATE_VERIFY_FAILED"):
        handshake(tmp_path, authority, server, server)


def handshake(folder: Path, authority: Authority, server: Pair, edge: Pair) -> dict[str, str]:
    def context(protocol: int, pair: Pair, name: str) -> ssl.SSLContext:
        made = ssl.SSLContext(protocol)
        made.load_verify_locations(cadata=authority.certificate.decode())
        (folder / f"{name}.crt").write_bytes(pair.certificate)
        (folder / f"{name}.key").write_bytes(pair.key)
        made.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
        made.verify_mode = ssl.CERT_REQUIRED
        return made

    to_server, to_edge = ssl.MemoryBIO(), ssl.MemoryBIO()
    listening = context(ssl.PROTOCOL_TLS_SERVER, server, "server").wrap_bio(to_server, to_edge, server_side=True)
    dialling = context(ssl.PROTOCOL_TLS_CLIENT, edge, "edge").wrap_bio(to_edge, to_server, server_hostname="cloudcore")
    for _ in range(4):
        for side in (dialling, listening):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    shown = listening.getpeercert()
    assert shown
    subject: Any = shown["subject"]
    return {key: value for relative in subject for key, value in relative}
