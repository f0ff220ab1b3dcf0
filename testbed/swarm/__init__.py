"""Thousands of simulated edge nodes on the real channel: mutual TLS, WebSocket, the native dialect.

A node here has a certificate of its own, registers its Node, keeps an inventory in memory, acknowledges objects, runs
its pods in name only, answers pings and dials again with the real edge's back-off. `identities` makes the certificates,
`node` is one node, `fleet` the process that runs many, `swarm` starts such processes and reads what they tell.
"""
