"""Makes keys and certificate requests, and examines certificates: a program of its own, run for a moment.

`cryptography` stays resident once imported (more than 11 MiB), so the daemon never imports it. One JSON object comes on
standard input, one goes out: ``{"node", "key"?}`` → ``{"key", "csr"}``;
``{"node", "key", "certificate", "ca"}`` → ``{"notBefore", "notAfter"}`` or ``{"error"}``. See `keys` for the caller.
"""

import json
import sys
from collections.abc import Mapping
from typing import cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def request(node: str, key_pem: str = "") -> dict[str, str]:
    """A request for *node*, with a new P-256 key unless one is given."""
    key = _load(key_pem) if key_pem else ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _common_name(node))])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {"key": private.decode(), "csr": csr.public_bytes(serialization.Encoding.PEM).decode()}


def examine(node: str, key_pem: str, certificate_pem: str, ca_pem: str) -> dict[str, str]:
    """The certificate's dates, or what is wrong with it."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
        authority = x509.load_pem_x509_certificate(ca_pem.encode())
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature) as cause:
        return {"error": f"the certificate is not one of the cloud's authority ({cause or type(cause).__name__})"}
    if certificate.public_key() != _load(key_pem).public_key():
        return {"error": "the certificate is for another key"}
    if [name.value for name in names] != [_common_name(node)]:
        return {"error": f"the certificate is not for node {node}"}
    return {
        "notBefore": certificate.not_valid_before_utc.isoformat(),
        "notAfter": certificate.not_valid_after_utc.isoformat(),
    }


def _common_name(node: str) -> str:
    return f"system:node:{node}"


def _load(key_pem: str) -> ec.EllipticCurvePrivateKey:
    return cast(ec.EllipticCurvePrivateKey, serialization.load_pem_private_key(key_pem.encode(), password=None))


def answer(asked: Mapping[str, str]) -> dict[str, str]:
    """One question as it comes on standard input. Raises ValueError for a key that cannot be read."""
    if "certificate" in asked:
        return examine(asked["node"], asked["key"], asked["certificate"], asked["ca"])
    return request(asked["node"], asked.get("key", ""))


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
