"""How a gateway becomes a node: join tokens, the certificate authority, renewal, revocation.

Read in this order: server (what an edge may ask), tokens (who may join), authority (what is signed), keystore (where
the keys live), revocations. All state is in Kubernetes objects of one namespace, so any number of replicas agree.
"""
