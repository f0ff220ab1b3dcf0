"""A throwaway CA and certificates for tests of the channel."""

import dataclasses
import datetime
import ssl
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclasses.dataclass(frozen=True)
class Pair:
    """PEM."""

    certificate: bytes
    key: bytes


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form, encoding = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
    return key.private_bytes(encoding, form, serialization.NoEncryption())


class Authority:
    """Signs whatever a test asks for."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
        self.pem = self._build(self._name, self._key.public_key(), ca=True)

    def _build(
        self, subject: x509.Name, public: ec.EllipticCurvePublicKey, *, ca: bool = False, days: int = 1, ago: int = 1
    ) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=ago))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            names = x509.SubjectAlternativeName([x509.DNSName("cloudcore")])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str, organisation: str = "system:nodes", *, days: int = 1, ago: int = 1) -> Pair:
        """A certificate for CN=*name*; negative *days* makes an expired one."""
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
        return Pair(self._build(x509.Name(attributes), key.public_key(), days=days, ago=ago), _pem(key))


def client_context(authority: Authority, pair: Pair | None) -> ssl.SSLContext:
    """What an edge with *pair* would use."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=authority.pem.decode())
    if pair:
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(pair.certificate + pair.key)
            pem.flush()
            context.load_cert_chain(pem.name)
    return context
