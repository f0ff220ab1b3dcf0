"""The server's own certificate authority and keys, in files of the data directory, mode 0600. EC P-256.

Made once; cryptography is imported only then. A lost file is made again; as long as the CA stays, who has a
kubeconfig stays in.
"""

import datetime
import ipaddress
import os
import pathlib
import secrets
from typing import TYPE_CHECKING

from localkube import clock

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_YEARS = 10
_SERVER_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
ADMIN, ADMIN_GROUP = "kubernetes-admin", "system:masters"


class Identity:
    """Paths of the keys and certificates of one data directory."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.ca = directory / "ca.crt"
        self.ca_key = directory / "ca.key"
        self.server = directory / "server.crt"
        self.server_key = directory / "server.key"
        self.admin = directory / "admin.crt"
        self.admin_key = directory / "admin.key"
        self.token_key = directory / "service-account.key"
        self.admin_token = directory / "admin.token"
        self._names = directory / "server.names"

    def ensure(self, host: str) -> None:
        """Make what is missing; the server certificate again when it does not cover *host*."""
        names = ",".join(sorted({host, "127.0.0.1", "::1"} - {"0.0.0.0", "::"}))
        whole = [self.ca, self.ca_key, self.admin, self.admin_key, self.token_key, self.admin_token, self.server_key]
        covered = self._names.exists() and self._names.read_text() == names and self.server.exists()
        if covered and all(path.exists() for path in whole):
            return
        maker = _Maker(self)
        if not self.admin.exists():
            maker.certificate(self.admin, self.admin_key, ADMIN, ADMIN_GROUP, ())
        if not self.token_key.exists():
            write_private(self.token_key, maker.key_pem(maker.new_key()))
        if not self.admin_token.exists():
            write_private(self.admin_token, secrets.token_urlsafe(32).encode())
        maker.certificate(self.server, self.server_key, "localkube", "", tuple(names.split(",")))
        write_private(self._names, names.encode())


def write_private(path: pathlib.Path, data: bytes) -> None:
    """Replace *path* atomically with *data*, readable by the owner only, durable."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


class _Maker:
    """Makes keys and certificates under the CA of one directory, which it makes when there is none."""

    def __init__(self, identity: Identity) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        if not (identity.ca.exists() and identity.ca_key.exists()):
            self._make_ca(identity)
        key = load_pem_private_key(identity.ca_key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._ca_key = key
        self._ca = x509.load_pem_x509_certificate(identity.ca.read_bytes())

    def new_key(self) -> "EllipticCurvePrivateKey":
        from cryptography.hazmat.primitives.asymmetric import ec

        return ec.generate_private_key(ec.SECP256R1())

    def key_pem(self, key: "EllipticCurvePrivateKey") -> bytes:
        from cryptography.hazmat.primitives import serialization

        form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return key.private_bytes(serialization.Encoding.PEM, form, plain)

    def _make_ca(self, identity: Identity) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization

        key = self.new_key()
        name = _name("localkube-ca", "")
        builder = _builder(name, name, key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(certifies=True), critical=True)
        subject_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        certificate = builder.add_extension(subject_id, critical=False).sign(key, hashes.SHA256())
        write_private(identity.ca_key, self.key_pem(key))
        write_private(identity.ca, certificate.public_bytes(serialization.Encoding.PEM))

    def certificate(
        self, path: pathlib.Path, key_path: pathlib.Path, common: str, organization: str, addresses: tuple[str, ...]
    ) -> None:
        """A server certificate when there are *addresses*, a client certificate otherwise."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.x509.oid import ExtendedKeyUsageOID

        key = self.new_key()
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if addresses else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = _builder(_name(common, organization), self._ca.subject, key)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca_key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        if addresses:
            builder = builder.add_extension(x509.SubjectAlternativeName(_alternatives(addresses)), critical=False)
        certificate = builder.sign(self._ca_key, hashes.SHA256())
        write_private(key_path, self.key_pem(key))
        write_private(path, certificate.public_bytes(serialization.Encoding.PEM))


def _name(common: str, organization: str) -> "x509.Name":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject: "x509.Name", issuer: "x509.Name", key: "EllipticCurvePrivateKey") -> "x509.CertificateBuilder":
    from cryptography import x509

    start = datetime.datetime.fromtimestamp(int(clock.now()) - 3600, tz=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(start)
    return builder.not_valid_after(start + datetime.timedelta(days=365 * _YEARS))


def _usage(*, certifies: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=certifies,
        crl_sign=certifies,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternatives(addresses: tuple[str, ...]) -> "list[x509.GeneralName]":
    from cryptography import x509

    names: list[x509.GeneralName] = [x509.DNSName(name) for name in _SERVER_NAMES]
    for address in addresses:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(address)))
        except ValueError:
            names.append(x509.DNSName(address))
    return names
