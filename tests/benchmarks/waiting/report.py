"""What `bench_waiting.py` measures of each kind of waiting, and how it is printed."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

SLEEPING, HTTP, LONE, OURS = "sleeping", "http", "alone", "ours"
TOLD = {
    SLEEPING: "sleeping triggers",
    HTTP: "HttpSensor's trigger",
    LONE: "ours, one client each",
    OURS: "ours",
}
FEW = 2000
"""Above so many, only the sleepers and ours run: a client each needs 0.8 MB, and HttpSensor a connection each poll."""


@dataclass
class Window:
    """What a kind took between two moments: CPU seconds of runner and supervisor, and requests."""

    seconds: float
    runner: float
    supervisor: float
    requests: int

    @property
    def cpu_per_minute(self) -> float:
        return (self.runner + self.supervisor) * 60 / self.seconds


@dataclass
class Measured:
    """What was measured of one kind.

    Attributes:
        started: Seconds from the first trigger's beginning to the last's.
        windows: Each window.
        memory: Resident MB of runner and supervisor.
        lag_at_start: Milliseconds of lag while the triggers started, and the part in which the loop was at work.
        lag: The same while they waited.
    """

    started: float = 0.0
    windows: list[Window] = field(default_factory=list)
    memory: tuple[float, float] = (0.0, 0.0)
    lag_at_start: tuple[float, float] = (0.0, 0.0)
    lag: tuple[float, float] = (0.0, 0.0)


def print_report(options: argparse.Namespace, found: Mapping[str, Measured]) -> None:
    """Print a line for each kind: medians of the windows, and of the ratios of windows at the same time."""
    print(
        f"\n{options.waiting} waiting, a poll each {options.interval:g} s, {options.windows} windows of "
        f"{options.window:g} s, all kinds at the same time\n"
        f"{'':22} {'CPU s/min':>9} {'(runner + superv.)':>18} {'x sleeping':>10} {'requests/min':>12} "
        f"{'RSS MB':>13} {'all begun in':>12} {'lag p99 (own) ms':>17} {'at the start':>15}"
    )
    sleeping = found[SLEEPING]
    for kind, measured in found.items():
        windows = measured.windows
        cpu = median(window.cpu_per_minute for window in windows)
        runner, supervisor = (
            median(part * 60 / window.seconds for window, part in zip(windows, parts, strict=True))
            for parts in ([window.runner for window in windows], [window.supervisor for window in windows])
        )
        ratio = _ratio(measured, sleeping)
        requests = _requests_per_minute(measured)
        lag, start = (f"{whole:.1f} ({own:.1f})" for whole, own in (measured.lag, measured.lag_at_start))
        print(
            f"{TOLD[kind]:22} {cpu:9.2f} {f'{runner:.2f} + {supervisor:.2f}':>18} {ratio:10.2f} {requests:12.0f} "
            f"{f'{measured.memory[0]:.0f} + {measured.memory[1]:.0f}':>13} {measured.started:10.1f} s "
            f"{lag:>17} {start:>15}"
        )
    if OURS in found:
        _print_goals(options, found[OURS], sleeping)


def _print_goals(options: argparse.Namespace, ours: Measured, sleeping: Measured) -> None:
    requests = _requests_per_minute(ours)
    memory = sum(ours.memory) - sum(sleeping.memory)
    pages = options.waiting / 20 * 60 / options.interval
    goals = [
        ("CPU, x sleeping", _ratio(ours, sleeping), 1.15),
        ("requests a minute", requests, 1.1 * pages),
        *([("MB more than sleeping", memory, 10.0)] if options.waiting <= FEW else []),
        ("start, x sleeping", ours.started / sleeping.started if sleeping.started else 1.0, 2.0),
        ("lag p99, ms, the loop's own part", ours.lag[1], 50.0),
    ]
    windows = ", ".join(f"{ratio:.2f}" for ratio in _ratios(ours, sleeping))
    print(f"\nours (CPU, x sleeping, window by window: {windows}):")
    for name, value, goal in goals:
        print(f"  {name:34} {value:7.2f}   goal {goal:7.2f}   {'met' if value <= goal else 'missed'}")


def _requests_per_minute(measured: Measured) -> float:
    """Over all windows, since a round of pages may be longer than one."""
    return sum(window.requests for window in measured.windows) * 60 / sum(window.seconds for window in measured.windows)


def _ratios(measured: Measured, sleeping: Measured) -> list[float]:
    pairs = zip(measured.windows, sleeping.windows, strict=True)
    return [window.cpu_per_minute / floor.cpu_per_minute for window, floor in pairs]


def _ratio(measured: Measured, sleeping: Measured) -> float:
    return median(_ratios(measured, sleeping))
