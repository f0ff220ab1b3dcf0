"""The hand-written wire format is protobuf's."""

from google.protobuf import struct_pb2, type_pb2

from testbed import cri


def test_messages_are_those_of_protobuf() -> None:
    field = type_pb2.Field(number=300, name="pressure" * 30, type_url="x")
    assert cri.message((3, 300), (4, "pressure" * 30), (6, "x")) == field.SerializeToString(deterministic=True)


def test_nested_values_are_found() -> None:
    data = type_pb2.Type(fields=[type_pb2.Field(number=5, name="five"), type_pb2.Field(number=6)]).SerializeToString()
    assert cri.first(data, 2, 3) == 5
    assert cri.first(data, 2, 4) == b"five"
    assert cri.first(data, 9) is None
    assert cri.first(data, 2, 9) is None


def test_fixed_width_fields_are_passed_over() -> None:
    data = struct_pb2.Value(number_value=1.5).SerializeToString() + cri.message((4, 1))
    assert cri.first(data, 4) == 1
