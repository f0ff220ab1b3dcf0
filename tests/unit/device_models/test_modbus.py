"""Where a Modbus device is, as people write it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_models.modbus import BadTarget, ModbusTarget, SerialEndpoint, TcpEndpoint, target
from device_models.model import Device


def aim(**config: Any) -> ModbusTarget:  # noqa: ANN401
    return target(Device(namespace="n", name="d", config=config))


def test_the_current_dialect_over_tcp() -> None:
    found = aim(communicateMode="TCP", slaveID=7, ip="10.0.0.9", port="1502", timeout=50)
    assert found == ModbusTarget(endpoint=TcpEndpoint("10.0.0.9", 1502), unit=7)


def test_the_current_dialect_over_a_serial_line() -> None:
    found = aim(
        communicateMode="RTU",
        slaveID=1,
        serialName="/dev/ttyS0",
        baudRate=19200,
        dataBits=7,
        stopBits=2,
        parity="even",
        rs485Enabled=True,
    )
    assert found.endpoint == SerialEndpoint("/dev/ttyS0", 19200, 7, "E", 2, rs485=True)


def test_the_website_leaves_mode_and_unit_out() -> None:
    assert aim(ip="Plc.Local", port=1502) == ModbusTarget(endpoint=TcpEndpoint("plc.local", 1502))


def test_capital_keys_and_text_for_numbers() -> None:
    found = aim(SerialPort="/dev/ttyUSB0", BaudRate="9600", DataBits="8", Parity="odd", StopBits="1", SlaveID="3")
    assert found == ModbusTarget(endpoint=SerialEndpoint("/dev/ttyUSB0", 9600, 8, "O", 1), unit=3)


def test_rs485_as_it_was_written_before() -> None:
    found = aim(serialPort="/dev/ttyS1", parity="none", customizedValues={"serialType": "RS485"})
    assert found.endpoint == SerialEndpoint("/dev/ttyS1", rs485=True)


def test_wishes_of_a_device() -> None:
    found = aim(ip="::1", timeoutMs=250, maxGap=0, maxRegisters=16)
    assert (found.timeout, found.max_gap, found.max_registers) == (0.25, 0, 16)
    assert str(found.endpoint) == "[::1]:502"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "spec.protocol.configData.ip: is missing"),
        ({"ip": "10.0.0.1; reboot"}, "configData.ip: must be an address"),
        ({"ip": "a", "port": 0}, "configData.port: must be a whole number from 1 to 65535"),
        ({"ip": "a", "slaveID": 256}, "slaveID: must be a whole number from 0 to 255"),
        ({"ip": "a", "communicateMode": "UDP"}, "communicateMode: must be one of TCP, RTU"),
        ({"communicateMode": "RTU"}, "serialPort: is missing"),
        ({"serialName": "spy:///dev/ttyS0?file=/etc/passwd"}, "serialName: must be the absolute path"),
        ({"serialName": "/dev/../etc/passwd"}, "serialName: must be the absolute path"),
    ],
)
def test_complaints(config: dict[str, Any], message: str) -> None:
    with pytest.raises(BadTarget, match=message) as caught:
        aim(**config)
    assert caught.value.complaints


def test_a_serial_line_is_named_by_its_path() -> None:
    assert str(SerialEndpoint("/dev/ttyS0")) == "/dev/ttyS0"


@given(
    st.dictionaries(
        st.sampled_from(["ip", "port", "communicateMode", "slaveID", "serialName", "baudRate", "parity", "timeoutMs"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["RTU", "/a"]),
    )
)
def test_anything_gives_a_target_or_complaints(config: dict[str, Any]) -> None:
    try:
        found = aim(**config)
    except BadTarget as bad:
        assert all(str(complaint).startswith("spec.protocol.configData") for complaint in bad.complaints)  # noqa: PT017
        return
    assert 0 <= found.unit <= 255
    assert found.timeout > 0
