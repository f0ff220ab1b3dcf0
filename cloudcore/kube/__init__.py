"""The Kubernetes API as CloudCore speaks it. Bodies stay bytes; decoding is narrow and happens once.

Read in this order: contract (what callers hold), errors, kinds, client (the only place where HTTP happens), watch.
"""
