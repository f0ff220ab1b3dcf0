"""As few reads as the register map allows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_models.coalesce import Block, coalesce, cut
from device_models.registers import RegisterSpec, Table


def at(address: int, count: int = 1, table: Table = Table.HOLDING) -> RegisterSpec:
    return RegisterSpec(table=table, address=address, count=count)


def shape(blocks: list[Block]) -> list[tuple[int, int]]:
    return [(block.address, block.count) for block in blocks]


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        ([], []),
        ([at(5)], [(5, 1)]),
        ([at(2), at(0), at(1)], [(0, 3)]),
        ([at(0, 10), at(2), at(5, 2)], [(0, 10)]),
        ([at(0), at(9)], [(0, 10)]),
        ([at(0), at(10)], [(0, 1), (10, 1)]),
        ([at(0, 100), at(100, 25)], [(0, 125)]),
        ([at(0, 100), at(100, 26)], [(0, 100), (100, 26)]),
        ([at(0), at(1, table=Table.INPUT)], [(0, 1), (1, 1)]),
        ([at(0, table=Table.COIL), at(100, table=Table.COIL)], [(0, 101)]),
        ([at(0, 1999, Table.COIL), at(1999, 2, Table.COIL)], [(0, 1999), (1999, 2)]),
    ],
)
def test_what_is_read_together(specs: list[RegisterSpec], expected: list[tuple[int, int]]) -> None:
    assert shape(coalesce(specs, max_gap=8)) == expected


def test_no_gap_and_few_registers() -> None:
    assert shape(coalesce([at(0), at(1), at(3)], max_gap=0)) == [(0, 2), (3, 1)]
    assert shape(coalesce([at(0), at(1), at(2)], max_gap=0, max_registers=2)) == [(0, 2), (2, 1)]


def test_no_read_crosses_a_cut() -> None:
    assert shape(coalesce([at(0), at(1), at(2)], max_gap=8, cuts={(Table.HOLDING, 1)})) == [(0, 1), (1, 2)]
    assert shape(coalesce([at(0), at(3)], max_gap=8, cuts={(Table.HOLDING, 2)})) == [(0, 1), (3, 1)]
    assert shape(coalesce([at(0), at(1)], max_gap=8, cuts={(Table.INPUT, 1)})) == [(0, 2)]


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        ([at(0)], None),
        ([at(0), at(1), at(5), at(6)], 5),
        ([at(0), at(1), at(2), at(3)], 2),
        ([at(0, 4), at(1), at(2)], 2),
        ([at(0), at(0, 3)], None),
    ],
)
def test_where_a_refused_read_is_cut(specs: list[RegisterSpec], expected: int | None) -> None:
    [block] = coalesce(specs, max_gap=8)
    assert cut(block) == (None if expected is None else (Table.HOLDING, expected))


@given(
    st.lists(st.builds(at, st.integers(0, 300), st.integers(1, 20), st.sampled_from(Table)), max_size=40),
    st.integers(0, 20),
    st.integers(20, 125),
    st.sets(st.tuples(st.sampled_from(Table), st.integers(0, 300)), max_size=5),
)
def test_everything_is_read_once_and_within_bounds(
    specs: list[RegisterSpec], gap: int, most: int, cuts: set[tuple[Table, int]]
) -> None:
    blocks = coalesce(specs, max_gap=gap, max_registers=most, cuts=cuts)
    assert sorted(spec for block in blocks for spec in map(id, block.specs)) == sorted(
        {id(s) for b in blocks for s in b.specs}
    )
    assert {spec for block in blocks for spec in block.specs} == set(specs)
    for block in blocks:
        assert block.count <= (most * 16 if block.table.bits else most)
        assert all(block.address <= s.address and s.end <= block.address + block.count for s in block.specs)


@given(st.lists(st.builds(at, st.integers(0, 60), st.integers(1, 3)), min_size=1, max_size=30), st.integers(0, 60))
def test_cutting_ends_with_only_the_bad_register_refused(specs: list[RegisterSpec], bad: int) -> None:
    """A device without register *bad* still gives everything that does not touch it."""
    cuts: set[tuple[Table, int]] = set()
    got: set[RegisterSpec] = set()
    todo = coalesce(specs, max_gap=8)
    for _ in range(200):
        if not todo:
            break
        block = todo.pop()
        if not block.address <= bad < block.address + block.count:
            got |= set(block.specs)
        elif place := cut(block):
            cuts.add(place)
            todo += coalesce(block.specs, max_gap=8, cuts=cuts)
    assert not todo
    alone = {s for s in specs if not s.address <= bad < s.end}
    clear = {s for s in alone if not any(o is not s and o.address == s.address and o.end > s.end for o in specs)}
    assert got >= clear
