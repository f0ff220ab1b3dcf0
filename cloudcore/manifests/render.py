"""All objects in the order kubectl should apply them, as YAML. Pure."""

import yaml

from cloudcore.manifests import access, devices, workload


class _Plain(yaml.SafeDumper):
    """Repeats what occurs twice: kubectl reads anchors, people do not like to."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def manifests(namespace: str, image: str) -> str:
    """The namespace, custom resources, access, then what runs."""
    home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": dict(access.LABELS)}}
    objects = [home, *devices.definitions(), *access.objects(namespace), *workload.objects(namespace, image)]
    return yaml.dump_all(objects, Dumper=_Plain, sort_keys=False, explicit_start=True)
