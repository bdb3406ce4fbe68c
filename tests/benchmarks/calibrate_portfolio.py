"""Holds what `portfolio` says of a quarter to what is true of it; exits with 1 beyond a bar.

Quarters of 200 experiments, of which one or two in ten have a real effect, each judged by the default policy at daily
looks for 28 days. All of them go in; of those that ship, the stated share of false ships, the expected sum of lifts and
the intervals are compared with the truth. From a fixed seed. Run by ``make calibrate``; ``FULL=1`` takes
200 quarters for each row instead of 12.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from calibration.cells import SEED
from calibration.results import between_marks

from airflow_provider_launchdarkly.decision import boundaries
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.portfolio.discovery import standing_of
from airflow_provider_launchdarkly.portfolio.shrinkage import Total, learn
from airflow_provider_launchdarkly.portfolio.slabs import Estimate
from airflow_provider_launchdarkly.simulation.sampling import Draws, MetricDraws
from airflow_provider_launchdarkly.simulation.vectorized_judge import judge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

QUARTERS, FULL_QUARTERS = 12, 200
SIZE = 200
UNITS_PER_DAY, RATE = 2000, 0.1
# The relative lift that a fixed two-sided 5 % test finds with 80 % power at the plan's end.
LIFT = 0.072
TRUE_SHARES = (0.1, 0.2)
DEFAULT = Policy()
# Bounds on the errors of a whole quarter: of any false ship, divided over its experiments; and of the share of them.
ANY_FALSE_SHIP, FALSE_DISCOVERY_RATE = 0.2, 0.2
# Points by which the stated share of false ships may miss the real one, at one true effect in ten; a short run adds two
# standard errors of its own chance.
BAR = 0.05

SIZES: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "all of one size": lambda _, count: np.full(count, LIFT),
    "normal around it": lambda random, count: random.normal(LIFT, LIFT / 2, count),
    "normal around 0": lambda random, count: random.normal(0.0, LIFT, count),
    "exponential": lambda random, count: random.exponential(LIFT, count),
}


@dataclass(frozen=True)
class Row:
    """What was stated of many quarters, and what was true; shares of the ships, and lifts in percent a quarter.

    Attributes:
        shipped: Ships in a quarter.
        stated: Stated share of false ships.
        real: Real share.
        chance: Standard error of their difference.
        raw: Sum of the shipped lifts as measured.
        expected: Its expected value, as stated.
        true: The true sum.
        covered: Share of the quarters whose interval of the sum has the true one in it.
    """

    shipped: float
    stated: float
    real: float
    chance: float
    raw: float
    expected: float
    true: float
    covered: float


def quarters(
    lifts: Floats, random: np.random.Generator, policy: Policy = DEFAULT
) -> tuple[NDArray[np.bool_], Floats, Floats, NDArray[np.int64]]:
    """Judge one experiment for each true lift.

    Returns:
        Which ones shipped; the lift as measured at the stop, and its standard error; the index of the stop's look.
    """
    plan = schedule_looks(Policy())
    fresh = random.poisson(UNITS_PER_DAY / 2, (len(lifts), len(plan.look_times), 2))
    rates = np.stack([np.full(len(lifts), RATE), RATE * (1.0 + np.maximum(lifts, -0.9))], axis=1)[:, None, :]
    units = np.cumsum(fresh, axis=1)
    mean = np.cumsum(random.binomial(fresh, np.broadcast_to(rates, fresh.shape)), axis=1) / units
    ended = judge(policy, Draws(plan.look_times, units, MetricDraws(mean, mean * (1.0 - mean)), (), ()), (0.5, 0.5))
    stop = np.arange(len(lifts)), ended.look
    pooled = (mean[stop] * units[stop]).sum(axis=1) / units[stop].sum(axis=1)
    error = np.sqrt(pooled * (1.0 - pooled) * (1.0 / units[stop]).sum(axis=1)) / mean[stop][:, 0]
    return ended.are(Kind.SHIP), ended.lift, error, ended.look


def measure(
    true_share: float, size: Callable[[np.random.Generator, int], Floats], random: np.random.Generator, number: int
) -> Row:
    """Learn from each of so many quarters, and compare."""
    count = number * SIZE
    lifts = np.where(random.random(count) < true_share, size(random, count), 0.0)
    shipped, raw, error, _ = quarters(lifts, random)
    totals: list[tuple[Total, NDArray[np.bool_], int]] = []
    for start in range(0, count, SIZE):
        estimates = [
            Estimate(float(x), float(e)) for x, e in zip(raw[start:][:SIZE], error[start:][:SIZE], strict=True)
        ]
        ships = np.zeros(count, dtype=np.bool_)
        ships[start : start + SIZE] = shipped[start : start + SIZE]
        chosen = [estimates[ship - start] for ship in np.flatnonzero(ships)]
        totals.append((learn(estimates).total(chosen), ships, len(chosen)))
    all_ships = sum(ships for _, _, ships in totals)
    missed = [total.false_share * ships - (lifts[which] <= 0).sum() for total, which, ships in totals]
    return Row(
        shipped=all_ships / number,
        stated=sum(total.false_share * ships for total, _, ships in totals) / all_ships,
        real=float((lifts[shipped] <= 0).mean()),
        chance=float(np.std(missed, ddof=1) * number**0.5 / all_ships),
        raw=float(raw[shipped].sum()) / number,
        expected=sum(total.effect for total, _, _ in totals) / number,
        true=float(lifts[shipped].sum()) / number,
        covered=float(np.mean([t.effect_lower <= lifts[which].sum() <= t.effect_upper for t, which, _ in totals])),
    )


def rows(number: int) -> dict[tuple[float, str], Row]:
    """Every share of true effects with every distribution of their sizes, each from a stream of the seed."""
    streams = iter(np.random.SeedSequence(SEED + 2).spawn(64))
    return {
        (share, name): measure(share, size, np.random.default_rng(next(streams)), number)
        for share in TRUE_SHARES
        for name, size in SIZES.items()
    }


@dataclass(frozen=True)
class Control:
    """What a quarter's control costs.

    Attributes:
        power: Share of the true effects that ship.
        false: Mean of the quarters' shares of false ones among their ships; 0 where nothing shipped.
        gained: Sum of the true lifts that ship in a quarter.
    """

    power: float
    false: float
    gained: float

    @classmethod
    def of(cls, lifts: Floats, shipped: NDArray[np.bool_]) -> Control:
        """Count what shipped."""
        real = lifts > 0
        ships, wrong = (which.reshape(-1, SIZE).sum(axis=1) for which in (shipped, shipped & ~real))
        return cls(
            float(shipped[real].mean()),
            float((wrong / np.maximum(ships, 1)).mean()),
            float(lifts[shipped].sum()) * SIZE / len(lifts),
        )


def p_values(z: Floats, look: NDArray[np.int64]) -> Floats:
    """The p values of ships by look and z, as `portfolio` takes them from the records."""
    schedule = schedule_looks(DEFAULT)
    boundary = schedule.ship_boundary(DEFAULT.alpha, DEFAULT.ship_spending)
    spent = np.array([0.0, *boundary.spent])
    place = np.maximum(look - (len(schedule.look_times) - len(boundary.spent)), 0)
    tail = np.array([boundaries.tail(float(value)) for value in z])
    return np.asarray(spent[place] + np.minimum(spent[place + 1] - spent[place], tail))


def control(true_share: float, random: np.random.Generator, number: int) -> dict[str, Control]:
    """Ship by each experiment's own alpha, by a portfolio's shares, and by Benjamini-Hochberg at the quarter's end."""
    count = number * SIZE
    lifts = np.where(random.random(count) < true_share, LIFT, 0.0)
    shipped, raw, error, look = quarters(lifts, random)
    p = np.where(shipped, p_values(raw / error, look), 1.0)
    stands = np.zeros(count, dtype=np.bool_)
    for start in range(0, count, SIZE):
        here = p[start : start + SIZE]
        ships = sorted(here[here < 1.0])
        standing = standing_of(ships, SIZE, FALSE_DISCOVERY_RATE)
        stands[start : start + SIZE] = here <= (ships[standing - 1] if standing else -1.0)
    shares = {"name": "quarter", "alpha": ANY_FALSE_SHIP, "experiments": SIZE}
    fixed, *_ = quarters(lifts, random, Policy.from_json({"portfolio": shares}))
    return {
        "each by its own alpha of 5 %": Control.of(lifts, shipped),
        f"Benjamini-Hochberg at {FALSE_DISCOVERY_RATE:.0%}": Control.of(lifts, stands),
        f"a portfolio's alpha of {ANY_FALSE_SHIP:.0%}, over {SIZE}": Control.of(lifts, fixed),
    }


