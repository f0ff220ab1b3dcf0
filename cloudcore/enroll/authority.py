"""The certificate authority: makes itself and its server certificate, signs edges. No I/O, no clock.

Only here is `cryptography` known. What is signed is decided here alone: subject, usage and lifetime are ours, of the
request nothing but its public key is used.
"""

import dataclasses
import datetime
import hashlib
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cloudcore.enroll.errors import EnrolmentRefused, Reason
from edgelink.objects import NodeName

BACKDATE: Final = datetime.timedelta(hours=1)
"""Certificates begin this much before they are issued, for gateways whose clock is behind."""

SERVER_NAMES: Final = ("cloudcore", "localhost")
"""What edges verify; which address they dialled does not matter."""

_ORGANISATION: Final = "system:nodes"
_PREFIX: Final = "system:node:"
_AUTHORITY_LIFE: Final = datetime.timedelta(days=3650)
_USED: Final = 0.7
_REQUEST_LIMIT: Final = 16 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, PEM."""

    certificate: bytes
    key: bytes = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """A certificate request that has been checked: whoever sent it has the private key."""

    public_key: ec.EllipticCurvePublicKey

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the public key, hex."""
        return _fingerprint(self.public_key)


@dataclasses.dataclass(frozen=True, slots=True)
class Presented:
    """A certificate of ours that an edge shows; it may have expired."""

    node: NodeName
    issued: datetime.datetime
    until: datetime.datetime
    fingerprint: str


def new_authority(now: datetime.datetime) -> Pair:
    """A new self-signed authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "marram-ca")])
    usage = _usage(key_cert_sign=True, crl_sign=True)
    made = (
        _begin(name, name, key.public_key(), now, now + _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return Pair(_pem(made), _key_pem(key))


def check_request(pem: object, node: NodeName) -> Request:
    """The request in *pem*. Raises EnrolmentRefused unless signed by its own P-256 key and for *node* or nobody."""
    if not isinstance(pem, str) or len(pem) > _REQUEST_LIMIT:
        raise EnrolmentRefused(Reason.REQUEST, "the certificate request is missing or too long")
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        key = request.public_key()
        valid = request.is_signature_valid
        names = [str(name.value) for name in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except Exception as cause:  # anybody may have sent it, and the library has no one error for what it cannot read
        raise EnrolmentRefused(Reason.REQUEST, "the certificate request is not readable") from cause
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise EnrolmentRefused(Reason.REQUEST, "the certificate request must use a P-256 key")
    if not valid:
        raise EnrolmentRefused(Reason.REQUEST, "the certificate request is not signed by its own key")
    if any(name != f"{_PREFIX}{node}" for name in names):
        raise EnrolmentRefused(Reason.REQUEST, f"the certificate request names something else than node {node}")
    return Request(key)


class Authority:
    """A loaded authority. Raises ValueError when *pair* is no usable CA."""

    def __init__(self, pair: Pair) -> None:
        self._certificate = x509.load_pem_x509_certificate(pair.certificate)
        key = serialization.load_pem_private_key(pair.key, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != self._certificate.public_key():
            raise ValueError("the authority's key does not belong to its certificate")
        self._key = key
        self.certificate = pair.certificate

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate in DER, hex: what a join token pins."""
        return hashlib.sha256(self._certificate.public_bytes(serialization.Encoding.DER)).hexdigest()

    def issue(self, request: Request, node: NodeName, issued: datetime.datetime, life: datetime.timedelta) -> bytes:
        """A client certificate for *node*, PEM."""
        organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANISATION)
        subject = x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, f"{_PREFIX}{node}")])
        builder = self._leaf(subject, request.public_key, issued, life, ExtendedKeyUsageOID.CLIENT_AUTH)
        return _pem(builder.sign(self._key, hashes.SHA256()))

    def new_server(self, now: datetime.datetime, life: datetime.timedelta) -> Pair:
        """A certificate for CloudCore itself, with a new key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SERVER_NAMES[0])])
        names = x509.SubjectAlternativeName([x509.DNSName(name) for name in SERVER_NAMES])
        builder = self._leaf(subject, key.public_key(), now, life, ExtendedKeyUsageOID.SERVER_AUTH)
        return Pair(_pem(builder.add_extension(names, critical=False).sign(self._key, hashes.SHA256())), _key_pem(key))

    def server_due(self, pair: Pair) -> datetime.datetime | None:
        """When the server certificate *pair* should be replaced; None if it is not one of ours: at once."""
        try:
            certificate = x509.load_pem_x509_certificate(pair.certificate)
            certificate.verify_directly_issued_by(self._certificate)
        except (ValueError, TypeError, InvalidSignature):
            return None
        begin, end = certificate.not_valid_before_utc + BACKDATE, certificate.not_valid_after_utc
        return begin + (end - begin) * _USED

    def examine(self, pem: object) -> Presented:
        """What a certificate says that we once issued to an edge. Raises EnrolmentRefused for any other."""
        if not isinstance(pem, str) or len(pem) > _REQUEST_LIMIT:
            raise EnrolmentRefused(Reason.CERTIFICATE, "the certificate to renew is missing or too long")
        try:
            shown = x509.load_pem_x509_certificate(pem.encode())
            shown.verify_directly_issued_by(self._certificate)
            usage = shown.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
            [name] = shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            key = shown.public_key()
        except Exception as cause:  # as above
            raise EnrolmentRefused(
                Reason.CERTIFICATE, "the certificate to renew was not issued by this cloud"
            ) from cause
        common = str(name.value)
        if (
            list(usage) != [ExtendedKeyUsageOID.CLIENT_AUTH]
            or not common.startswith(_PREFIX)
            or not isinstance(key, ec.EllipticCurvePublicKey)
        ):
            raise EnrolmentRefused(Reason.CERTIFICATE, "the certificate to renew is not one of an edge node")
        node = NodeName(common.removeprefix(_PREFIX))
        issued = shown.not_valid_before_utc + BACKDATE
        return Presented(node, issued, shown.not_valid_after_utc, _fingerprint(key))

    def _leaf(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        now: datetime.datetime,
        life: datetime.timedelta,
        purpose: x509.ObjectIdentifier,
    ) -> x509.CertificateBuilder:
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        until = min(now + life, self._certificate.not_valid_after_utc)
        return (
            _begin(subject, self._certificate.subject, key, now, until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(issuer_key, critical=False)
        )


def _begin(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    until: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
