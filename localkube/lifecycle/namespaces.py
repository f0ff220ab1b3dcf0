"""Namespaces: the standard ones, what every one contains, and how one goes away."""

from localkube import clock
from localkube.admission.basics import admit_namespace, fill_in_namespace
from localkube.customs.crds import KEY as CRDS
from localkube.customs.definitions import CLEANUP_FINALIZER
from localkube.handlers.api import Api
from localkube.handlers.deleting import Options, remove
from localkube.lifecycle.writes import create_if_absent
from localkube.ownership.tracking import track_update
from localkube.storage.store import Entry
from localkube.values import Json

STANDARD = ("default", "kube-node-lease", "kube-public", "kube-system")
_ROOT_CERTIFICATE = "kube-root-ca.crt"


class Namespaces:
    """Reconciles all namespaces; *authority* is the CA that pods need to trust this server."""

    def __init__(self, api: Api, authority: str) -> None:
        self._api, self._authority = api, authority
        self._resource = api.registry.core("namespaces")
        self._checked: set[int] = set()

    async def create_standard(self) -> None:
        for name in STANDARD:
            namespace: Json = {"metadata": {"name": name}}
            fill_in_namespace(namespace)
            track_update(self._resource, None, namespace, "kube-apiserver", "", clock.now())
            admit_namespace(namespace)
            namespace["status"] = {"phase": "Active"}
            await create_if_absent(self._api, self._resource, namespace)
        await self.reconcile()

    async def reconcile(self) -> None:
        for entry in self._api.store.entries("namespaces"):
            if b'"deletionTimestamp"' in entry.body:
                await self._empty(entry)
            else:
                await self._furnish(entry)
        await self._clean_definitions()

    async def _furnish(self, namespace: Entry) -> None:
        store, name = self._api.store, namespace.name
        if store.latest("serviceaccounts", name, "default") is None:
            account: Json = {"metadata": {"name": "default", "namespace": name}}
            await create_if_absent(self._api, self._api.registry.core("serviceaccounts"), account)
        wanted = {"ca.crt": self._authority}
        existing = store.latest("configmaps", name, _ROOT_CERTIFICATE)
        if existing is None:
            annotations = {"kubernetes.io/description": "The certificate authority of this API server."}
            meta = {"name": _ROOT_CERTIFICATE, "namespace": name, "annotations": annotations}
            config: Json = {"metadata": meta, "data": wanted}
            await create_if_absent(self._api, self._api.registry.core("configmaps"), config)
        elif existing.rev not in self._checked:
            self._checked.add(existing.rev)
            obj = existing.decoded()
            if obj.get("data") != wanted:
                obj["data"] = wanted
                await store.write("configmaps", obj)

    async def _empty(self, namespace: Entry) -> None:
        """Delete everything inside; when nothing is left, let the namespace go."""
        left = False
        for resource in self._api.registry.stored():
            if not resource.row.namespaced:
                continue
            for entry in self._api.store.entries(resource.key, namespace.name):
                left = True
                newest = self._api.store.latest(resource.key, entry.namespace, entry.name)
                if newest is not None and not (b'"deletionTimestamp"' in newest.body and resource.key == "pods"):
                    await remove(self._api, resource, newest, Options())
        newest = self._api.store.latest("namespaces", "", namespace.name)
        if left or newest is None:
            return
        obj = newest.decoded()
        obj["spec"] = {}
        await self._api.store.write("namespaces", obj, gone=not obj["metadata"].get("finalizers"))

    async def _clean_definitions(self) -> None:
        """A definition that is deleted takes its objects along."""
        for entry in self._api.store.entries(CRDS):
            obj = entry.decoded()
            finalizers = obj["metadata"].get("finalizers") or []
            if "deletionTimestamp" not in obj["metadata"] or CLEANUP_FINALIZER not in finalizers:
                continue
            key = f"{obj['spec']['names']['plural']}.{obj['spec']['group']}"
            served = [resource for resource in self._api.registry.every() if resource.key == key]
            objects = self._api.store.entries(key)
            for child in objects:
                if served:
                    await remove(self._api, served[0], child, Options())
            if not self._api.store.entries(key):
                obj["metadata"]["finalizers"] = [name for name in finalizers if name != CLEANUP_FINALIZER]
                await self._api.store.write(CRDS, obj, gone=not obj["metadata"]["finalizers"])