def control_table(number: int) -> str:
    """What each control costs, as a Markdown table."""
    streams = iter(np.random.SeedSequence(SEED + 3).spawn(8))
    lines = ["| true effects | shipped | power | false ships | true sum a quarter |", "|---|---|---|---|---|"]
    for share in TRUE_SHARES:
        for name, found in control(share, np.random.default_rng(next(streams)), number).items():
            cells = f"| {share:.0%} | {name} | {found.power:.1%} | {found.false:.1%} | {found.gained:+.0%} |"
            lines.append(cells.replace(" %", "%").replace("%", " %"))
    return "\n".join(lines)


def table(found: dict[tuple[float, str], Row]) -> str:
    """Every row, as a Markdown table."""
    lines = [
        "| true effects | of size | shipped | false, stated | false, real | sum measured | expected | true | covered |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (share, name), row in found.items():
        lines.append(
            f"| {share:.0%} | {name} | {row.shipped:.1f} | {row.stated:.1%} | {row.real:.1%} | {row.raw:+.0%} "
            f"| {row.expected:+.0%} | {row.true:+.0%} | {row.covered:.0%} |".replace("%", " %")
        )
    return "\n".join(lines)


def main() -> int:
    """Measure, print, and say what is beyond its bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, metavar="PAGE", help="also write the table between the marks of this page")
    parser.add_argument("--full", action="store_true", help=f"{FULL_QUARTERS} quarters for each row")
    arguments = parser.parse_args()
    number = FULL_QUARTERS if arguments.full else QUARTERS
    found = rows(number)
    print(f"{number} quarters of {SIZE} experiments a row; bar {100 * BAR:g} points at {TRUE_SHARES[0]:.0%} true\n")
    print(table(found))
    controls = control_table(number)
    print(f"\n{controls}")
    if arguments.docs is not None:
        page = between_marks(arguments.docs.read_text(encoding="utf-8"), "portfolio", table(found))
        arguments.docs.write_text(between_marks(page, "control", controls), encoding="utf-8")
    failures = [
        f"{share:.0%} true, {name}: {row.stated:.1%} stated, {row.real:.1%} real"
        for (share, name), row in found.items()
        if share == TRUE_SHARES[0] and abs(row.stated - row.real) > BAR + (0.0 if arguments.full else 2.0 * row.chance)
    ]
    for line in failures:
        print(f"BEYOND ITS BAR: {line}", file=sys.stderr)
    print("beyond a bar" if failures else "every bar is held")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
