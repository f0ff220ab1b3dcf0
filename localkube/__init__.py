"""A small Kubernetes-compatible API server: one process, one SQLite file, TLS with its own CA.

Enough for kubectl, for CloudCore and for a first hour without a cluster. It imports nothing of the other packages, and
nothing in it knows who its clients are. There is authentication but no authorisation: every authenticated user may do
everything, RBAC objects are stored and not enforced.

The map, from the wire inwards:

- ``__main__``, ``server``, ``authentication``, ``pki``, ``kubeconfig``: arguments, HTTPS, who asks, keys, kubeconfig.
- ``handlers``: one request. ``call`` takes it apart, ``dispatch`` finds the verb, ``listing``, ``watching``,
  ``writing``, ``deleting``, ``subresources`` and ``reviews`` are the verbs, ``render`` makes the answer.
- ``admission``: what happens to an object on its way in; ``rules`` says what holds for which kind.
- ``patch``, ``ownership``: patch languages, field ownership and server-side apply.
- ``resources``, ``builtin``, ``schema``, ``customs``: what kinds there are and what their fields are; built-in kinds
  from tables, custom ones from CustomResourceDefinitions.
- ``discovery``, ``openapi``, ``printing``: what kubectl asks for besides objects.
- ``lifecycle``: what a cluster does by itself: namespaces, garbage, nodes, scheduling, old events.
- ``storage``: objects and their history; ``store`` in memory, ``journal`` in SQLite.
- ``selectors``, ``tokens``, ``errors``, ``clock``: selectors, service account tokens, Status errors, time.
"""

__version__ = "0.1.0"
