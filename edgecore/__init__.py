"""The daemon on the gateway: keeps what the cloud wants in SQLite, runs pods through CRI, dials out, works offline.

Read `daemon` first: the whole machine on one page. Features (``link``, ``pods``, ``node``, ``health``) never import
each other; they meet in ``store``. Calls go down, streams come up.
"""
