"""The watch for harm while a rollout waits for a person or a change window. Pure procedures.

Only harm, a broken split, or an iteration that someone else ended comes of it. The policy's planned looks go on by
their boundaries. Between and after them, the test that holds at any number of looks judges, as with `harm_looks`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.checks.flag_seen import see_flag
from airflow_provider_launchdarkly.checks.harm_looks import metrics_that_roll_back
from airflow_provider_launchdarkly.checks.significance import (
    find_due_look,
    no_looks,
    take_look,
)
from airflow_provider_launchdarkly.checks.significance_result import SignificanceResult
from airflow_provider_launchdarkly.decision.verdict import Kind, Reason, Verdict
from airflow_provider_launchdarkly.evidence.source import LookContext

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.models import Metric
    from airflow_provider_launchdarkly.checks.significance import Looks
    from airflow_provider_launchdarkly.decision.evidence import Spent, Standing
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.source import Source, Target

LONGEST_INTERVAL = timedelta(hours=1)
"""Time between two looks for harm alone, where the policy has no `harm_looks`."""
SHORTEST_INTERVAL = timedelta(minutes=5)
"""The shortest `harm_looks`."""

PROTECTIVE = frozenset({Kind.ROLLBACK, Kind.INVALID})
"""The verdicts that end the waiting."""


def watching_policy(policy: Policy) -> Policy:
    """Return the policy by which looks for harm alone judge: the same, with `harm_looks`.

    A policy that has none gets an interval of an hour, or half the spacing of its looks if that is shorter. It stays as
    it is if it judges no harm, or if its looks are so close that there is nothing between them.
    """
    interval = min(LONGEST_INTERVAL, (policy.looks.every or policy.max_duration) / 2)
    if policy.harm_looks is not None or not policy.judges_harm or interval < SHORTEST_INTERVAL:
        return policy
    return policy.model_copy(update={"harm_looks": interval})


class Watched(NamedTuple):
    """The result of one poll in the triggerer.

    Attributes:
        due: True if a worker has to look.
        at: Time of the poll, by LaunchDarkly's clock.
        elapsed: The same, after the iteration's start.
        summary: One line for people.
        trouble: Why harm could not be looked at; None if it could, or was not due.
    """

    due: bool
    at: datetime
    elapsed: timedelta
    summary: str
    trouble: str | None


@dataclass
class HarmWatch:
    """Polls an iteration for harm.

    Attributes:
        target: The pinned iteration.
        policy: The policy of the stage that has passed.
        previous: Time of the latest poll, after the iteration's start.
        poll_interval: Time between two polls.
        analysed_by_launchdarkly: True if the results are LaunchDarkly's.
    """

    target: Target
    policy: Policy
    previous: timedelta | None
    poll_interval: timedelta
    analysed_by_launchdarkly: bool = True

    def __post_init__(self) -> None:
        """Derive the policy that judges harm alone."""
        self.by_any_moment = watching_policy(self.policy)
        self._definitions: dict[str, Metric] = {}

    def poll(self) -> Procedure[Watched]:
        """Poll in the triggerer: find out whether a worker has to look. Judges harm alone on LaunchDarkly's results.

        Raises:
            LaunchDarklyError: As the calls raise.
        """
        found = yield from self._due()
        trouble = ""
        if isinstance(found, LookContext):
            if not (found.only_harm and self.analysed_by_launchdarkly):
                return Watched(True, found.at, found.elapsed, "a look for harm is due", None)
            look = replace(found, definitions=self._definitions)
            try:
                found = yield from take_look(look, self.by_any_moment, poll_interval=self.poll_interval)
            except LaunchDarklyError as error:
                if error.retryable:
                    raise
                # The next slot tries again.
                trouble = f"{type(error).__name__}: {error}"
        if isinstance(found, LookContext):
            ends, summary, elapsed = False, "harm could not be looked at", found.elapsed
        else:
            ends, summary, elapsed = found.ends, found.summary, found.verdict.elapsed
            trouble = trouble or found.trouble
        if not ends:
            self.previous = elapsed
        return Watched(ends, found.at, elapsed, summary, trouble or None)

    def take_due_look(
        self, source: Source, looks: Looks = no_looks, standing: Standing | None = None, spent: Spent | None = None
    ) -> Procedure[tuple[SignificanceResult, Policy]]:
        """Take the look that is due, on a worker. A look for harm alone reads every metric that rolls back.

        A planned look reads the flag, too, as the sensor's do.

        Args:
            source: Where evidence comes from.
            looks: Reads what the earlier looks measured.
            standing: The crossing of the boundary that stands.
            spent: The error that other policies have spent on the iteration.

        Returns:
            What it found, and the policy that judged. A verdict that is not in :data:`PROTECTIVE` waits on.

        Raises:
            LaunchDarklyError: As the calls raise.
        """
        found = yield from self._due()
        if isinstance(found, SignificanceResult):
            self.previous = found.verdict.elapsed
            return found, self.policy
        judge = self.by_any_moment if found.only_harm else self.policy
        if found.only_harm:
            found = replace(found, harm_of=metrics_that_roll_back(judge, found.primary_metric(judge)))
        result = yield from take_look(
            found,
            judge,
            previous=self.previous,
            poll_interval=self.poll_interval,
            source=source,
            looks=looks,
            standing=standing,
            spent=spent,
        )
        self.previous = result.verdict.elapsed
        if not found.only_harm:
            result = replace(result, flag=(yield from see_flag(self.target.environment, found.iteration)))
        return result, judge

    def _due(self) -> Procedure[SignificanceResult | LookContext]:
        found = yield from find_due_look(
            self.target,
            self.by_any_moment,
            previous=self.previous,
            poll_interval=self.poll_interval,
            analysed_by_launchdarkly=self.analysed_by_launchdarkly,
        )
        if isinstance(found, LookContext) and not found.only_harm and self.policy.looks.on_data is not None:
            # Its data are awaited elsewhere; harm alone is looked at in the next slot.
            waiting = Verdict.wait(Reason.BETWEEN_LOOKS, "waiting for the next look for harm", found.elapsed)
            return SignificanceResult(self.target, found.at, waiting)
        return found
