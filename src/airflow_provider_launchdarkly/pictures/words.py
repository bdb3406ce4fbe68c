"""Numbers and instants as people read them: the same words on a page, on a card, in a terminal and in a report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeGuard

from airflow_provider_launchdarkly.config.percent import format_percent
from airflow_provider_launchdarkly.views.model import State
from airflow_provider_launchdarkly.views.served_model import WHILE_ON, KnownBy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, tzinfo

    from airflow_provider_launchdarkly.views.model import (
        Comparison,
        ExperimentSummary,
        MetricAtLook,
        Share,
        SplitTest,
    )
    from airflow_provider_launchdarkly.views.served_model import Served

NOTHING = "-"

STATES: Mapping[State, tuple[str, str]] = {
    State.STARTING: ("starting", "wait"),
    State.WAITING: ("waiting", "wait"),
    State.NEEDS_YOU: ("needs you", "warn"),
    State.AWAITING_WINDOW: ("waiting for its change window", "wait"),
    State.WORKING: ("working", "wait"),
    State.OVERDUE: ("overdue", "bad"),
    State.UNWATCHED: ("unwatched", "bad"),
    State.SHIPPED: ("shipped", "good"),
    State.ROLLED_BACK: ("rolled back", "bad"),
    State.REGRESSED: ("regressed", "bad"),
    State.INCONCLUSIVE: ("no winner", "warn"),
    State.REFUSED: ("refused", "warn"),
    State.INVALID: ("invalid: a person has to look", "bad"),
    State.STOPPED: ("stopped", "warn"),
}
"""Each state in words, and its colour."""


def signed(value: float | None) -> str:
    """Return a lift such as ``+6.1 %``; ``-`` where there is none."""
    return format_percent(value) if finite(value) else NOTHING


def z_value(value: float | None) -> str:
    """Return a z value such as ``2.59``; ``-`` where there is none."""
    return f"{value:.2f}" if finite(value) else NOTHING


def capital(words: str) -> str:
    """Return words as a sentence begins."""
    return f"{words[:1].upper()}{words[1:]}"


def percentage(value: float) -> str:
    """Return a percentage, 0 to 100, as short as it is exact: ``12.5 %``."""
    return f"{value:.4g} %"


def count(value: int | None) -> str:
    """Return a number of units such as ``16,104``."""
    return NOTHING if value is None else f"{value:,}"


def day(elapsed_days: float) -> str:
    """Return ``day 8``, and ``day 8.5`` where it is no whole one."""
    return f"day {round(elapsed_days, 1):g}"


def instant(when: datetime, zone: tzinfo | None = None) -> str:
    """Return an instant such as ``Thu 26 Nov 2026 09:00 UTC``, in a zone or in its own."""
    there = when if zone is None else when.astimezone(zone)
    return f"{there:%a %d %b %Y %H:%M} {there.tzname() or ''}".rstrip()


def state_words(state: State) -> str:
    """Return a state in a word or two."""
    return STATES[state][0]


def state_class(state: State) -> str:
    """Return the class of a state's colour: ``wait``, ``good``, ``bad`` or ``warn``."""
    return STATES[state][1]


def interval(compared: Comparison) -> str:
    """Return ``-5.1 % to +21.3 %``; ``-`` without an interval."""
    if not (finite(compared.lower) and finite(compared.upper)):
        return NOTHING
    return f"{signed(compared.lower)} to {signed(compared.upper)}"


def level(compared: Comparison) -> str:
    """Return ``90 %`` for an interval's confidence level, empty where it is not known."""
    return "" if compared.level is None else f"{100 * compared.level:.4g} %"


def finite(value: float | None) -> TypeGuard[float]:
    """Return whether a value is there, and finite."""
    return value is not None and math.isfinite(value)


def sign(metric: MetricAtLook) -> int:
    """Return 1 where a higher value is better, -1 where a lower one is."""
    return -1 if metric.direction == "lower" else 1


def role(metric: MetricAtLook) -> str:
    """Return what a metric is there for: ``primary``, or ``guardrail, may lose 5 %``."""
    return f"{metric.role}, may lose {percentage(100 * metric.margin)}" if metric.margin else metric.role


def standing(metric: MetricAtLook, compared: Comparison) -> str:
    """Return how a treatment stands on a metric, in a word or two."""
    if compared.harmed:
        return "harmed"
    if compared.better:
        return "within its margin" if metric.role == "guardrail" else "better"
    if compared.z is None and not compared.lift and compared.units and compared.baseline_units:
        return "the same for every unit"
    if not finite(compared.lift):
        return "no data yet"
    if metric.role != "primary":
        return "no harm found"
    good = sign(metric) * (compared.lift or 0.0)
    towards = "leans better" if good > 0 else "leans worse" if good < 0 else "no difference"
    return f"{towards}, not beyond chance"


def served(shares: Sequence[Share]) -> str:
    """Return who gets what: ``75 % Classic, 25 % Bold``; ``everyone gets Classic`` where nobody gets another one."""
    given = [share for share in shares if share.percent > 0]
    if len(given) == 1:
        return f"everyone gets {given[0].treatment}"
    return ", ".join(f"{percentage(share.percent)} {share.treatment}" for share in given)


def title_of_shares(found: ExperimentSummary) -> str:
    """Return the title of who gets what: it says ``now`` only of what was read for this view."""
    known = found.served
    if known is None or known.now:
        return "Who gets what now"
    return f"Who gets what {WHILE_ON}" if known.by is KnownBy.ALLOCATION else "Who gets what"


def known_from(known: Served | None) -> str:
    """Return how it is known who gets what, before the instant at which it was read; empty if it was read just now."""
    if known is None or known.now:
        return ""
    return {
        KnownBy.FLAG: "As the newest look read it in the flag",
        KnownBy.ALLOCATION: "The iteration's allocation; whether the flag is on was not read. As of",
        KnownBy.CHANGE: "As a task set it; later changes were not read. As of",
    }[known.by]


def split(tested: SplitTest) -> str:
    """Return what the test of the split says."""
    where = f"p {tested.p_value:.2g}, and the split is taken for wrong below {tested.alpha:g}"
    if tested.mismatch:
        return f"People are not divided as allocated, so the numbers cannot be trusted ({where})."
    return f"People are divided as allocated, as far as chance allows ({where})."
