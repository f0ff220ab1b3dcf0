"""The kubeconfig file with which kubectl and CloudCore find this server."""

import base64
import json
import pathlib

from localkube.pki import ADMIN, Identity, write_private


def write_kubeconfig(path: pathlib.Path, identity: Identity, server: str) -> None:
    """Write *path*, mode 0600, with the admin's client certificate. JSON is YAML."""

    def data(file: pathlib.Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    cluster = {"server": server, "certificate-authority-data": data(identity.ca)}
    user = {"client-certificate-data": data(identity.admin), "client-key-data": data(identity.admin_key)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "localkube", "cluster": cluster}],
        "users": [{"name": ADMIN, "user": user}],
        "contexts": [{"name": "localkube", "context": {"cluster": "localkube", "user": ADMIN}}],
        "current-context": "localkube",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, json.dumps(document, indent=2).encode() + b"\n")
