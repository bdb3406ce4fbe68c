"""Waits in the triggerer for an experiment's verdict, or for the next look. Only reads, but for ``on_kill``.

What one look is, and when one is due, is ``results.look``'s.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from airflow_provider_launchdarkly.checks.result import Check, CheckResult
from airflow_provider_launchdarkly.checks.significance import check_significance, find_due_look
from airflow_provider_launchdarkly.decision.evidence_json import evidence_to_json
from airflow_provider_launchdarkly.evidence.source import LookContext, Target
from airflow_provider_launchdarkly.triggers._arguments import (
    Argument,
    number,
    optional,
    policy_text,
    read_policy,
    truth,
)
from airflow_provider_launchdarkly.triggers._iteration import IterationTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

LOOK = "look"


class SignificanceTrigger(IterationTrigger):
    """Fire once, with the verdict on one iteration, or with the error that ends the waiting.

    Where looks belong on a worker, because they query a warehouse or are recorded, it fires as soon as one is due.

    Args:
        policy: A :class:`Policy` as JSON text.
        previous_seconds: When a worker looked before, in seconds after the iteration's start; None if none did.
        look_on_worker: Fire when a look is due, or the iteration is not under way any more, instead of looking here.
        analysed_by_launchdarkly: Whether the results are to be LaunchDarkly's.
        kwargs: See :class:`IterationTrigger`.
    """

    outcome: ClassVar[str] = "verdict"

    accepts: ClassVar[Mapping[str, Argument]] = {
        **IterationTrigger.accepts,
        "policy": Argument(policy_text),
        "previous_seconds": Argument(optional(number(0)), None),
        "look_on_worker": Argument(truth, False),
        "analysed_by_launchdarkly": Argument(truth, True),
    }
    policy: str
    previous_seconds: float | None
    look_on_worker: bool
    analysed_by_launchdarkly: bool

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Look at the results when the policy's plan says so, and decide; or say that a look is due."""
        policy = read_policy(self.policy)
        target = Target(hook.environment(), self.experiment_key, self.iteration_id)
        interval = timedelta(seconds=self.poll_interval)
        previous = None if self.previous_seconds is None else timedelta(seconds=self.previous_seconds)

        def look() -> Procedure[CheckResult]:
            nonlocal previous
            look = yield from check_significance(target, policy, previous=previous, poll_interval=interval)
            previous = look.verdict.elapsed
            evidence = evidence_to_json(look.evidence) if look.evidence else None
            found = {**look.to_json(), "evidence": evidence, "looked_at": look.at.isoformat()}
            return CheckResult(look.ends, look.verdict.summary, found, is_news=look.read_results or look.ends)

        def wait_for_look() -> Procedure[CheckResult]:
            nonlocal previous
            found = yield from find_due_look(
                target,
                policy,
                previous=previous,
                poll_interval=interval,
                analysed_by_launchdarkly=self.analysed_by_launchdarkly,
            )
            before = {"previous_seconds": None if previous is None else previous.total_seconds()}
            if isinstance(found, LookContext):
                return CheckResult(True, "a look is due", before, outcome=LOOK)
            previous = found.verdict.elapsed
            return CheckResult(found.ends, found.verdict.summary, before, is_news=found.ends, outcome=LOOK)

        return wait_for_look if self.look_on_worker else look
