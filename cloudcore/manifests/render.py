"""All objects in the order kubectl should apply them, as YAML. Pure."""

import yaml

from cloudcore.manifests import access, workload


def manifests(namespace: str, image: str) -> str:
    """The namespace, custom resources (none yet), access, then what runs."""
    home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": dict(access.LABELS)}}
    objects = [home, *access.objects(namespace), *workload.objects(namespace, image)]
    return yaml.safe_dump_all(objects, sort_keys=False, explicit_start=True)
