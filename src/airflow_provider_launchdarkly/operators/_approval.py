"""The base of operators that ask for LaunchDarkly's approval where an environment demands one."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Never

from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import (
    ApprovalRequiredError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
)
from airflow_provider_launchdarkly.config.durations import parse_duration
from airflow_provider_launchdarkly.config.problems import shown
from airflow_provider_launchdarkly.operators._base import LaunchDarklyBaseOperator, audit_comment
from airflow_provider_launchdarkly.retries import fail_unless_retryable
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow.sdk import Context
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_launchdarkly.api.writes.approved import ApprovalPendingError
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.operators._awaited import IterationAwaited, ReleaseAwaited
    from airflow_provider_launchdarkly.sensors._approval import Awaited
    from airflow_provider_launchdarkly.templates.rendering import TypedTemplates

ONE_DAY = timedelta(days=1)


class LaunchDarklyApprovedBaseOperator(LaunchDarklyBaseOperator):
    """Base of the operators whose change LaunchDarkly may demand an approval for.

    The same task makes the change where no approval is demanded, and asks, waits and applies where one is. So a DAG is
    the same for test and production, and nobody has to know beforehand which environment demands what. While it waits,
    it occupies the triggerer and no worker. Killing the task, or marking it, leaves the request and the flag alone.

    LaunchDarkly's API takes approval requests for flags, and none for experiments and releases. Where an experiment's
    start or stop, or a release's start, is refused without an approval, a task with reviewers waits until somebody has
    made the change in LaunchDarkly.

    Args:
        reviewers: Members by e-mail or id, and teams as ``team:KEY``, whom LaunchDarkly notifies. With them, the task
            asks for an approval where LaunchDarkly demands one. Default: none, and the task fails there with
            ``ApprovalRequiredError``.
        approval_timeout: How long the request stays open, from its creation; a timedelta or text such as ``4h``.
            Then the task deletes it and fails with ``ApprovalTimedOutError``.
    """

    template_fields: Sequence[str] = (*LaunchDarklyBaseOperator.template_fields, "reviewers", "approval_timeout")

    def __init__(
        self,
        *,
        reviewers: Sequence[str] | None = None,
        approval_timeout: timedelta | str = ONE_DAY,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.reviewers = reviewers
        self.approval_timeout = approval_timeout
        self.handed_over = False
        # Since when a person is to make the change in this task's place, by LaunchDarkly's clock.
        self.handed_over_since: datetime | None = None
        self.flags_changed: tuple[str, ...] = ()
        # True if only a person may make the change: the task does not try it, and waits until it shows.
        self.by_person = False
        # When the waiting ends, by LaunchDarkly's clock, while it waits and an experiment may run on.
        self.waits_until: datetime | None = None
        # Called with what a person has to do in LaunchDarkly, and the end of the waiting in ISO 8601.
        self.on_hand_over: Callable[[IterationAwaited | ReleaseAwaited, str], None] | None = None
        # Called with the approval request that the task has made or found, and waits for.
        self.on_request: Callable[[ApprovalPendingError], None] | None = None
        if is_literal(reviewers) and is_literal(approval_timeout):
            self._validate_approval()

    @override
    def execute(self, context: Context) -> Any:
        """Make the change; where that needs an approval, ask for it and wait.

        Raises:
            AirflowFailException: Another try would end in the same error.
            LaunchDarklyError: Another try may succeed; Airflow's ``retries`` apply.
        """
        with fail_unless_retryable():
            self.read_fields()
            return self.act_or_wait(context)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> Any:
        """Apply what was approved, and confirm it; or say why it was not.

        Raises:
            AirflowFailException: It was declined, deleted or not approved in time.
            LaunchDarklyError: Another try may succeed; Airflow's ``retries`` apply.
        """
        from airflow_provider_launchdarkly.sensors._approval import awaited_by

        with fail_unless_retryable():
            self.read_fields()
            return self.act_or_wait(context, awaited_by(event))

    def awaited_change(self, demanded: ApprovalRequiredError | None) -> IterationAwaited | ReleaseAwaited | None:
        """Return the change that a person can make in this task's place; None if there is none.

        Args:
            demanded: LaunchDarkly's refusal; None if the task is not to try the change.
        """
        from airflow_provider_launchdarkly.api.writes.releases import ReleaseNeedsApprovalError
        from airflow_provider_launchdarkly.checks.release import design_in_words
        from airflow_provider_launchdarkly.operators._awaited import ReleaseAwaited

        if not isinstance(demanded, ReleaseNeedsApprovalError) or demanded.post is None:
            return None
        flag = self.hook.get_flag(demanded.flag_key)
        words = design_in_words(demanded.post, flag)
        return ReleaseAwaited(demanded.flag_key, json.dumps(demanded.post.to_wire()), words)

    def note_hand_over(self, context: Context) -> None:
        """Note, before the waiting, that what a person does is done in this task's place. Nothing by default."""

    def act_or_wait(self, context: Context, awaited: Awaited | None = None) -> Any:
        """Make the change; where that needs an approval and there are reviewers, ask for it and defer.

        Args:
            context: The task's.
            awaited: What the task has waited for; None at first.
        """
        if self.reviewers is None:
            return self.act(context)
        # Imported here, as everything that only a running task needs.
        from airflow_provider_launchdarkly.api.writes.approved import Approval, ApprovalPendingError
        from airflow_provider_launchdarkly.sensors._approval import NOTHING, approval_trigger

        before = awaited or NOTHING
        timeout = self._validate_approval()
        self.handed_over = before.until is not None
        self.handed_over_since = None if before.since is None else datetime.fromisoformat(before.since)
        self.hook.approval = Approval(
            marker=_marker(context),
            reviewers=tuple(self.reviewers),
            timeout=timeout,
            comment=getattr(self, "comment", None),
            awaited=before.request_id,
        )
        try:
            if self.by_person and (wanted := self.awaited_change(None)) is not None:
                return self._hand_over(context, wanted, before, timeout, "its approval replaces Airflow's")
            output = self.act(context)
        except ApprovalPendingError as pending:
            self.say("%s", pending)
            self.waits_until = pending.until
            if self.on_request is not None and before.request_id != pending.request_id:
                self.on_request(pending)
            return self._wait(approval_trigger(self.launchdarkly_conn_id, pending, timeout))
        except ApprovalRequiredError as demanded:
            wanted = self.awaited_change(demanded)
            if wanted is None:
                raise
            output = self._hand_over(context, wanted, before, timeout, demanded)
        for flag_key in self.flags_changed:
            withdraw_requests(self, self.hook, flag_key, context, "The change was made without it.")
        return output

    def _hand_over(
        self,
        context: Context,
        wanted: IterationAwaited | ReleaseAwaited,
        before: Awaited,
        timeout: timedelta,
        why: ApprovalRequiredError | str,
    ) -> Any:
        """Wait for a person who makes the change in LaunchDarkly, whose API takes no request for it."""
        from airflow_provider_launchdarkly.api.writes.approved import ApprovalTimedOutError

        env, reviewers, until = self.hook.environment(), ", ".join(self.reviewers or ()), wanted.until(before)
        result = self.hook.run(wanted.check(env, before))
        at, what = result.output["at"], wanted.what(env)
        since = result.output.get("since", at)
        self.handed_over_since = datetime.fromisoformat(since)
        if result.output["reached"]:
            return self.act(context)
        if result.ends:
            raise ApprovalTimedOutError(
                f"{what} is not {wanted.status} at {until}, and only a person can change it: {why}. Nothing was "
                f"changed by this task. Reviewers were {reviewers}. Request and apply the change in LaunchDarkly, and "
                "clear the task"
            )
        told, until = until is not None, until or (datetime.fromisoformat(at) + timeout).isoformat()
        self.warn(
            "LaunchDarkly demands an approval, and its API takes no request for %s. Request and apply it in "
            "LaunchDarkly: %s is to be %s%s. Reviewers: %s. This task waits for it until %s.",
            *(wanted.kind, what, wanted.status, wanted.details and f": {wanted.details}", reviewers, until),
        )
        # Before a release, the experiment has ended.
        from airflow_provider_launchdarkly.operators._awaited import IterationAwaited

        self.waits_until = datetime.fromisoformat(until) if isinstance(wanted, IterationAwaited) else None
        self.note_hand_over(context)
        if self.on_hand_over is not None and not told:
            self.on_hand_over(wanted, until)
        return self._wait(wanted.trigger(self.launchdarkly_conn_id, env, until=until, since=since))

    def _wait(self, trigger: BaseTrigger) -> Never:
        self.defer(trigger=trigger, method_name="execute_complete")

    def _validate_approval(self) -> timedelta:
        """Return how long a request stays open.

        Raises:
            ConfigurationError: One of the two arguments is wrong.
        """
        reviewers: Any = self.reviewers
        if reviewers is not None:
            several = isinstance(reviewers, Collection) and not isinstance(reviewers, str)
            named = several and all(isinstance(one, str) and one.strip() for one in reviewers)
            if not named or not reviewers or "team:" in reviewers:
                raise ConfigurationError(
                    f"reviewers is {shown(reviewers)}: write a list of members by e-mail or id, and teams as team:KEY"
                )
        try:
            timeout = parse_duration(self.approval_timeout)
        except ValueError as error:
            raise ConfigurationError(f"approval_timeout is {self.approval_timeout!r}: {error}") from None
        if timeout < timedelta(minutes=1):
            raise ConfigurationError(f"approval_timeout is {self.approval_timeout!r}: give people a minute or more")
        return timeout


def withdraw_requests(
    operator: TypedTemplates, hook: LaunchDarklyHook, flag_key: str, context: Context, why: str
) -> None:
    """Delete what any try of a task has asked for and is not needed any more, so that nobody applies it later.

    Safe to repeat. Where LaunchDarkly lets the token read no requests, there is none of this task's.

    Args:
        operator: The task, which writes the log.
        hook: The hook.
        flag_key: The flag.
        context: The task's.
        why: Why they are not needed, as a sentence.
    """
    from airflow_provider_launchdarkly.api.writes.approved import withdraw

    try:
        deleted = hook.run(withdraw(hook.environment(), flag_key, _marker(context)))
    except (PermissionDeniedError, NotFoundError) as error:
        operator.warn("Approval requests of flag %s cannot be read: %s", flag_key, error)
    else:
        for request_id in deleted:
            operator.say("Deleted approval request %s. %s", request_id, why)


def _marker(context: Context) -> str:
    """Return what tells the requests of a task in a run from all others, also in a mapped task."""
    index = getattr(context["ti"], "map_index", -1)
    return audit_comment(None, context) + (f", map index {index}" if index >= 0 else "")
