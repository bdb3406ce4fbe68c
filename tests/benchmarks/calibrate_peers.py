"""The decision engine beside the naive rule and two public libraries, on the same data; exits with 1 beyond a bar.

Simulates 10,000 experiments for each measure from a fixed seed, judged through the boundaries that `decide` uses, and
prints beside them what others would have done: the group-sequential boundaries of spotify-confidence and the
confidence sequence of expgate. Run by ``make calibrate``; needs the dependency group `comparison`.
"""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from calibration.cells import ERROR, SEED
from calibration.reference import RATE, lift_of
from calibration.results import between_marks

from airflow_provider_launchdarkly.decision.boundaries import quantile, solve
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.report import USUAL_EFFECT, USUAL_HARM
from airflow_provider_launchdarkly.simulation.sampling import draw
from airflow_provider_launchdarkly.simulation.vectorized_judge import judge
from airflow_provider_launchdarkly.simulation.world import Arrivals, MetricTruth, World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from airflow_provider_launchdarkly.simulation.sampling import Draws, MetricDraws
    from airflow_provider_launchdarkly.simulation.vectorized_judge import Outcomes

EXPERIMENTS = 10_000
UNITS_PER_DAY, DAYS, ALPHA = 2_000.0, 28, 0.05
PLANNED = int(UNITS_PER_DAY * DAYS)

FALSE_SHIP_BAR = ERROR.of(EXPERIMENTS)

INFORMATION, UNITS, NAIVE, GROUP, SEQUENCE = "by information", "by units", "naive 0.95", "spotify-confidence", "expgate"
OURS, OTHERS = (INFORMATION, UNITS), (NAIVE, GROUP, SEQUENCE)


@dataclass(frozen=True)
class Row:
    """One measure.

    Attributes:
        name: What is measured.
        bar: What ours are held to; None for a measure that is only shown.
        at_most: Whether the bar is an upper one.
        values: Measured, for each rule; missing where a rule has nothing to say.
        unit: Of the values: a share is shown as a percentage.
    """

    name: str
    bar: float | None
    at_most: bool
    values: dict[str, float] = field(default_factory=dict)
    unit: str = "share"

    def fails(self) -> list[str]:
        """Ours that are beyond the bar."""
        beyond = [rule for rule in OURS if rule in self.values and self._beyond(self.values[rule])]
        return [f"{self.name}, {rule}: {self.text(self.values[rule])}, bar {self.limit()}" for rule in beyond]

    def _beyond(self, value: float) -> bool:
        if self.bar is None:
            return False
        return value > self.bar if self.at_most else value < self.bar

    def text(self, value: float | None) -> str:
        """A value for people."""
        if value is None:
            return ""
        return f"{100 * value:.2f} %" if self.unit == "share" else f"{value:.1f}"

    def limit(self) -> str:
        """The bar for people."""
        return "" if self.bar is None else f"{'≤' if self.at_most else '≥'} {self.text(self.bar)}"


class Libraries:
    """The rules of others: the z value to reach when a share of the planned units is in."""

    def __init__(self) -> None:
        from expgate.stats import sample_ratio_p_value, sequential_multiplier
        from spotify_confidence.analysis.frequentist.sequential_bound_solver import bounds

        self._bounds, self._multiplier, self.split_p_value = bounds, sequential_multiplier, sample_ratio_p_value

    def naive(self, shares: Sequence[float], alpha: float) -> list[float]:
        """The fixed test, at every look."""
        return [quantile(alpha)] * len(shares)

    def group_sequential(self, shares: Sequence[float], alpha: float) -> list[float]:
        """Lan-DeMets boundaries with the spending `alpha t^2`, as spotify-confidence has them.

        Beyond the planned units it keeps the last boundary, as the library does for equal information.
        """
        rising = sorted(set(shares))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            solved = self._bounds(np.array(rising), alpha=alpha, rho=2, ztrun=8, sides=1).bounds
        return [float(solved[rising.index(share)]) for share in shares]

    def confidence_sequence(self, shares: Sequence[float], alpha: float) -> list[float]:
        """The one-sided normal-mixture confidence sequence of expgate, narrowest at the planned units."""
        return [self._multiplier(alpha, 1.0 / share) for share in shares]

    def rules(self) -> dict[str, Callable[[Sequence[float], float], list[float]]]:
        """All of them by name."""
        return {NAIVE: self.naive, GROUP: self.group_sequential, SEQUENCE: self.confidence_sequence}

    def disagreement(self) -> float:
        """Largest difference between our solver and spotify-confidence's, for the same spending over 28 looks."""
        shares = [look / DAYS for look in range(1, DAYS + 1)]
        ours = solve(tuple(shares), tuple(ALPHA * share**2 for share in shares))
        return float(np.max(np.abs(np.array(ours) - np.array(self.group_sequential(shares, ALPHA)))))


