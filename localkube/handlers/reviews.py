"""Questions that are asked by POST and stored nowhere: who am I, may I, is this token good.

There is no authorisation: every access review answers yes.
"""

from collections.abc import Callable

from localkube import clock
from localkube.handlers.api import Api, Reply, json_reply
from localkube.handlers.call import Call, User
from localkube.handlers.writing import object_of
from localkube.ownership.tracking import track_update
from localkube.tokens import AUDIENCE, BadToken
from localkube.values import Json

_ALL_RULES = {
    "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    "incomplete": False,
}


def account_user(claims: Json) -> User:
    """The user a service account token stands for."""
    details = claims["kubernetes.io"]
    namespace, account = details["namespace"], details["serviceaccount"]
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    extra = {"authentication.kubernetes.io/credential-id": (f"JTI={claims['jti']}",)}
    if "pod" in details:
        extra["authentication.kubernetes.io/pod-name"] = (details["pod"]["name"],)
        extra["authentication.kubernetes.io/pod-uid"] = (details["pod"]["uid"],)
    return User(claims["sub"], groups, account["uid"], extra)


def live_claims(api: Api, token: str) -> Json:
    """The claims of a token that is valid now: signature, time, and everything it is bound to. Else BadToken."""
    claims = api.signer.check(token, clock.now())
    details = claims["kubernetes.io"]
    namespace = details["namespace"]
    for kind, plural in (
        ("serviceaccount", "serviceaccounts"),
        ("pod", "pods"),
        ("secret", "secrets"),
        ("node", "nodes"),
    ):
        if kind in details:
            entry = api.store.get(plural, "" if kind == "node" else namespace, details[kind]["name"])
            if entry is None or entry.uid != details[kind]["uid"]:
                raise BadToken(f"the {kind} this token is bound to is gone")
    return claims


def _user_info(user: User) -> Json:
    info: Json = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


def _who(api: Api, call: Call, spec: Json) -> Json:
    return {"userInfo": _user_info(call.user)}


def _allowed(api: Api, call: Call, spec: Json) -> Json:
    return {"allowed": True, "reason": "localkube does not restrict authenticated users"}


def _rules(api: Api, call: Call, spec: Json) -> Json:
    return dict(_ALL_RULES)


def _token(api: Api, call: Call, spec: Json) -> Json:
    try:
        claims = live_claims(api, spec.get("token", ""))
    except BadToken:
        return {"user": {}, "error": "invalid bearer token"}
    wanted = spec.get("audiences") or [AUDIENCE]
    shared = [audience for audience in wanted if audience in claims["aud"]]
    if not shared:
        return {"user": {}, "error": "token audiences do not match"}
    return {"authenticated": True, "user": _user_info(account_user(claims)), "audiences": shared}


_ANSWERS: dict[str, Callable[[Api, Call, Json], Json]] = {
    "selfsubjectreviews": _who,
    "selfsubjectaccessreviews": _allowed,
    "subjectaccessreviews": _allowed,
    "localsubjectaccessreviews": _allowed,
    "selfsubjectrulesreviews": _rules,
    "tokenreviews": _token,
}


def is_review(call: Call) -> bool:
    return call.resource.plural in _ANSWERS


def review(api: Api, call: Call) -> Reply:
    obj = object_of(call)
    spec = obj.get("spec") or {}
    asked: Json = {"metadata": dict(obj.get("metadata") or {}), "spec": spec}
    track_update(call.resource, None, asked, call.manager, "", clock.now())
    meta = asked["metadata"]
    body: Json = {"kind": call.resource.kind, "apiVersion": call.resource.api_version, "metadata": meta}
    if "spec" in obj:
        body["spec"] = spec
    body["status"] = _ANSWERS[call.resource.plural](api, call, spec)
    return json_reply(body, 201)
