"""When harm is looked at between two planned looks, and on which metrics. Pure: the clock decides, nothing is kept.

LaunchDarkly serves the results of one metric to a request. So each poll reads one metric at most, in turn: a poll then
makes two requests in place of one, however many guardrails there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.decision.policy_parts import Rule

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from airflow_provider_launchdarkly.decision.policy import Policy


def metrics_that_roll_back(policy: Policy, primary: str) -> tuple[str, ...]:
    """Return the keys of the metrics that are judged for harm.

    Args:
        policy: The policy.
        primary: Key of the first metric that decides.
    """
    others = (part.metric for part in policy.other_primaries if part.metric)
    deciding = (primary, *others) if policy.rule is Rule.GROUP_SEQUENTIAL else ()
    return (*deciding, *(part.metric for part in policy.guardrails))


def due_for_harm(
    keys: Sequence[str],
    interval: timedelta,
    elapsed: timedelta,
    *,
    previous: timedelta | None,
    poll_interval: timedelta,
    one_by_one: bool,
) -> tuple[str, ...] | None:
    """Return the metrics to look at for harm in this poll; None, if there was a look since the interval began.

    The time since the start is divided into slots, one for each metric in turn. A slot is at least one poll long. So
    with few metrics each is looked at once in every interval, and with many of them as often as the polls allow. A
    missed slot costs some minutes, and a repeated one nothing but a request: the test holds at any number of looks.
    Each look reads the releases that guard, too.

    Args:
        keys: The metrics that roll back; none, if releases alone do.
        interval: The policy's `harm_looks`.
        elapsed: Time since the iteration's start, by LaunchDarkly's clock.
        previous: `elapsed` of the same process's poll before; None in a fresh process, for which a slot is due if it
            began one and a half polls ago at most.
        poll_interval: Time between two polls.
        one_by_one: True if a request reads one metric; False if a query reads them all, in one slot.
    """
    turns = [(key,) for key in keys] if one_by_one and keys else [tuple(keys)]
    slot = max(interval / len(turns), poll_interval)
    number = elapsed // slot
    since = elapsed - number * slot
    due = since <= 1.5 * poll_interval if previous is None else number > previous // slot
    return turns[number % len(turns)] if due and number > 0 else None
