from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Encoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLAIN: _ClassVar[Encoding]
    DEFLATE: _ClassVar[Encoding]
PLAIN: Encoding
DEFLATE: Encoding

class Frame(_message.Message):
    __slots__ = ("hello", "welcome", "inventory", "upsert", "delete", "synced", "reported", "ack", "nack", "ping", "pong", "bye", "question", "answer")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    INVENTORY_FIELD_NUMBER: _ClassVar[int]
    UPSERT_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    SYNCED_FIELD_NUMBER: _ClassVar[int]
    REPORTED_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    NACK_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    BYE_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    welcome: Welcome
    inventory: Inventory
    upsert: Upsert
    delete: Delete
    synced: Synced
    reported: Reported
    ack: Ack
    nack: Nack
    ping: Ping
    pong: Pong
    bye: Bye
    question: Question
    answer: Answer
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., welcome: _Optional[_Union[Welcome, _Mapping]] = ..., inventory: _Optional[_Union[Inventory, _Mapping]] = ..., upsert: _Optional[_Union[Upsert, _Mapping]] = ..., delete: _Optional[_Union[Delete, _Mapping]] = ..., synced: _Optional[_Union[Synced, _Mapping]] = ..., reported: _Optional[_Union[Reported, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., nack: _Optional[_Union[Nack, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., bye: _Optional[_Union[Bye, _Mapping]] = ..., question: _Optional[_Union[Question, _Mapping]] = ..., answer: _Optional[_Union[Answer, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("oldest_version", "newest_version", "node", "software", "digest", "utc")
    OLDEST_VERSION_FIELD_NUMBER: _ClassVar[int]
    NEWEST_VERSION_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    UTC_FIELD_NUMBER: _ClassVar[int]
    oldest_version: int
    newest_version: int
    node: str
    software: str
    digest: bytes
    utc: float
    def __init__(self, oldest_version: _Optional[int] = ..., newest_version: _Optional[int] = ..., node: _Optional[str] = ..., software: _Optional[str] = ..., digest: _Optional[bytes] = ..., utc: _Optional[float] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("version", "software", "in_sync", "utc")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    IN_SYNC_FIELD_NUMBER: _ClassVar[int]
    UTC_FIELD_NUMBER: _ClassVar[int]
    version: int
    software: str
    in_sync: bool
    utc: float
    def __init__(self, version: _Optional[int] = ..., software: _Optional[str] = ..., in_sync: _Optional[bool] = ..., utc: _Optional[float] = ...) -> None: ...

class Inventory(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    def __init__(self, entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("key", "uid", "version")
    KEY_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    key: str
    uid: str
    version: str
    def __init__(self, key: _Optional[str] = ..., uid: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class Upsert(_message.Message):
    __slots__ = ("delivery", "key", "uid", "version", "body", "encoding")
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    delivery: int
    key: str
    uid: str
    version: str
    body: bytes
    encoding: Encoding
    def __init__(self, delivery: _Optional[int] = ..., key: _Optional[str] = ..., uid: _Optional[str] = ..., version: _Optional[str] = ..., body: _Optional[bytes] = ..., encoding: _Optional[_Union[Encoding, str]] = ...) -> None: ...

class Delete(_message.Message):
    __slots__ = ("delivery", "key", "uid")
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    delivery: int
    key: str
    uid: str
    def __init__(self, delivery: _Optional[int] = ..., key: _Optional[str] = ..., uid: _Optional[str] = ...) -> None: ...

class Synced(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Reported(_message.Message):
    __slots__ = ("delivery", "key", "uid", "revision", "action", "body", "encoding")
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    delivery: int
    key: str
    uid: str
    revision: int
    action: int
    body: bytes
    encoding: Encoding
    def __init__(self, delivery: _Optional[int] = ..., key: _Optional[str] = ..., uid: _Optional[str] = ..., revision: _Optional[int] = ..., action: _Optional[int] = ..., body: _Optional[bytes] = ..., encoding: _Optional[_Union[Encoding, str]] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("deliveries",)
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    deliveries: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, deliveries: _Optional[_Iterable[int]] = ...) -> None: ...

class Nack(_message.Message):
    __slots__ = ("delivery", "reason")
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    delivery: int
    reason: str
    def __init__(self, delivery: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Pong(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Bye(_message.Message):
    __slots__ = ("reason", "refused")
    REASON_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    reason: str
    refused: bool
    def __init__(self, reason: _Optional[str] = ..., refused: _Optional[bool] = ...) -> None: ...

class Question(_message.Message):
    __slots__ = ("number", "topic", "body")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    number: int
    topic: str
    body: bytes
    def __init__(self, number: _Optional[int] = ..., topic: _Optional[str] = ..., body: _Optional[bytes] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("number", "body", "error")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    number: int
    body: bytes
    error: str
    def __init__(self, number: _Optional[int] = ..., body: _Optional[bytes] = ..., error: _Optional[str] = ...) -> None: ...
