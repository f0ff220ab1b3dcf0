"""From a parsed request to the handler of its verb."""

from localkube.errors import method_not_allowed, no_such_path, not_found
from localkube.handlers import deleting, listing, reviews, subresources, writing
from localkube.handlers.api import NO_SNIFF, Api, Reply
from localkube.handlers.call import Call
from localkube.handlers.watching import Stream, wants_watch

_VIEWS = ("status", "finalize", "ephemeralcontainers", "resize")


async def answer(api: Api, call: Call) -> Reply | Stream:
    """The complete reply, or the stream of a watch. ApiError when the request is refused."""
    target = call.target
    if reviews.is_review(call):
        if call.method != "POST" or target.name is not None:
            raise method_not_allowed()
        return reviews.review(api, call)
    if target.subresource is not None:
        return await _subresource(api, call)
    if target.name is None:
        return await _collection(api, call)
    return await _object(api, call)


async def _collection(api: Api, call: Call) -> Reply | Stream:
    verbs = call.resource.row.verbs
    match call.method:
        case "GET" if wants_watch(call) and "watch" in verbs:
            return Stream(api, call)
        case "GET" if "list" in verbs:
            return listing.list_(api, call)
        case "POST" if "create" in verbs:
            if call.resource.row.namespaced and call.target.namespace is None:
                if call.resource.custom is not None:
                    return Reply(404, b"404 page not found\n", "text/plain; charset=utf-8", NO_SNIFF)
                raise method_not_allowed()
            if call.resource.key == "bindings":
                return await _legacy_binding(api, call)
            return await writing.create(api, call)
        case "DELETE" if "deletecollection" in verbs:
            return await deleting.delete_collection(api, call)
    raise method_not_allowed()


async def _legacy_binding(api: Api, call: Call) -> Reply:
    binding = writing.object_of(call)
    name = (binding.get("metadata") or {}).get("name")
    pods = api.registry.core("pods")
    call.target = type(call.target)(pods, call.target.namespace, name, "binding")
    return await subresources.bind(api, call)


async def _object(api: Api, call: Call) -> Reply | Stream:
    verbs = call.resource.row.verbs
    match call.method:
        case "GET" if wants_watch(call) and "watch" in verbs:
            return Stream(api, call)
        case "GET" if "get" in verbs:
            return listing.get(api, call)
        case "PUT" if "update" in verbs:
            return await writing.update(api, call)
        case "PATCH" if "patch" in verbs:
            return await writing.patch(api, call)
        case "DELETE" if "delete" in verbs:
            return await deleting.delete(api, call)
    raise method_not_allowed()


async def _subresource(api: Api, call: Call) -> Reply | Stream:
    name = call.target.subresource or ""
    if name not in call.resource.row.subresources:
        if call.resource.custom is not None:
            raise not_found(call.resource.plural, call.resource.group, call.name)
        raise no_such_path()
    action = subresources.ACTIONS.get((call.method, name))
    if action is not None:
        return await action(api, call)
    if name not in _VIEWS:
        raise method_not_allowed()
    match call.method:
        case "GET":
            return listing.get(api, call)
        case "PUT":
            return await writing.update(api, call)
        case "PATCH":
            return await writing.patch(api, call)
    raise method_not_allowed()
