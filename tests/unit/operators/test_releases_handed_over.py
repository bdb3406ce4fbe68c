"""LaunchDarkly's API takes no approval request for releases: a person starts one there, and the task waits for it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_launchdarkly.operators.releases import LaunchDarklyStartReleaseOperator
from support.lone_polls import poll_alone
from support.reviewers import finish, start_handed_over

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.api.models import Resolution
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.testing import EmulatorServer

FLAG = "checkout-button"
STEPS = [{"percent": 10, "duration": "1d"}, {"percent": 50, "duration": "2d"}]
ASKED: dict[str, Any] = {"reviewers": ["grace@example.com"], "approval_timeout": "1d"}
BACK: Resolution = "roll_back_all_phases_and_remove_pending_phases"


@pytest.fixture(autouse=True)
def demanding(hook: LaunchDarklyHook, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each change of a flag needs an approval, and six hours pass between two polls."""
    hook.turn_flag(FLAG, on=True)
    emulator.switch(flag_approvals="everywhere")

    async def turn(_: float) -> None:
        emulator.clock.advance("PT6H")

    poll_alone(monkeypatch, turn)


def operator(**fields: Any) -> LaunchDarklyStartReleaseOperator:
    given = {"flag_key": FLAG, "original": "Classic", "target": "Bold", "phases": [{"steps": STEPS}], **ASKED}
    return LaunchDarklyStartReleaseOperator(task_id="task", **(given | fields))


def deferred(context: Any, **fields: Any) -> Any:
    """Run the task until it waits; return its trigger's arguments."""
    with pytest.raises(TaskDeferred) as waiting:
        operator(**fields).execute(context)
    return waiting.value.trigger.serialize()[1]


def start(context: Any, meanwhile: Callable[[], object], **fields: Any) -> Any:
    return finish(lambda: operator(**fields), context, meanwhile)


def by_hand(emulator: EmulatorServer, arguments: Any, **changes: Any) -> Callable[[], None]:
    """Return what a person does once: starts the release that was handed over, or another one."""
    done: list[Any] = []

    def act() -> None:
        if not done:
            done.append(start_handed_over(emulator, arguments, **changes))

    return act


def stop(hook: LaunchDarklyHook, emulator: EmulatorServer) -> None:
    """Let a person stop the active release, on the original."""
    (active,) = [release for release in hook.list_releases(FLAG) if not release.ended]
    emulator.switch(flag_approvals="by_environment")
    hook.stop_release(FLAG, active.id, BACK)
    emulator.switch(flag_approvals="everywhere")


def started_by_the_task(emulator: EmulatorServer) -> int:
    return len(emulator.effects("release.started"))


def test_a_release_that_a_person_starts_is_the_task_s(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    output = start(context, by_hand(emulator, deferred(context)))

    (release,) = hook.list_releases(FLAG)
    assert (output["release_id"], output["status"], output["changed"]) == (release.id, "in_progress", False)
    assert release.phases[0].description != "Airflow: rollout.task, run run-1"  # a person gives others
    assert started_by_the_task(emulator) == 0
    assert f"A person has started release {release.id} in this task's place." in capsys.readouterr().out


def test_a_release_that_has_ended_since_is_the_task_s(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    act = by_hand(emulator, deferred(context))

    def start_and_stop() -> None:
        act()
        stop(hook, emulator)

    assert start(context, start_and_stop)["status"] == "reverted"
    assert len(hook.list_releases(FLAG)) == 1


def test_the_same_release_of_before_is_not_taken_for_it(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    start_handed_over(emulator, deferred(context))
    stop(hook, emulator)
    emulator.clock.advance("PT1H")
    rule_id = hook.list_releases(FLAG)[0].phases[0].rule_id
    phases = [{"rule_id": rule_id, "steps": STEPS}]

    with pytest.raises(AirflowFailException, match="ApprovalTimedOutError"):
        start(context, lambda: None, phases=phases)
    assert len(hook.list_releases(FLAG)) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"phases": [{"steps": [{"allocation": 90_000, "durationMillis": 86_400_000}]}]}, r"phases\[0\].steps"),
        ({"metrics": [{"metricKey": "checkout-conversion"}]}, "metrics"),
        ({"cleanupBehavior": "remove_rules_and_update_default_rule"}, "cleanupBehavior"),
    ],
)
def test_a_release_of_another_design_fails_the_task_by_name(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any, changes: dict[str, Any], said: str
) -> None:
    act = by_hand(emulator, deferred(context), **changes)

    with pytest.raises(AirflowFailException, match=f"ReleaseActiveError.*{said}"):
        start(context, act)
    assert started_by_the_task(emulator) == 0


