"""Commands beside ``run``: join, check, get, logs, reset. They work with the cloud gone and, but for join, offline.

`commands` lists them. Nothing is imported here: the daemon uses `common` and must not load the rest.
"""
