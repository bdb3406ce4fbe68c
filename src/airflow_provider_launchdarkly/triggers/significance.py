"""The trigger of the sensor on an experiment's significance: it waits for the verdict, or for the next look.

It only reads, apart from ``on_kill``. ``checks.significance`` defines what a look reads and when it is due.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from airflow_provider_launchdarkly.checks.on_data import DataLooks
from airflow_provider_launchdarkly.checks.result import Check, CheckResult
from airflow_provider_launchdarkly.checks.significance import (
    SignificanceCheck,
    find_due_look,
    has_only_planned_looks,
    take_look,
)
from airflow_provider_launchdarkly.evidence.source import LookContext
from airflow_provider_launchdarkly.triggers._arguments import (
    Argument,
    optional,
    policy_text,
    read_policy,
    read_standing,
    seconds,
    standing_text,
    truth,
)
from airflow_provider_launchdarkly.triggers._iteration import IterationTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.models import Metric
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

LOOK = "look"


class SignificanceTrigger(IterationTrigger):
    """Fire once, with the verdict on one iteration, or with the error that ends the waiting.

    If looks belong on a worker, because they query a warehouse or are recorded, it fires as soon as one is due. But it
    takes looks for harm between two planned ones itself, where the results are LaunchDarkly's, and fires with the harm.

    Args:
        policy: A :class:`Policy` as JSON text.
        previous_seconds: Time of a worker's latest poll, in seconds after the iteration's start; None if there is none.
        look_on_worker: Fire when a look is due, or the iteration no longer runs, instead of looking here.
        analysed_by_launchdarkly: True if the results are LaunchDarkly's.
        standing: A crossing of the boundary that stands, as JSON text; None if there is none.
        taken_seconds: For looks that wait for their data: planned time of the newest that was taken, in seconds after
            the iteration's start.
        ask_from_seconds: For those looks: time after the iteration's start from which on a worker may ask whether data
            have arrived. The trigger asks nothing.
        kwargs: See :class:`IterationTrigger`.
    """

    outcome: ClassVar[str] = "verdict"

    accepts: ClassVar[Mapping[str, Argument]] = {
        **IterationTrigger.accepts,
        "policy": Argument(policy_text),
        "previous_seconds": Argument(optional(seconds()), None),
        "look_on_worker": Argument(truth, False),
        "analysed_by_launchdarkly": Argument(truth, True),
        "standing": Argument(optional(standing_text), None),
        "taken_seconds": Argument(optional(seconds()), None),
        "ask_from_seconds": Argument(optional(seconds()), None),
    }
    policy: str
    previous_seconds: float | None
    look_on_worker: bool
    analysed_by_launchdarkly: bool
    standing: str | None
    taken_seconds: float | None
    ask_from_seconds: float | None

    @override
    async def show(self, result: CheckResult) -> None:
        """Add a planned look to the task's note. The worker adds the one that ends the waiting."""
        if self.task_instance and not self.look_on_worker and not result.ends and result.output.get("evidence"):
            from airflow_provider_launchdarkly.triggers._notes import add_look

            await add_look(self.task_instance, result.output, self.warn)

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Return the check that judges the results at each look, or the one that fires when a look is due."""
        policy = read_policy(self.policy)
        target = self.target(hook)
        interval = timedelta(seconds=self.poll_interval)
        previous = None if self.previous_seconds is None else timedelta(seconds=self.previous_seconds)
        definitions: dict[str, Metric] = {}
        if not self.look_on_worker:
            standing = None if self.standing is None else read_standing(self.standing)
            return SignificanceCheck(target, policy, previous=previous, poll_interval=interval, standing=standing)

        data = None
        if policy.looks.on_data is not None:
            taken, ask_from = (timedelta(seconds=time or 0.0) for time in (self.taken_seconds, self.ask_from_seconds))
            data = DataLooks(taken, ask_from=ask_from)

        def check_due_look() -> Procedure[CheckResult]:
            nonlocal previous
            found = yield from find_due_look(
                target,
                policy,
                previous=previous,
                poll_interval=interval,
                analysed_by_launchdarkly=self.analysed_by_launchdarkly,
                data=data,
            )
            before = {"previous_seconds": None if previous is None else previous.total_seconds()}
            if data is not None:
                before["ask_from_seconds"] = self.ask_from_seconds
            if isinstance(found, LookContext) and found.only_harm and self.analysed_by_launchdarkly:
                # Reading results needs no worker, and thousands of these looks find nothing.
                found = yield from take_look(replace(found, definitions=definitions), policy, poll_interval=interval)
                if found.ends:
                    return found.to_check_result()
            if isinstance(found, LookContext):
                return CheckResult(True, "a look is due", before, outcome=LOOK)
            previous = found.verdict.elapsed
            return CheckResult(
                found.ends,
                found.verdict.summary,
                before,
                is_news=found.ends,
                outcome=LOOK,
                same_for=found.same_for if has_only_planned_looks(policy) else None,
                warning=found.warning,
            )

        return check_due_look
