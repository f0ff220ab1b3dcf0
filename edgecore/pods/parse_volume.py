"""Volumes of a pod body → `Volume`. Pure; part of `parse`."""

from typing import Final

from edgecore.pods import quantity
from edgecore.pods.parse_container import field_ref, resource_ref
from edgecore.pods.reader import Reader
from edgecore.pods.spec import (
    DownwardSource,
    EmptyDir,
    FieldRef,
    Files,
    HostPath,
    Item,
    KeysSource,
    ResourceRef,
    Source,
    TokenSource,
    Volume,
)
from edgelink.objects import Kind

_HOST_TYPES: Final = (
    "",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
    "CharDevice",
    "BlockDevice",
)


def volume_view(reader: Reader) -> Volume:
    """One entry of ``volumes``."""
    name = reader.text("name")
    source = _source(reader)
    reader.close()
    # An unknown kind of volume has left its complaint in close(); the stand-in is never mounted.
    return Volume(name, EmptyDir() if source is None else source)


def _source(reader: Reader) -> EmptyDir | HostPath | Files | None:
    if (inner := reader.sub("emptyDir")) is not None:
        return _empty_dir(inner)
    if (inner := reader.sub("hostPath")) is not None:
        path = HostPath(inner.text("path"), inner.choice("type", _HOST_TYPES, ""))
        if not path.path.startswith("/") or ".." in path.path.split("/"):
            inner.complain("path", "must be absolute and without '..'")
        inner.close()
        return path
    for field, kind, named in (
        ("configMap", Kind.CONFIG_MAP, "name"),
        ("secret", Kind.SECRET, "secretName"),
    ):
        if (inner := reader.sub(field)) is not None:
            mode = _mode(inner)
            return Files((_keys(inner, kind, named),), mode)
    if (inner := reader.sub("downwardAPI")) is not None:
        mode = _mode(inner)
        return Files((_downward(inner),), mode)
    if (inner := reader.sub("projected")) is not None:
        mode = _mode(inner)
        sources = tuple(found for entry in inner.each("sources") for found in _projection(entry))
        inner.close()
        return Files(sources, mode)
    return None


def _empty_dir(reader: Reader) -> EmptyDir:
    memory = reader.choice("medium", ("", "Memory"), "") == "Memory"
    size = None
    if (text := reader.quantity("sizeLimit")) is not None:
        if not memory:
            reader.complain("sizeLimit", "is supported with medium Memory only")
        try:
            size = quantity.whole(text)
        except ValueError as error:
            reader.complain("sizeLimit", str(error))
    reader.close()
    return EmptyDir(memory, size)


def _mode(reader: Reader) -> int:
    mode = reader.integer("defaultMode")
    return 0o644 if mode is None else mode & 0o777


def _keys(reader: Reader, kind: str, named: str) -> KeysSource:
    items = []
    for entry in reader.each("items"):
        items.append(Item(_path(entry), entry.text("key"), _item_mode(entry)))
        entry.close()
    source = KeysSource(kind, reader.text(named), tuple(items), reader.flag("optional"))
    reader.close()
    return source


def _item_mode(reader: Reader) -> int | None:
    mode = reader.integer("mode")
    return None if mode is None else mode & 0o777


def _path(reader: Reader) -> str:
    """A relative path that stays inside its volume; the API's rule, checked again because files are written by it."""
    path = reader.text("path")
    parts = path.split("/")
    if not path or path.startswith(("/", "..")) or ".." in parts or "\0" in path:
        reader.complain("path", "must be relative and without '..'")
        return "refused"
    return "/".join(part for part in parts if part not in ("", "."))


def _downward(reader: Reader) -> DownwardSource:
    items = []
    for entry in reader.each("items"):
        found: FieldRef | ResourceRef = FieldRef("metadata.name")
        if (inner := entry.sub("fieldRef")) is not None:
            found = field_ref(inner)
        elif (inner := entry.sub("resourceFieldRef")) is not None:
            found = resource_ref(inner)
        items.append(Item(_path(entry), found, _item_mode(entry)))
        entry.close()
    reader.close()
    return DownwardSource(tuple(items))


def _projection(reader: Reader) -> list[Source]:
    found: list[Source] = []
    if (inner := reader.sub("configMap")) is not None:
        found.append(_keys(inner, Kind.CONFIG_MAP, "name"))
    if (inner := reader.sub("secret")) is not None:
        found.append(_keys(inner, Kind.SECRET, "name"))
    if (inner := reader.sub("downwardAPI")) is not None:
        found.append(_downward(inner))
    if (inner := reader.sub("serviceAccountToken")) is not None:
        expiration = inner.integer("expirationSeconds")
        token = TokenSource(_path(inner), inner.text("audience"), max(600, 3600 if expiration is None else expiration))
        inner.close()
        found.append(token)
    reader.close()
    return found
