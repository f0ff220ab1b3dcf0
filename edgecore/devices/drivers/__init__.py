"""The drivers that ship with edgecore. They do not know each other, nor the store."""
