"""Put the numbers of a quarter together: each experiment's shrunken effect, and what the shipped ones bring in all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.portfolio.shrinkage import CONFIDENCE, FEWEST, Shrunken, Total, learn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_launchdarkly.portfolio.reading import Outcome, Period

ASSUMPTIONS = (
    "Each experiment has no effect at all, or one of a shape that all experiments share.",
    "Lifts are relative: experiments on different metrics are compared by percent of the baseline.",
    "The records are all experiments of the period. Left out, those without effect would make the others look better.",
    "The experiments are independent, and an effect stays what it was in the experiment.",
    "A sum of lifts is what they bring together only if they are on one metric and do not weaken each other.",
    "Before any data, every shape is equally likely, and many experiments without effect are likelier than few.",
)


class TooFewExperimentsError(ValueError):
    """There are not enough experiments to tell effects from noise."""


@dataclass(frozen=True, slots=True)
class Row:
    """One experiment.

    Attributes:
        outcome: What its record says.
        shrunken: What its effect is likely to be; None where nothing usable was measured.
    """

    outcome: Outcome
    shrunken: Shrunken | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; effects are relative lifts in the good direction."""
        outcome, found = self.outcome, self.shrunken
        return {
            "record": outcome.record,
            "project": outcome.project,
            "environment": outcome.environment,
            "experiment": outcome.experiment,
            "iteration": outcome.iteration,
            "at": outcome.at.isoformat(),
            "verdict": outcome.kind.value,
            "reason": outcome.reason,
            "metric": outcome.metric,
            "direction": outcome.direction,
            "treatment": outcome.treatment,
            "lift": outcome.lift,
            "median_unbiased": outcome.unbiased,
            "effect": outcome.estimate.effect if outcome.estimate else None,
            "error": outcome.estimate.error if outcome.estimate else None,
            "shrunken": found.effect if found else None,
            "shrunken_lower": found.lower if found else None,
            "shrunken_upper": found.upper if found else None,
            "no_better": found.false_ship if found else None,
            "unusable": outcome.unusable,
        }


@dataclass(frozen=True, slots=True)
class MetricSum:
    """The shipped effects on one metric.

    Attributes:
        metric: The metric.
        shipped: How many experiments shipped on it.
        raw: Sum of their lifts as measured, in the good direction.
        total: What they are likely to bring.
    """

    metric: str
    shipped: int
    raw: float
    total: Total


@dataclass(frozen=True, slots=True)
class Portfolio:
    """A quarter.

    Attributes:
        period: The period, for people.
        rows: The experiments by time.
        endings: How many experiments ended how.
        without_effect: Expected share of all experiments that have no effect.
        raw: Sum of the shipped lifts as measured, in the good direction.
        total: What the shipped experiments are likely to bring.
        sums: The same by metric.
    """

    period: str
    rows: tuple[Row, ...]
    endings: Mapping[Kind, int]
    without_effect: float
    raw: float
    total: Total
    sums: tuple[MetricSum, ...]

    @property
    def shipped(self) -> tuple[Row, ...]:
        """The experiments that shipped and have an estimate, the largest shrunken effect first."""
        rows = [(row, row.shrunken.effect) for row in self.rows if row.outcome.kind is Kind.SHIP and row.shrunken]
        return tuple(row for row, _ in sorted(rows, key=lambda found: -found[1]))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "period": self.period,
            "experiments": len(self.rows),
            "endings": {kind.value: count for kind, count in self.endings.items()},
            "without_effect": self.without_effect,
            "confidence": CONFIDENCE,
            "shipped": {"count": len(self.shipped), "raw": self.raw, **self.total._asdict()},
            "by_metric": [
                {"metric": one.metric, "shipped": one.shipped, "raw": one.raw, **one.total._asdict()}
                for one in self.sums
            ],
            "rows": [row.to_json() for row in self.rows],
            "assumptions": list(ASSUMPTIONS),
        }


def summarize(outcomes: Sequence[Outcome], period: Period) -> Portfolio:
    """Learn from all experiments, and say what each of them and the shipped ones together are worth.

    Args:
        outcomes: The experiments of the period.
        period: The period.

    Raises:
        TooFewExperimentsError: There are fewer than :data:`FEWEST` with an estimate.
    """
    usable = [one for one in outcomes if one.estimate is not None]
    if len(usable) < FEWEST:
        raise TooFewExperimentsError(
            f"{period.name}: {len(usable)} experiments with a measured lift, of {len(outcomes)}; from {FEWEST} on, "
            "effects can be told from noise: take a longer period, or read each verdict's own interval"
        )
    learned = learn([estimate for one in usable for estimate in one.all_estimates])
    rows = tuple(Row(one, learned.shrink(one.estimate) if one.estimate else None) for one in outcomes)
    shipped = [(one, one.estimate) for one in usable if one.kind is Kind.SHIP and one.estimate]
    sums = []
    for metric in sorted({str(one.metric) for one, _ in shipped}):
        here = [estimate for one, estimate in shipped if one.metric == metric]
        sums.append(MetricSum(metric, len(here), sum(one.effect for one in here), learned.total(here)))
    counted = Counter(one.kind for one in outcomes)
    return Portfolio(
        period=period.name,
        rows=rows,
        endings={kind: counted[kind] for kind in Kind},
        without_effect=learned.without_effect,
        raw=sum(estimate.effect for _, estimate in shipped),
        total=learned.total([estimate for _, estimate in shipped]),
        sums=tuple(sums),
    )
