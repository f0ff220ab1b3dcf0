"""Service account tokens: JWTs signed with a key of this server (ES256), bound to objects, expiring.

Source of the claims: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
"""

import base64
import hashlib
import uuid
from typing import TYPE_CHECKING

import msgspec

from localkube.values import Json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

AUDIENCE = ISSUER = "https://kubernetes.default.svc.cluster.local"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class BadToken(Exception):
    """The token is not one of ours, was changed, or has expired."""


class TokenSigner:
    """Signs and checks tokens. The key is loaded when first needed: most starts need no cryptography import."""

    def __init__(self, key_pem: bytes) -> None:
        self._pem = key_pem
        self._key: EllipticCurvePrivateKey | None = None
        self._checked: dict[str, Json] = {}

    def sign(self, claims: Json) -> str:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        header = {"alg": "ES256", "kid": self._key_id()}
        signed = _encode(msgspec.json.encode(header)) + "." + _encode(msgspec.json.encode(claims))
        der = self._loaded().sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
        r, s = utils.decode_dss_signature(der)
        return signed + "." + _encode(r.to_bytes(32, "big") + s.to_bytes(32, "big"))

    def check(self, token: str, now: float) -> Json:
        """The claims of a valid token, or BadToken."""
        claims = self._checked.get(token)
        if claims is None:
            claims = self._verified(token)
            if len(self._checked) > 10_000:
                self._checked.clear()
            self._checked[token] = claims
        if now >= claims["exp"]:
            raise BadToken("token has expired")
        return claims

    def _verified(self, token: str) -> Json:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        try:
            head, body, signature = token.split(".")
            raw = _decode(signature)
            der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
            self._loaded().public_key().verify(der, f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256()))
            claims: Json = msgspec.json.decode(_decode(body))
        except (ValueError, InvalidSignature, msgspec.DecodeError) as cause:
            raise BadToken("token is not one of this server") from cause
        return claims

    def _loaded(self) -> "EllipticCurvePrivateKey":
        if self._key is None:
            from cryptography.hazmat.primitives.asymmetric import ec
            from cryptography.hazmat.primitives.serialization import load_pem_private_key

            key = load_pem_private_key(self._pem, None)
            assert isinstance(key, ec.EllipticCurvePrivateKey)
            self._key = key
        return self._key

    def _key_id(self) -> str:
        return _encode(hashlib.sha256(self._pem).digest())


def account_claims(
    namespace: str, account: Json, audiences: list[str], seconds: int, bound: Json | None, now: float
) -> Json:
    """The claims of a token of *account*. *bound* is {"pod": {name, uid}} or the like, or None."""
    issued = int(now)
    name = account["metadata"]["name"]
    details: Json = {"namespace": namespace, "serviceaccount": {"name": name, "uid": account["metadata"]["uid"]}}
    return {
        "aud": audiences,
        "exp": issued + seconds,
        "iat": issued,
        "iss": ISSUER,
        "jti": str(uuid.uuid4()),
        "kubernetes.io": details | (bound or {}),
        "nbf": issued,
        "sub": f"system:serviceaccount:{namespace}:{name}",
    }
