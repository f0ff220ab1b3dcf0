"""The Kubernetes API as the bench needs it: blocking calls over one kept connection, and a watch to read line by line.

The standard library only: what is measured must not be slowed down by a client, nor by starting one (kubectl).
"""

import base64
import contextlib
import http.client
import json
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

Object = dict[str, Any]
PODS = "/api/v1/namespaces/default/pods"
NODES = "/api/v1/nodes"


class ApiFailed(Exception):
    """The API server answered with an error; *status* is its HTTP code."""

    def __init__(self, doing: str, status: int, body: bytes) -> None:
        super().__init__(f"{doing}: {status} {body[:300]!r}")
        self.status = status


class Api:
    """One connection; not for use by several threads at once."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=authority)
        if "client-certificate-data" in user:
            with tempfile.NamedTemporaryFile() as pem:
                pem.write(base64.b64decode(user["client-certificate-data"]))
                pem.write(base64.b64decode(user["client-key-data"]))
                pem.flush()
                self._tls.load_cert_chain(pem.name)
        server = urlsplit(cluster["server"])
        self._host, self._port = str(server.hostname), int(server.port or 443)
        self._calls = self._connect(30.0)

    def _connect(self, timeout: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._tls)

    def close(self) -> None:
        self._calls.close()

    def call(self, method: str, path: str, body: object = None, media: str = "application/json") -> Object:
        """The decoded answer. Raises ApiFailed, and OSError if the server is not there."""
        data = None if body is None else json.dumps(body)
        for last in (False, True):
            try:
                self._calls.request(method, path, data, {**self._headers, "Content-Type": media})
                answer = self._calls.getresponse()
                raw = answer.read()
                break
            except (http.client.HTTPException, ConnectionError):
                # The server may have closed a connection that was idle, or have been started anew.
                self._calls.close()
                if last:
                    raise
        if answer.status >= 300:
            raise ApiFailed(f"{method} {path}", answer.status, raw)
        found: Object = json.loads(raw)
        return found

    def find(self, path: str) -> Object | None:
        """The object at *path*, or None."""
        try:
            return self.call("GET", path)
        except ApiFailed as failed:
            if failed.status == http.client.NOT_FOUND:
                return None
            raise

    def secret(self, namespace: str, name: str) -> dict[str, bytes]:
        """The decoded data of a Secret."""
        found = self.call("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}")
        return {key: base64.b64decode(value) for key, value in found["data"].items()}

    def delete(self, path: str) -> None:
        """Delete the object at *path* if it is there."""
        try:
            self.call("DELETE", path)
        except ApiFailed as failed:
            if failed.status != http.client.NOT_FOUND:
                raise

    @contextlib.contextmanager
    def watching(self, path: str, deadline: float) -> Iterator["Watch"]:
        """A watch on the collection *path* that is open, from now on, for at most *deadline* seconds."""
        since = self.call("GET", f"{path}?limit=1")["metadata"]["resourceVersion"]
        connection = self._connect(deadline)
        try:
            connection.request("GET", f"{path}?watch=1&resourceVersion={since}", headers=self._headers)
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise ApiFailed(f"watch {path}", answer.status, answer.read())
            yield Watch(answer, deadline)
        finally:
            connection.close()


class Watch:
    """An open watch."""

    def __init__(self, answer: http.client.HTTPResponse, deadline: float) -> None:
        self._answer, self._end = answer, time.monotonic() + deadline

    def until(self, condition: Callable[[str, Object], bool], what: str) -> float:
        """Monotonic time at which *condition* of type and object of an event came true. Raises TimeoutError."""
        while line := self._answer.readline():
            now = time.monotonic()
            event = json.loads(line)
            if condition(event["type"], event["object"]):
                return now
            if now > self._end:
                break
        raise TimeoutError(f"not seen in time: {what}")


def running(pod: Object) -> bool:
    """Whether *pod* runs and is ready, as ``kubectl get`` shows 1/1 Running."""
    status = pod.get("status", {})
    return status.get("phase") == "Running" and condition(pod, "Ready")


def condition(obj: Object, kind: str) -> bool:
    """Whether condition *kind* of *obj* is true."""
    conditions = obj.get("status", {}).get("conditions") or ()
    return any(entry["type"] == kind and entry["status"] == "True" for entry in conditions)


def pod(name: str, node: str, *, image: str = "busybox:1.36", command: str = "sleep 86400") -> Object:
    """A pod of one container that ends at once on TERM."""
    # The name makes the process recognisable where there is no API to ask.
    script = f"trap 'exit 0' TERM; : {name}; {command} & wait"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "nodeName": node,
            "containers": [{"name": "main", "image": image, "command": ["sh", "-c", script]}],
        },
    }
