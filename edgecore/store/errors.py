"""What can go wrong with the node's store."""


class StoreError(Exception):
    """The store cannot be used; the message says why and what to do."""


class StoreTooNew(StoreError):
    """The file was written by a newer edgecore."""


class StoreBroken(StoreError):
    """The file is damaged beyond what can be read."""


class StoreFull(StoreError):
    """A write failed: the disk is full or read-only. Nothing acknowledged is lost; try again later."""