class Bench:
    """Draws worlds, one stream of the seed for each, and judges them by every rule."""

    def __init__(self, libraries: Libraries | None) -> None:
        self.libraries = libraries
        self._streams = iter(np.random.SeedSequence(SEED).spawn(64))

    def world(self, policy: Policy, world: World) -> tuple[Draws, World]:
        """Draw a world over a policy's looks."""
        plan = schedule_looks(policy, None, world.allocation)
        random = np.random.default_rng(next(self._streams))
        return draw(world, plan.look_times, plan.end, EXPERIMENTS, random), world

    def ours(self, fields: Mapping[str, Any], drawn: tuple[Draws, World]) -> dict[str, Outcomes]:
        """Judge by our policy, with and without planned units; without futility, which the others do not have."""
        draws, world = drawn
        days = schedule_looks(Policy.from_json(fields)).end.days
        planned = int(UNITS_PER_DAY / 2 * world.treatments * days)
        fields = {"futility": "off", **fields}
        full = {"futility": None, **fields}
        policies = {INFORMATION: full, UNITS: {**full, "planned_units": planned}}
        return {rule: judge(Policy.from_json(policy), draws, world.planned_shares) for rule, policy in policies.items()}

    def others(
        self, metric: MetricDraws, draws: Draws, *, planned: float, alpha: float = ALPHA, sign: int = 1
    ) -> dict[str, tuple[NDArray[np.bool_], NDArray[np.float64]]]:
        """For each other rule: which experiments ever cross, and the day on which they end.

        The naive rule is not corrected for several comparisons, the libraries' are.
        """
        if self.libraries is None:
            return {}
        found = {}
        shares = [min(1.0, float(units) / planned) for units in draws.units_of(metric).sum(axis=2).mean(axis=0)]
        z = sign * z_values(metric, draws)
        for name, rule in self.libraries.rules().items():
            bars = np.array(rule(shares, ALPHA if name == NAIVE else alpha))
            crossed: NDArray[np.bool_] = np.any(z >= bars[None, :, None], axis=2)
            days = np.array([moment.days for moment in draws.moments], dtype=np.float64)
            first = np.where(np.any(crossed, axis=1), crossed.argmax(axis=1), len(days) - 1)
            found[name] = (np.any(crossed, axis=1), days[first])
        return found


def z_values(metric: MetricDraws, draws: Draws) -> NDArray[np.float64]:
    """z of each challenger at each look."""
    variance = metric.variance / np.maximum(draws.units_of(metric), 1)
    error = np.sqrt(variance[..., 1:] + variance[..., :1])
    difference = metric.mean[..., 1:] - metric.mean[..., :1]
    return np.divide(difference, error, out=np.zeros_like(difference), where=error > 0)


def world(**changes: object) -> World:
    """An even split of 2,000 units a day on a conversion metric of 10 %."""
    fields: dict[str, Any] = {"primary": MetricTruth(RATE), "units_per_day": UNITS_PER_DAY, **changes}
    return World(**fields)