def test_nobody_in_time_fails_by_name_and_changes_nothing(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    said = r"ApprovalTimedOutError: the release of flag 'checkout-button' in .* is not started at .*Nothing was changed"
    with pytest.raises(AirflowFailException, match=said):
        start(context, lambda: None)
    assert hook.list_releases(FLAG) == ()


def test_once_no_approval_is_demanded_the_task_starts_it(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any
) -> None:
    output = start(context, lambda: emulator.switch(flag_approvals="by_environment"))
    assert (output["changed"], started_by_the_task(emulator)) == (True, 1)


def test_without_reviewers_the_task_fails_as_before(emulator: EmulatorServer, context: Any) -> None:
    with pytest.raises(AirflowFailException, match=r"^ReleaseNeedsApprovalError.*approval is required"):
        operator(reviewers=None).execute(context)


@pytest.mark.parametrize("state", [True, False], ids=["Airflow 3.3", "before"])
@pytest.mark.parametrize("ended", [True, False])
def test_a_try_after_a_kill_adopts_what_a_person_has_started(
    hook: LaunchDarklyHook, emulator: EmulatorServer, context: Any, *, state: bool, ended: bool
) -> None:
    context["ti"].try_number = 1
    context["dag_run"] = SimpleNamespace(start_date=emulator.clock.now())
    if state:
        kept: dict[str, Any] = {}
        context["task_state_store"] = SimpleNamespace(get=kept.get, set=kept.__setitem__)
    start_handed_over(emulator, deferred(context))
    emulator.clock.advance("PT1H")
    if ended:
        stop(hook, emulator)
    # The one that waited is gone.
    context["ti"].try_number = 2

    output = operator().execute(context)

    assert (output["release_id"], output["changed"]) == (hook.list_releases(FLAG)[0].id, False)
    assert started_by_the_task(emulator) == 0


def test_only_after_a_hand_over_a_release_of_another_description_is_taken_for_the_task_s(
    emulator: EmulatorServer, context: Any
) -> None:
    context["ti"].try_number = 2
    context["task_state_store"] = SimpleNamespace(get={}.get)
    start_handed_over(emulator, deferred(context | {"task_state_store": None}))

    with pytest.raises(AirflowFailException, match=r"ReleaseActiveError.*phases\[0\].description"):
        operator().execute(context)


def test_a_wait_that_is_resumed_early_goes_on_to_the_same_end(emulator: EmulatorServer, context: Any) -> None:
    arguments = deferred(context)
    emulator.clock.advance("PT1H")
    found = {"flag_key": FLAG, "reached": False, "since": arguments["since"], "until": arguments["until"]}

    with pytest.raises(TaskDeferred) as again:
        operator().execute_complete(context, {"status": "finding", "finding": found})
    assert again.value.trigger.serialize()[1] == arguments


def test_the_log_says_what_to_start_in_launchdarkly(context: Any, capsys: pytest.CaptureFixture[str]) -> None:
    guards = ["checkout-conversion", {"metric": "page-load-ms", "auto_rollback": False}]
    arguments = deferred(context, guardrails=guards)
    lines = [line.split("] ", 1)[1].rsplit(" [", 1)[0].strip() for line in capsys.readouterr().out.splitlines()]
    logged = " ".join(lines)
    assert "its API takes no request for releases" in logged
    assert "a guarded release from 'Classic' to 'Bold'" in logged
    assert "on a new rule where user.kind in user, in steps of 10 % for 1d, 50 % for 2d" in logged
    assert "checkout-conversion (rolls back on a regression), page-load-ms (waits on a regression)" in logged
    assert "at its end: leave_rules_in_place" in logged
    assert "grace@example.com" in logged
    assert json.loads(arguments["design"])["randomizationUnit"] == "user"
