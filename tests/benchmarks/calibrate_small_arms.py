"""Holds the error rates where one treatment is small and the metric rare or skewed; exits with 1 beyond a bar.

Nothing is better or worse in these worlds, so every rollback and every ship is false. 10,000 experiments of 28 daily
looks for each cell, from a fixed seed, judged through the boundaries that `decide` uses. 0/1 metrics are drawn as
binomial increments between looks, revenue person by person. Run by ``make calibrate``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from calibrate import EXPERIMENTS, FALSE_SHIP_BAR, SEED, UNITS_PER_DAY, write_docs

from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.sampling import Draws, MetricDraws, draw
from airflow_provider_launchdarkly.simulation.vectorized_judge import judge
from airflow_provider_launchdarkly.simulation.world import MetricTruth, World

if TYPE_CHECKING:
    from numpy.typing import NDArray


# Shares of the baseline and of the treatment.
SPLITS = ((0.9, 0.1), (0.95, 0.05), (0.98, 0.02), (0.02, 0.98))

# Lognormal revenue: a standard deviation of 7.3 means. Drawn person by person, so with less traffic; fewer people are
# the harder case.
SIGMA, BUYERS_PER_DAY, CHUNK = 2.0, 400, 250

MARGIN = 0.2
FIVE_GUARDRAILS = {"guardrails": [{"metric": f"guardrail-{number}"} for number in range(5)]}
NOT_WORSE = {"primary": {"test": "non_inferiority", "margin": MARGIN}}

Split = tuple[float, float]
Cell = dict[str, float]


@dataclass(frozen=True)
class Case:
    """A world without effect.

    Attributes:
        name: What it is.
        drawn: Draws it for a split.
        fields: The policy's, where it is not the default one.
    """

    name: str
    drawn: Callable[[Split, np.random.Generator], Draws]
    fields: Mapping[str, Any] = field(default_factory=dict)

    def measure(self, split: Split, random: np.random.Generator) -> Cell:
        """The shares of false rollbacks and false ships, the larger of "by the clock" and "by units"."""
        draws = self.drawn(split, random)
        planned = int(draws.units[:, -1].sum(axis=1).mean())
        policies = (Policy.from_json(self.fields), Policy.from_json({**self.fields, "planned_units": planned}))
        found = [judge(policy, draws, split) for policy in policies]
        return {kind.value: max(ended.share(kind) for ended in found) for kind in (Kind.ROLLBACK, Kind.SHIP)}


def conversions(
    rate: float, *, guardrails: int = 0, lift: float = 0.0
) -> Callable[[Split, np.random.Generator], Draws]:
    """A 0/1 metric, with as many independent guardrails of the same rate."""
    truth = MetricTruth(rate)

    def drawn(split: Split, random: np.random.Generator) -> Draws:
        primary = replace(truth, lifts=(lift,))
        world = World(primary, UNITS_PER_DAY, guardrails=(truth,) * guardrails, planned_shares=split)
        plan = schedule_looks(Policy())
        return draw(world, plan.look_times, plan.end, EXPERIMENTS, random)

    return drawn


def revenue(split: Split, random: np.random.Generator) -> Draws:
    """Lognormal values, the same distribution in both treatments."""
    plan = schedule_looks(Policy())
    shares = np.array(split) * BUYERS_PER_DAY
    fresh = random.poisson(shares[None, None, :], (EXPERIMENTS, len(plan.look_times), 2))
    sums, squares = np.zeros(fresh.shape), np.zeros(fresh.shape)
    for start in range(0, EXPERIMENTS, CHUNK):
        part = slice(start, start + CHUNK)
        counts = fresh[part].ravel()
        values = np.append(np.exp(SIGMA * random.standard_normal(counts.sum())), 0.0)
        starts = np.append(0, np.cumsum(counts)[:-1])
        for found, people in ((sums, values), (squares, values * values)):
            # `reduceat` gives the next value where there are no people.
            found[part] = np.where(counts > 0, np.add.reduceat(people, starts), 0.0).reshape(fresh[part].shape)
    return Draws(plan.look_times, np.cumsum(fresh, axis=1), _moments(fresh, sums, squares), (), ())


def _moments(fresh: NDArray[np.int64], sums: NDArray[np.float64], squares: NDArray[np.float64]) -> MetricDraws:
    units = np.cumsum(fresh, axis=1)
    mean = np.cumsum(sums, axis=1) / np.maximum(units, 1)
    spread = np.maximum(np.cumsum(squares, axis=1) - units * mean**2, 0.0)
    return MetricDraws(mean, spread / np.maximum(units - 1, 1))


CASES = (
    Case("conversion of 1 %", conversions(0.01)),
    Case("conversion of 0.5 %", conversions(0.005)),
    Case("conversion of 0.2 %", conversions(0.002)),
    Case("five guardrails of 0.5 %", conversions(0.005, guardrails=5), FIVE_GUARDRAILS),
    Case("1 %, as much worse as the margin of 20 % allows", conversions(0.01, lift=-MARGIN), NOT_WORSE),
    Case("lognormal revenue, sigma 2", revenue),
)


def rows() -> dict[str, list[Cell]]:
    """Every case in every split, each from a stream of the seed."""
    streams = iter(np.random.SeedSequence(SEED + 1).spawn(64))
    return {
        case.name: [case.measure(split, np.random.default_rng(next(streams))) for split in SPLITS] for case in CASES
    }


def table(found: dict[str, list[Cell]]) -> str:
    """False rollback and false ship of every cell, as a Markdown table."""
    heads = [f"{100 * base:g}/{100 * treated:g}" for base, treated in SPLITS]
    lines = [f"| nothing is better or worse | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    for name, cells in found.items():
        texts = [f"{100 * cell['rollback']:.2f} / {100 * cell['ship']:.2f} %" for cell in cells]
        lines.append(f"| {name} | {' | '.join(texts)} |")
    return "\n".join(lines)


def main() -> int:
    """Measure, print, and say what is beyond its bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, metavar="PAGE", help="also write the table between the marks of this page")
    arguments = parser.parse_args()
    found = rows()
    print(f"false rollback / false ship, {EXPERIMENTS} experiments a cell, bar {100 * FALSE_SHIP_BAR:.2f} %\n")
    print(table(found))
    if arguments.docs is not None:
        write_docs(arguments.docs, "small arms", table(found))
    failures = [
        f"{name}, {split[0]:g} to {split[1]:g}: {kind} {100 * value:.2f} %, bar ≤ {100 * FALSE_SHIP_BAR:.2f} %"
        for name, cells in found.items()
        for split, cell in zip(SPLITS, cells, strict=True)
        for kind, value in cell.items()
        if value > FALSE_SHIP_BAR
    ]
    for line in failures:
        print(f"BEYOND ITS BAR: {line}", file=sys.stderr)
    print("beyond a bar" if failures else "every bar is held")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
