"""Where LaunchDarkly demands an approval: it is asked for once, waited for, applied once, and every no is told."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import ApprovalRequiredError, ConfigurationError, VersionMismatchError
from airflow_provider_launchdarkly.api.models import ApprovalRequestPost
from airflow_provider_launchdarkly.api.writes.approved import Approval, ApprovalPendingError
from airflow_provider_launchdarkly.api.writes.flags import change_flag
from airflow_provider_launchdarkly.operators.flags import LaunchDarklySetFlagOperator
from airflow_provider_launchdarkly.operators.iterations import LaunchDarklyStartIterationOperator
from support.lone_polls import poll_alone
from support.reviewers import finish, requests_in, review_pending
from support.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.testing import EmulatorServer

FLAG = "checkout-button"
REVIEWERS = ["grace@example.com", "team:checkout"]


@pytest.fixture(autouse=True)
def demanding(emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each change of a flag needs an approval, and six hours pass between two polls."""
    emulator.switch(flag_approvals="everywhere")

    async def turn(_: float) -> None:
        emulator.clock.advance("PT6H")

    poll_alone(monkeypatch, turn)


def operator(**fields: Any) -> LaunchDarklySetFlagOperator:
    given: dict[str, Any] = {"flag_key": FLAG, "on": True, "variation": "Bold", "reviewers": REVIEWERS}
    return LaunchDarklySetFlagOperator(task_id="task", **(given | fields))


def set_flag(context: Any, meanwhile: Callable[[], Any], **fields: Any) -> Any:
    return finish(lambda: operator(**fields), context, meanwhile)


def is_on(hook: LaunchDarklyHook) -> bool:
    return hook.get_flag(FLAG).environments["production"].on


