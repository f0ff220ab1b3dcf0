"""A checksum per row, computed inside SQLite so that reading keys need not carry bodies through Python.

A gateway's flash can return a page whose content is wrong yet well-formed for SQLite. The seal finds it.
"""

import sqlite3
import zlib
from typing import Final

FUNCTION: Final = "seal"


def seal(head: bytes | None, body: bytes | None) -> int:
    """CRC-32 of both; -1, which no row carries, when a column is missing or of the wrong type."""
    if not isinstance(head, bytes) or not isinstance(body, bytes):
        return -1
    return zlib.crc32(body, zlib.crc32(head))


def expression(*columns: str, body: str = "body") -> str:
    """SQL that computes the seal of a row. The head goes in as bytes: damaged text need not be UTF-8."""
    head = " || '/' || ".join(columns)
    return f"{FUNCTION}(CAST({head} AS BLOB), {body})"


def install(connection: sqlite3.Connection) -> None:
    """Make the function known to *connection*."""
    connection.create_function(FUNCTION, 2, seal, deterministic=True)
