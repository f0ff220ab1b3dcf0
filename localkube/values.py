"""JSON as Python data, by name: most of what this server handles."""

from typing import Any

Value = Any
"""Any JSON value: what comes from a client has no type until something has checked it."""

Json = dict[str, Any]
"""A JSON object."""
