"""Runs groups on several processes: each block of each group is one piece of work."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from calibration.cells import BLOCK, Group, Measured, total
from calibration.parts import every_group
from calibration.results import Result


@dataclass(frozen=True)
class Timed:
    """What a group took, in seconds of one processor."""

    name: str
    seconds: float


def run(groups: Sequence[Group], experiments: int, processes: int | None = None) -> tuple[list[Result], list[Timed]]:
    """Measure every group.

    Args:
        groups: Some of `every_group()`.
        experiments: For each.
        processes: How many at once; by default as many as there are processors.
    """
    known = {group.name: number for number, group in enumerate(every_group())}
    work = [
        (known[group.name], block, size) for group in groups for block, size in enumerate(_sizes(group, experiments))
    ]
    with ProcessPoolExecutor(processes or os.cpu_count(), get_context("fork")) as pool:
        done = list(pool.map(_one, work))
    results, times = [], []
    for group in groups:
        own = [found for found, piece in zip(done, work, strict=True) if piece[0] == known[group.name]]
        sums = total(measured for measured, _ in own)
        results += list(_results(group, sums, sum(_sizes(group, experiments))))
        times.append(Timed(group.name, sum(seconds for _, seconds in own)))
    return results, times


def _sizes(group: Group, experiments: int) -> list[int]:
    wanted = max(int(experiments * group.times), 1)
    return [min(BLOCK, wanted - done) for done in range(0, wanted, BLOCK)]


def _one(piece: tuple[int, int, int]) -> tuple[Measured, float]:
    number, block, size = piece
    begun = time.process_time()
    return every_group()[number].block(block, size), time.process_time() - begun


def _results(group: Group, sums: Measured, experiments: int) -> Iterable[Result]:
    if set(sums) != {row.key for row in group.rows}:
        raise AssertionError(f"{group.name} measured {sorted(sums)}, and its rows are others")
    for row in group.rows:
        values = {name: value / count for name, (value, count) in sums[row.key].items() if count}
        yield Result(group.part, row, values, experiments)
