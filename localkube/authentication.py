"""Who sends a request: client certificate of our CA, the admin's token, or a service account token of ours."""

import hmac

from localkube.errors import unauthorized
from localkube.handlers.api import Api
from localkube.handlers.call import User
from localkube.handlers.reviews import account_user, live_claims
from localkube.pki import ADMIN, ADMIN_GROUP
from localkube.tokens import BadToken
from localkube.values import Value

_AUTHENTICATED = "system:authenticated"


class Authenticator:
    """Certificates were already verified by TLS; here they only get their names."""

    def __init__(self, api: Api, admin_token: str) -> None:
        self._api, self._admin_token = api, admin_token

    def user(self, authorization: str, certificate: dict[str, Value] | None) -> User:
        """The user, or ApiError 401."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and token:
            return self._by_token(token.strip())
        if certificate:
            return _by_certificate(certificate)
        raise unauthorized()

    def _by_token(self, token: str) -> User:
        if hmac.compare_digest(token.encode(), self._admin_token.encode()):
            return User(ADMIN, (ADMIN_GROUP, _AUTHENTICATED))
        try:
            return account_user(live_claims(self._api, token))
        except BadToken as cause:
            raise unauthorized() from cause


def _by_certificate(certificate: dict[str, Value]) -> User:
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    names = [value for key, value in subject if key == "commonName"]
    groups = tuple(value for key, value in subject if key == "organizationName")
    if not names:
        raise unauthorized()
    return User(names[0], (*groups, _AUTHENTICATED))
