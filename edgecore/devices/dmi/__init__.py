"""KubeEdge's device mapper interface: mappers in other processes, served over a Unix socket.

`server` is the way in, `reconcile` the way out, `drivers` what the rest of the devices feature sees: a mapper is one
more driver. `seats` is where they meet. Nothing here loads gRPC before a socket is configured.
"""
