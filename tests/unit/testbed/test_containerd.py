"""What a node is called, and where it keeps things."""

from pathlib import Path

import pytest

from testbed.containerd import ContainerdNode


def test_nodes_of_two_directories_share_nothing(tmp_path: Path) -> None:
    one, other = (ContainerdNode(tmp_path / name, "edge0", "10.1.0.0/24") for name in ("a", "b"))
    assert one.bridge != other.bridge
    assert one.cgroup_root != other.cgroup_root
    assert one.socket != other.socket


def test_the_bridge_name_fits_the_kernel(tmp_path: Path) -> None:
    assert len(ContainerdNode(tmp_path, "a-rather-long-name", "10.1.0.0/24").bridge) <= 15


def test_a_path_too_long_for_a_socket_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too long for its socket"):
        ContainerdNode(tmp_path / ("x" * 100), "edge0", "10.1.0.0/24")


def test_a_subnet_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"10\.1\.0\.7/24"):
        ContainerdNode(tmp_path, "edge0", "10.1.0.7/24")


def test_there_is_no_node_in_an_empty_directory(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ContainerdNode.at(tmp_path)
