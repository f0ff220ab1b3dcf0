"""metadata.managedFields: who set which field last, and server-side apply, which is built on it. Pure.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/ and the merge specification it refers to.
"""
