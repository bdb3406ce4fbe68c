"""The rows of the calibration: what each measures, its bars, and the groups that share draws."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.sampling import Draws
from airflow_provider_launchdarkly.simulation.vectorized_judge import Outcomes, judge
from calibration.worlds import EVEN_SPLIT, Drawing

SEED = 20_260_105
# Experiments are drawn and judged in blocks of this size, each from a stream of its own. The judge solves boundaries of
# similar paths together, so large blocks cost less.
BLOCK = 10_000

SHIP, ROLLBACK = "false ship", "false rollback"

# The rules that most worlds are judged by, as changes of the default policy.
DEFAULT, LOWER = "by information", "lower is better"
LOWER_IS_BETTER: Mapping[str, Any] = {"primary": {"direction": "lower"}}

Sums = dict[str, tuple[float, float]]
Key = tuple[str, str, str]
Measured = dict[Key, Sums]


@dataclass(frozen=True)
class Bar:
    """What a figure is held to.

    Attributes:
        limit: The bar.
        at_most: Whether it is an upper one.
        unit: `share`, `days` or `ratio`.
        sampled: For an error rate of a promised size: the allowance for chance, in standard errors of the number of
            experiments. 2.6 allow 5.57 % for 5 % over 10,000 experiments.
        least: For a figure that must not be lower either, such as the coverage of an interval.
    """

    limit: float
    at_most: bool = True
    unit: str = "share"
    sampled: float = 0.0
    least: float | None = None

    def of(self, experiments: int) -> float:
        """The bar for so many experiments; more than 10,000 tell more, and are held to the same."""
        if not self.sampled:
            return self.limit
        counted = min(experiments, 10_000)
        return self.limit + self.sampled * math.sqrt(self.limit * (1.0 - self.limit) / counted)

    def holds(self, value: float, experiments: int) -> bool:
        """Whether a figure is within the bar."""
        # Figures are compared as they are shown, so that a page never shows one at its bar as beyond it.
        limit = round(self.of(experiments), 4)
        value = round(value, 4)
        if self.least is not None and value < self.least:
            return False
        return value <= limit if self.at_most else value >= limit


ERROR = Bar(0.05, sampled=2.6)
BOTH_ERRORS: Mapping[str, Bar] = {SHIP: ERROR, ROLLBACK: ERROR}


@dataclass(frozen=True)
class Row:
    """A world under a rule.

    Attributes:
        world: What is true and what arrives; a row of the table.
        column: The column of the table: a split, or the rule.
        rule: By which it is judged; the table shows the worst of the rules that share a column.
        bars: The figures that are measured, with their bars; None for a figure that is only shown.
        unpromised: Why the row is measured although nothing is promised for it. Its bars fail nothing.
    """

    world: str
    column: str
    rule: str
    bars: Mapping[str, Bar | None]
    unpromised: str = ""

    @property
    def key(self) -> Key:
        """World, column and rule."""
        return self.world, self.column, self.rule


@dataclass(frozen=True)
class Group:
    """Rows that are measured on the same draws.

    Attributes:
        part: The part of the table that they stand in.
        rows: The rows.
        measure: Draws and judges so many experiments: for each row, each figure as a sum and a count.
        only_full: Whether it is left out of the short calibration.
        times: It gets so many times as many experiments: fewer where each costs much, more where a rate is so close to
            its bar that chance would decide.
    """

    part: str
    rows: tuple[Row, ...]
    measure: Callable[[np.random.Generator, int], Measured]
    only_full: bool = False
    times: float = 1.0

    @property
    def name(self) -> str:
        """Part, world and column: no two groups have the same."""
        columns = dict.fromkeys(row.column for row in self.rows)
        return f"{self.part}: {self.rows[0].world}, {' '.join(columns)}"

    def block(self, number: int, experiments: int) -> Measured:
        """Measure one block; the same number always has the same experiments."""
        name = zlib.crc32(self.name.encode())
        return self.measure(np.random.default_rng(np.random.SeedSequence([SEED, name, number])), experiments)


def total(parts: Iterable[Measured]) -> Measured:
    """Add the sums and counts of several blocks."""
    found: Measured = {}
    for part in parts:
        for key, sums in part.items():
            into = found.setdefault(key, {})
            for name, (value, count) in sums.items():
                before = into.get(name, (0.0, 0.0))
                into[name] = (before[0] + value, before[1] + count)
    return found


def shares(figures: Mapping[str, NDArray[Any]]) -> Sums:
    """Each figure's sum and count."""
    return {name: (float(np.sum(values)), float(np.size(values))) for name, values in figures.items()}


def errors(outcomes: Outcomes) -> Sums:
    """False ships and false rollbacks, where nothing is better or worse."""
    return shares({SHIP: outcomes.are(Kind.SHIP), ROLLBACK: outcomes.are(Kind.ROLLBACK)})


@dataclass(frozen=True)
class Rule:
    """One way to judge a world.

    Attributes:
        fields: The policy, where it is not the default one. Futility is off unless they name it: it is non-binding, so
            the error rates must hold without it, and it only makes errors rarer.
        seen: Which of the drawn looks it sees, and in which order; None for all.
        unpromised: Why nothing is promised.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    seen: Callable[[Draws], Draws] | None = None
    unpromised: str = ""

    @property
    def policy(self) -> Policy:
        """The policy."""
        return Policy.from_json({"futility": None, **self.fields})

    def outcomes(self, draws: Draws, planned_shares: tuple[float, ...]) -> Outcomes:
        """Judge what it sees."""
        # Futility ends experiments before a test has made all its errors, so they are measured without it.
        policy = Policy.from_json({"futility": "off", **self.fields})
        return judge(policy, self.seen(draws) if self.seen else draws, planned_shares)


def no_effect(
    part: str,
    world: str,
    drawing: Drawing,
    rules: Mapping[str, Rule],
    *,
    split: tuple[float, ...] = EVEN_SPLIT,
    column: str | None = None,
    only_full: bool = False,
    times: float = 1.0,
) -> Group:
    """A world in which nothing is better or worse, judged by several rules.

    Args:
        part: The part of the table.
        world: Its row.
        drawing: Draws it.
        rules: By name.
        split: The planned shares.
        column: Its column; None gives each rule its own.
        only_full: Whether the short calibration leaves it out.
        times: As of the group.
    """
    rows = {
        name: Row(world, column or name, name if column else "", BOTH_ERRORS, rule.unpromised)
        for name, rule in rules.items()
    }

    def measure(random: np.random.Generator, experiments: int) -> Measured:
        draws = drawing(random, experiments)
        return {rows[name].key: errors(rule.outcomes(draws, split)) for name, rule in rules.items()}

    return Group(part, tuple(rows.values()), measure, only_full, times)