def false_ships(bench: Bench) -> list[Row]:
    """Nothing is better, looked at daily for 28 days, under traffic of every kind."""
    traffic: dict[str, tuple[World, Sequence[int]]] = {
        "even traffic": (world(), range(DAYS)),
        "weekday pattern": (world(arrivals=Arrivals.WEEKDAYS), range(DAYS)),
        "traffic growing threefold": (world(arrivals=Arrivals.GROWING), range(DAYS)),
        "traffic growing threefold, exponentially": (world(arrivals=Arrivals.SURGING), range(DAYS)),
        "traffic shrinking threefold": (world(arrivals=Arrivals.SHRINKING), range(DAYS)),
        "one lost day": (world(arrivals=Arrivals.LOST_DAY), range(DAYS)),
        "30 % more units than planned": (world(units_per_day=1.3 * UNITS_PER_DAY), range(DAYS)),
        "every look repeated three times": (world(), [look for look in range(DAYS) for _ in range(3)]),
        "every other look missed": (world(), [*range(0, DAYS - 1, 2), DAYS - 1]),
    }
    rows = []
    for name, (truth, looks) in traffic.items():
        draws, _ = bench.world(Policy(), truth)
        chosen = draws.at(looks)
        values = {rule: ended.share(Kind.SHIP) for rule, ended in bench.ours({}, (chosen, truth)).items()}
        others = bench.others(chosen.primary, chosen, planned=PLANNED)
        values |= {rule: float(crossed.mean()) for rule, (crossed, _) in others.items()}
        rows.append(Row(f"false ship, {name}", FALSE_SHIP_BAR, True, values))
    return rows


def power(bench: Bench) -> list[Row]:
    """The effect that a fixed two-sided 5 % test finds with 80 % power."""
    truth = world(primary=MetricTruth(RATE, None, (lift_of(USUAL_EFFECT),)))
    draws, _ = bench.world(Policy(), truth)
    ours = bench.ours({}, (draws, truth))
    others = bench.others(draws.primary, draws, planned=PLANNED)
    shipped = {rule: ended.share(Kind.SHIP) for rule, ended in ours.items()}
    days = {rule: float(ended.day.mean()) for rule, ended in ours.items()}
    shipped |= {rule: float(crossed.mean()) for rule, (crossed, _) in others.items()}
    days |= {rule: float(day.mean()) for rule, (_, day) in others.items()}
    return [
        Row("power at the effect with 80 % fixed two-sided power", 0.845, False, shipped),
        Row("mean stop there, of 28 days", 19.5, True, days, "days"),
    ]


def false_rollbacks(bench: Bench) -> list[Row]:
    """Five guardrails, none of them harmed."""
    fields = {"guardrails": [{"metric": f"guardrail-{number}"} for number in range(5)]}
    truth = world(guardrails=(MetricTruth(RATE),) * 5)
    draws, _ = bench.world(Policy(), truth)
    values = {rule: ended.share(Kind.ROLLBACK) for rule, ended in bench.ours(fields, (draws, truth)).items()}
    each = [bench.others(metric, draws, planned=PLANNED, alpha=ALPHA / 5, sign=-1) for metric in draws.guardrails]
    values |= {rule: float(np.any([found[rule][0] for found in each], axis=0).mean()) for rule in each[0]}
    return [Row("false rollback, 5 guardrails, daily looks", 0.05, True, values)]


def harm(bench: Bench) -> list[Row]:
    """One guardrail, worse by 3.29 standard errors at the plan's end, 20 looks."""
    days = 20
    fields = {"guardrails": [{"metric": "guardrail"}], "max_duration": f"{days}d"}
    truth = world(guardrails=(MetricTruth(RATE, None, (lift_of(-USUAL_HARM, days=days),)),))
    draws, _ = bench.world(Policy.from_json(fields), truth)
    found, looks = {}, {}
    for rule, ended in bench.ours(fields, (draws, truth)).items():
        rolled_back = ended.are(Kind.ROLLBACK)
        found[rule] = float(rolled_back.mean())
        looks[rule] = float(np.median(np.where(rolled_back, ended.look + 1, days + 1)))
    others = bench.others(draws.guardrails[0], draws, planned=UNITS_PER_DAY * days, sign=-1)
    for rule, (crossed, day) in others.items():
        found[rule] = float(crossed.mean())
        looks[rule] = float(np.median(np.where(crossed, day, days + 1)))
    return [
        Row("harm of -3.29 standard errors found, one guardrail", 0.90, False, found),
        Row("median look at which it is found, of 20", 10.0, True, looks, "looks"),
    ]


