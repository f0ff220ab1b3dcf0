"""Why a call to the Kubernetes API failed, one class per thing a caller can do about it.

Every message says what was attempted. `Retryable` ones may succeed unchanged later; the others will not.
"""

import msgspec


class KubeError(Exception):
    """Any failed call."""


class NotFound(KubeError):
    """The object, its namespace or the whole resource type does not exist."""


class Conflict(KubeError):
    """A precondition (uid, resourceVersion) does not hold: read again, decide again."""


class AlreadyExists(Conflict):
    """An object of that name is there already."""


class Gone(KubeError):
    """The resourceVersion or continue token is too old: list again."""


class Unauthorized(KubeError):
    """The API server does not know us; credentials must be renewed."""


class Forbidden(KubeError):
    """The API server knows us and says no (RBAC, admission, a terminating namespace)."""


class Invalid(KubeError):
    """The request itself is wrong and never will be taken as it is."""


class Retryable(KubeError):
    """May succeed later. *retry_after* is what the server asked for, in seconds."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Throttled(Retryable):
    """The API server is protecting itself."""


class Unreachable(Retryable):
    """No answer: connection refused, cut or too slow. The request may or may not have been carried out."""


class ServerFailed(Retryable):
    """The API server answered that it failed."""


class BadCredentials(KubeError):
    """No usable kubeconfig or credentials: a person must act."""


class _Details(msgspec.Struct, rename="camel"):
    retry_after_seconds: int = 0


class _Status(msgspec.Struct):
    message: str = ""
    reason: str = ""
    code: int = 0
    details: _Details | None = None


_status = msgspec.json.Decoder(_Status)

_BY_CODE: dict[int, type[KubeError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
}


def failure(doing: str, code: int, body: bytes, retry_after: str = "") -> KubeError:
    """The error for an answer with HTTP status *code*; *body* should be, but need not be, a metav1.Status."""
    try:
        status = _status.decode(body)
    except msgspec.DecodeError:
        status = _Status(message=body[:200].decode(errors="replace"))
    code = status.code or code
    message = f"cannot {doing}: {status.message[:500] or 'no reason given'} ({status.reason or code})"
    if code == 409 and status.reason == "AlreadyExists":
        return AlreadyExists(message)
    if kind := _BY_CODE.get(code):
        return kind(message)
    if code == 429 or code >= 500:
        wait = _seconds(retry_after) or (status.details.retry_after_seconds if status.details else 0) or None
        return Throttled(message, wait) if code == 429 else ServerFailed(message, wait)
    return Invalid(message)


def _seconds(retry_after: str) -> float:
    # RFC 9110 also allows a date here; no API server sends one.
    return float(retry_after) if retry_after.isdigit() else 0.0