def test_one_request_asks_for_the_whole_change_and_is_applied_once(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    output = set_flag(context, lambda: review_pending(emulator), comment="for the sale")

    bold = hook.get_flag(FLAG).variations[1].id
    assert (output["on"], output["serves"], output["changed"]) == (True, {bold: 100.0}, True)
    (request,) = requests_in(emulator)
    assert [part["kind"] for part in request.instructions] == ["updateFallthroughVariationOrRollout", "turnFlagOn"]
    assert request.description == "Airflow: rollout.task, run run-1"
    assert request.comment == "for the sale"
    grace = emulator.call(lambda inside: list(inside.world.members)[1])
    assert (request.notify_member_ids, request.notify_team_keys) == ((grace,), ("checkout",))
    assert len(emulator.effects("approval_request.applied")) == 1


def test_a_repeat_writes_and_asks_nothing(hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any) -> None:
    set_flag(context, lambda: review_pending(emulator))
    again = set_flag(context, lambda: pytest.fail("it waits again"))
    assert (again["changed"], len(requests_in(emulator))) == (False, 1)


def test_where_no_approval_is_demanded_nobody_is_asked(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    emulator.switch(flag_approvals="by_environment")
    assert operator().execute(context)["changed"] is True
    assert requests_in(emulator) == []


def test_without_reviewers_the_task_fails_as_before(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    with pytest.raises(AirflowFailException, match=r"^ApprovalRequiredError.*reviewers"):
        operator(reviewers=None).execute(context)
    assert requests_in(emulator) == []


def test_a_task_that_begins_anew_adopts_its_own_request(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    for _ in range(3):
        with pytest.raises(TaskDeferred):
            operator().execute(context)
    assert len(requests_in(emulator)) == 1
    review_pending(emulator)
    assert operator().execute(context)["on"] is True


def test_another_run_and_another_mapped_task_ask_for_themselves(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    first, ti = context["ti"], context["ti"].__dict__
    others = [SimpleNamespace(**ti | {"run_id": "run-2"}), SimpleNamespace(**ti, map_index=1)]
    for one in (first, *others):
        with pytest.raises(TaskDeferred):
            operator().execute({"ti": one})
    assert len({request.description for request in requests_in(emulator)}) == 3


def test_a_request_that_asks_for_something_else_by_now_is_replaced(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    with pytest.raises(TaskDeferred):
        operator(variation="Classic").execute(context)
    review_pending(emulator)
    with pytest.raises(TaskDeferred):
        operator().execute(context)
    (left,) = requests_in(emulator)
    assert left.review_status == "pending"
    assert not is_on(hook)


def test_the_oldest_of_two_equal_requests_counts_and_the_other_goes(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    with pytest.raises(TaskDeferred):
        operator().execute(context)
    (first,) = requests_in(emulator)
    emulator.clock.advance("PT1M")
    post = {"description": first.description, "instructions": [dict(part) for part in first.instructions]}
    hook.run(endpoints.create_approval_request(hook.environment(), FLAG, ApprovalRequestPost.checked(post)))
    with pytest.raises(TaskDeferred) as deferred:
        operator().execute(context)
    assert [request.id for request in requests_in(emulator)] == [first.id]
    assert deferred.value.trigger.serialize()[1]["request_id"] == first.id


def test_who_declined_and_why_is_told_and_a_retry_does_not_ask_again(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    said = (
        r"ApprovalDeclinedError.*was declined by grace@example.com \(not on Friday\).*to ask again, delete the request"
    )
    with pytest.raises(AirflowFailException, match=said):
        set_flag(context, lambda: review_pending(emulator, "decline", "not on Friday"))
    with pytest.raises(AirflowFailException, match="was declined by"):
        operator().execute(context)
    assert (len(requests_in(emulator)), is_on(hook)) == (1, False)


def test_nobody_in_time_deletes_the_request_and_changes_nothing(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    with pytest.raises(
        AirflowFailException, match=r"ApprovalTimedOutError.*is deleted, and this task changed nothing.*grace@"
    ):
        set_flag(context, lambda: None, approval_timeout="1d")
    assert (requests_in(emulator), is_on(hook)) == ([], False)


def test_the_time_counts_from_the_request_and_not_from_a_later_try(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    with pytest.raises(TaskDeferred):
        operator(approval_timeout="1d").execute(context)
    emulator.clock.advance("PT25H")
    with pytest.raises(AirflowFailException, match="ApprovalTimedOutError"):
        operator(approval_timeout="1d").execute(context)


def test_a_late_approval_is_applied_if_nobody_was_told_of_a_timeout(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    with pytest.raises(TaskDeferred):
        operator().execute(context)
    emulator.clock.advance("P2D")
    review_pending(emulator)
    assert operator().execute(context)["on"] is True


def test_a_request_that_somebody_deletes_fails_the_task_by_name(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    def delete() -> None:
        hook.delete_approval_request(FLAG, requests_in(emulator)[0].id)

    with pytest.raises(AirflowFailException, match=r"ApprovalWithdrawnError.*somebody deleted approval request"):
        set_flag(context, delete)
    assert not is_on(hook)


def test_a_request_that_somebody_applies_is_the_change(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    def apply() -> None:
        review_pending(emulator)
        hook.apply_approval(FLAG, requests_in(emulator)[0].id)

    assert set_flag(context, apply)["on"] is True
    assert len(emulator.effects("approval_request.applied")) == 1


def test_a_change_that_was_undone_after_the_approval_is_an_error(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    def undo() -> None:
        review_pending(emulator)
        hook.apply_approval(FLAG, requests_in(emulator)[0].id)
        emulator.switch(flag_approvals="by_environment")
        hook.turn_flag(FLAG, on=False)
        emulator.switch(flag_approvals="everywhere")

    with pytest.raises(AirflowFailException, match=r"FieldsNotAppliedError.*on: asked True, found False"):
        set_flag(context, undo)
    assert len(requests_in(emulator)) == 1


def test_a_request_that_is_not_needed_any_more_is_deleted(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    def demand_no_more() -> None:
        review_pending(emulator)
        emulator.switch(flag_approvals="by_environment")

    assert set_flag(context, demand_no_more)["on"] is True
    assert requests_in(emulator) == []


def test_a_task_that_begins_anew_deletes_its_request_if_the_change_is_there(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    with pytest.raises(TaskDeferred):
        operator().execute(context)
    emulator.switch(flag_approvals="by_environment")
    operator(reviewers=None).execute(context)  # somebody else makes the change

    assert operator().execute(context)["changed"] is False
    assert requests_in(emulator) == []


def test_a_token_that_may_read_no_requests_does_not_fail_the_task(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    emulator.switch(flag_approvals="by_environment")
    emulator.fault("get_approvals_for_flag", "status", status=403)
    assert operator().execute(context)["changed"] is True


def test_an_unknown_reviewer_is_named_and_nobody_asked(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    with pytest.raises(AirflowFailException, match=r"reviewers has 'nobody@example.com': no member"):
        operator(reviewers=["nobody@example.com"]).execute(context)
    assert requests_in(emulator) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"reviewers": []},
        {"reviewers": "grace@example.com"},
        {"reviewers": [""]},
        {"reviewers": ["team:"]},
        {"approval_timeout": "soon"},
        {"approval_timeout": timedelta(seconds=1)},
    ],
)
def test_wrong_arguments_are_refused_when_the_dag_file_is_parsed(fields: dict[str, Any]) -> None:
    (name,) = fields
    with pytest.raises(ConfigurationError, match=f"^{name} is "):
        operator(**fields)


def test_a_start_that_turns_the_flag_on_asks_for_that(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    emulator.switch(flag_approvals="by_environment")
    scene = Scene(hook, emulator)
    scene.stop()
    draft = scene.hook.create_iteration("bold", scene.iteration).iteration.id
    scene.hook.turn_flag(FLAG, on=False)
    emulator.switch(flag_approvals="everywhere")

    def start() -> Any:
        return LaunchDarklyStartIterationOperator(
            task_id="task", experiment_key="bold", iteration_id=draft, turn_flag_on=True, reviewers=REVIEWERS
        )

    output = finish(start, context, lambda: review_pending(emulator))
    assert (output["status"], output["changed"]) == ("running", True)
    assert len(emulator.effects("approval_request.applied")) == 1


def test_a_start_that_waited_for_the_flag_alone_does_not_adopt_what_another_run_has_started(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    emulator.switch(flag_approvals="by_environment")
    scene = Scene(hook, emulator)
    scene.stop()
    draft = scene.hook.create_iteration("bold", scene.iteration).iteration.id
    scene.hook.turn_flag(FLAG, on=False)
    emulator.switch(flag_approvals="everywhere")

    def start() -> Any:
        fields: dict[str, Any] = {"turn_flag_on": True, "if_running": "refuse", "reviewers": REVIEWERS}
        return LaunchDarklyStartIterationOperator(task_id="task", experiment_key="bold", iteration_id=draft, **fields)

    def another_run_starts_it() -> None:
        emulator.switch(flag_approvals="by_environment")
        scene.hook.start_iteration("bold", draft, turn_flag_on=True)
        review_pending(emulator)

    context["ti"].try_number = 1
    with pytest.raises(AirflowFailException, match="AlreadyRunningError"):
        finish(start, context, another_run_starts_it)


def test_the_triggers_own_error_ends_the_task(hook: LaunchDarklyHook, context: Any) -> None:
    with pytest.raises(AirflowFailException, match="AuthenticationError: no"):
        operator().execute_complete(context, {"status": "error", "error": "AuthenticationError", "message": "no"})
    with pytest.raises(VersionMismatchError, match="neither a finding nor an error"):
        operator().execute_complete(context, {"status": "verdict"})


def test_the_refusal_names_what_is_pending(hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any) -> None:
    with pytest.raises(TaskDeferred):
        operator().execute(context)
    (request,) = requests_in(emulator)
    with pytest.raises(ApprovalRequiredError, match=f"pending already: {request.id}"):
        hook.turn_flag(FLAG, on=True)


def test_a_hook_asks_on_an_event_loop_too(hook: LaunchDarklyHook, emulator: EmulatorServer) -> None:
    hook.approval = Approval(marker="mine", reviewers=("grace@example.com",), timeout=timedelta(hours=1))
    with pytest.raises(ApprovalPendingError, match="waits for an approval in LaunchDarkly until"):
        asyncio.run(hook.arun(change_flag(hook.environment(), FLAG, on=True)))
    review_pending(emulator)
    assert asyncio.run(hook.arun(change_flag(hook.environment(), FLAG, on=True))).changed


def test_a_refusal_whose_words_are_lost_is_one_for_an_approval(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    emulator.fault("patch_feature_flag", fault="truncated")
    assert set_flag(context, lambda: review_pending(emulator))["on"] is True
    assert len(requests_in(emulator)) == 1
