"""Which reads to make for a set of registers: as few as the register map allows. Pure.

One read takes registers of one table that touch, overlap or have a small gap between them. Devices differ in what they
let a read span, and say so only by refusing: a refused block is cut with `cut`, and the cuts are remembered by the
caller, so that the next plan avoids the refusal.
"""

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from device_models.registers import MAX_READ, RegisterSpec, Table

_BITS_PER_WORD: Final = 16

Cut = tuple[Table, int]
"""A block of this table must not reach across this address from below."""


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """One read."""

    table: Table
    address: int
    count: int
    specs: tuple[RegisterSpec, ...]
    """What is in it, by address."""


def coalesce(
    specs: Iterable[RegisterSpec],
    *,
    max_gap: int,
    max_registers: int = MAX_READ[False],
    cuts: Collection[Cut] = (),
) -> list[Block]:
    """The fewest reads that get all of *specs*, each spec whole within one of them."""
    blocks: list[Block] = []
    for spec in sorted(set(specs), key=lambda spec: (spec.table, spec.address, spec.end)):
        last = blocks[-1] if blocks else None
        if last and _joins(last, spec, max_gap, max_registers, cuts):
            end = max(last.address + last.count, spec.end)
            blocks[-1] = Block(last.table, last.address, end - last.address, (*last.specs, spec))
        else:
            blocks.append(Block(spec.table, spec.address, spec.count, (spec,)))
    return blocks


def cut(block: Block) -> Cut | None:
    """Where to cut a *block* that the device refused: at its widest gap, else in the middle. None: it is one spec."""
    best: tuple[int, int, int] | None = None
    end, middle = block.specs[0].end, block.address + block.count // 2
    for spec in block.specs[1:]:
        if spec.address >= end:
            rank = (spec.address - end, -abs(spec.address - middle), spec.address)
            best = max(best, rank) if best else rank
        end = max(end, spec.end)
    return (block.table, best[2]) if best else _between_overlapping(block.specs)


def _between_overlapping(specs: Sequence[RegisterSpec]) -> Cut | None:
    """A place to cut when every spec overlaps the one before it: each is then read by itself, from the first on."""
    later = [spec.address for spec in specs if spec.address > specs[0].address]
    return (specs[0].table, later[len(later) // 2]) if later else None


def _joins(block: Block, spec: RegisterSpec, max_gap: int, max_registers: int, cuts: Collection[Cut]) -> bool:
    end = block.address + block.count
    bits = spec.table.bits
    gap = max_gap * _BITS_PER_WORD if bits else max_gap
    most = min(MAX_READ[bits], max_registers * (_BITS_PER_WORD if bits else 1))
    return (
        spec.table is block.table
        and spec.address - end <= gap
        and max(end, spec.end) - block.address <= most
        and not any((spec.table, at) in cuts for at in range(block.address + 1, spec.address + 1))
    )