def mismatches(bench: Bench) -> list[Row]:
    """The split: as allocated over 28 looks, and off by one percentage point at 100,000 units."""
    truth = world()
    draws, _ = bench.world(Policy(), truth)
    alarm = {rule: ended.share(Kind.INVALID) for rule, ended in bench.ours({}, (draws, truth)).items()}
    alarm |= chi_squared(bench, draws)
    at_end = {"looks": {"only_at_end": True}}
    off = world(units_per_day=100_000 / DAYS, true_shares=(0.51, 0.49))
    off_draws, _ = bench.world(Policy.from_json(at_end), off)
    found = {rule: ended.share(Kind.INVALID) for rule, ended in bench.ours(at_end, (off_draws, off)).items()}
    found |= chi_squared(bench, off_draws)
    return [
        Row("mismatch false alarm over 28 looks", 0.01, True, alarm),
        Row("51/49 split at 100,000 units found", 0.99, False, found),
    ]


def chi_squared(bench: Bench, draws: Draws) -> dict[str, float]:
    """How often the usual chi-squared test alarms at some look: at 0.01 (naive) and at 0.001 (expgate's)."""
    if bench.libraries is None:
        return {}
    gap = draws.exposed[..., 0] - draws.exposed[..., 1]
    z = np.abs(gap) / np.sqrt(np.maximum(draws.exposed.sum(axis=2), 1))
    # The library's p value of |gap| units of difference, turned into the z value that it corresponds to.
    check = bench.libraries.split_p_value(int(draws.exposed[0, -1, 0]), int(draws.exposed[0, -1, 1]), 0.5)
    if not math.isclose(check, math.erfc(float(z[0, -1]) / math.sqrt(2.0)), rel_tol=1e-6, abs_tol=1e-12):
        raise AssertionError("expgate's sample ratio test is not the two-sided normal one any more")
    return {
        rule: float((z >= quantile(level / 2.0)).any(axis=1).mean())
        for rule, level in ((NAIVE, 0.01), (SEQUENCE, 0.001))
    }


def several_treatments(bench: Bench) -> list[Row]:
    """Three treatments, all alike."""
    truth = world(
        primary=MetricTruth(RATE, None, (0.0, 0.0)), units_per_day=1.5 * UNITS_PER_DAY, planned_shares=(1.0, 1.0, 1.0)
    )
    draws, _ = bench.world(Policy(), truth)
    values = {rule: ended.share(Kind.SHIP) for rule, ended in bench.ours({}, (draws, truth)).items()}
    others = bench.others(draws.primary, draws, planned=1.5 * PLANNED, alpha=ALPHA / 2)
    values |= {rule: float(crossed.mean()) for rule, (crossed, _) in others.items()}
    return [Row("false ship, three treatments", FALSE_SHIP_BAR, True, values)]


def table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """The rows as a Markdown table."""
    cells = [["measure", "bar", *columns]]
    cells += [[row.name, row.limit(), *(row.text(row.values.get(column)) for column in columns)] for row in rows]
    widths = [max(len(line[index]) for line in cells) for index in range(len(cells[0]))]
    lines = [f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |" for line in cells]
    return "\n".join([lines[0], f"|{'|'.join('-' * (width + 2) for width in widths)}|", *lines[1:]])


def main() -> int:
    """Measure, print, and say what is beyond its bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, metavar="PAGE", help="also write the table between the marks of this page")
    parser.add_argument("--only-ours", action="store_true", help="leave out the public libraries")
    arguments = parser.parse_args()
    libraries = None if arguments.only_ours else Libraries()
    bench = Bench(libraries)
    rows = [
        row
        for measure in (false_ships, power, false_rollbacks, harm, mismatches, several_treatments)
        for row in measure(bench)
    ]
    text = table(rows, (*OURS, *(() if libraries is None else OTHERS)))
    print(f"{EXPERIMENTS} experiments for each measure, seed {SEED}\n\n{text}\n")
    failures = [line for row in rows for line in row.fails()]
    if libraries is not None:
        apart = libraries.disagreement()
        print(f"our boundaries differ from spotify-confidence's, for the same spending, by at most {apart:.4f}")
        if apart > 0.005:
            failures.append(f"our boundaries differ from spotify-confidence's by {apart:.4f}, more than 0.005")
    if arguments.docs is not None:
        page = arguments.docs.read_text(encoding="utf-8")
        arguments.docs.write_text(between_marks(page, "peers", text), encoding="utf-8")
    for line in failures:
        print(f"BEYOND ITS BAR: {line}", file=sys.stderr)
    print("beyond a bar" if failures else "every bar is held")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
