"""Keeps the registry in step with the CustomResourceDefinitions that are stored."""

from localkube.customs.definitions import served_resources
from localkube.handlers.api import Api
from localkube.storage.store import Event

KEY = "customresourcedefinitions.apiextensions.k8s.io"


class CustomResources:
    """Call load() before serving, then apply() for every committed change of a definition."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def load(self) -> None:
        for entry in self._api.store.entries(KEY):
            self._api.registry.set_custom(entry.name, served_resources(entry.decoded()))

    def apply(self, event: Event) -> None:
        served = [] if event.gone else served_resources(event.entry.decoded())
        self._api.registry.set_custom(event.entry.name, served)
