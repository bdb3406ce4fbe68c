"""The retirement of a rollout's flag after its end: proposed or done, after the time has passed, or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from airflow.providers.common.compat.sdk import BaseNotifier
from airflow.sdk import DAG
from typing_extensions import override

from airflow_provider_launchdarkly.api.writes.flags import Serving
from airflow_provider_launchdarkly.config.problems import InvalidSettingError
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.notifications.events import Event, Severity
from airflow_provider_launchdarkly.retirement.reasons import SERVED_FOR
from airflow_provider_launchdarkly.rollout.content import read_rollout
from airflow_provider_launchdarkly.rollout.dag import content_in_words
from airflow_provider_launchdarkly.rollout.ending_settings import Retire
from airflow_provider_launchdarkly.rollout.news import Happening, message_of
from airflow_provider_launchdarkly.rollout.options import RetireMode
from airflow_provider_launchdarkly.rollout.promotion import Promotion
from airflow_provider_launchdarkly.rollout.samples import sample_messages
from airflow_provider_launchdarkly.rollout.shown import shown_rollout
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.rollout.task_group import RolloutTaskGroup, experiment_rollout
from airflow_provider_launchdarkly.rollout.wave_group import experiment_waves
from airflow_provider_launchdarkly.rollout.words import retirement_in_words
from airflow_provider_launchdarkly.testing import EmulatorServer
from airflow_provider_launchdarkly.views.airflow_run import Note
from airflow_provider_launchdarkly.views.whole import detail_of
from support.heard import HEARD, PATH
from support.shown import run as shown_run
from support.shown import stopped, watched
from support.surroundings import REPOSITORY
from support.task_runner import TaskRunner
from unit.rollout.test_ship_by_release import make_true, rules
from unit.rollout.test_ship_by_release import rollout as released_rollout
from unit.rollout.test_task_group import EXPERIMENT, HALF, SHORT, TO_THE_END, SeenEnoughError, reject, run

pytestmark = pytest.mark.usefixtures("connection")

FLAG = "checkout-button"
PRODUCTION = {"environments": ["production"]}


def rollout(retire: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    endings = {"retire": PRODUCTION if retire is None else retire, **changes.pop("endings", {})}
    return {
        "experiment": EXPERIMENT,
        "stages": HALF,
        "policy": SHORT,
        "turn_flag_on": True,
        "environment": "production",
        "endings": endings,
    } | changes


def outcome(done: TaskRunner) -> tuple[str | None, str | None]:
    """What became of the flag, and the variation that everyone gets."""
    assert not {"failed", "upstream_failed"} & set(done.states.values()), done.reasons
    found = done.output("r.retire.flag") or {}
    variation = found.get("variation") or {}
    return found.get("outcome"), variation.get("name")


def writes(emulator: EmulatorServer) -> int:
    return sum(entry.method not in {"GET", "REPORT"} for entry in emulator.journal())


def test_the_defaults_are_those_of_the_operator_and_change_nothing() -> None:
    found = Rollout.from_json(rollout({})).retire
    assert found == Retire()
    assert (found.mode, found.served_for, found.environments) == (RetireMode.PROPOSE, SERVED_FOR, ())
    assert not found.require_code_references
    assert found.require_approval_requests
    assert Rollout.from_json(rollout(endings={"retire": None})).retire is None


@pytest.mark.parametrize(
    ("retire", "expected"),
    [
        ({"mode": "delete"}, r"endings\.retire\.mode: write 'propose' or 'archive' \(given 'delete'\)"),
        ({"served_for": "400d"}, r"endings\.retire\.served_for.*is 400d, not from 0 to 365d"),
        ({"served_for": 30}, r"endings\.retire\.served_for.*30 is no duration"),
        ({"after": "30d"}, r"endings\.retire\.after"),
        ({"environments": "production"}, r"endings\.retire\.environments"),
    ],
    ids=["mode", "too long", "no duration", "unknown", "no list"],
)
def test_a_wrong_setting_is_an_error_with_its_name_and_its_value(retire: dict[str, Any], expected: str) -> None:
    with pytest.raises(InvalidSettingError, match=f"(?s){expected}"):
        Rollout.from_json(rollout(retire))


def test_a_time_in_which_no_flag_becomes_launched_is_suspicious() -> None:
    (concern,) = Rollout.from_json(rollout({"served_for": "3d"})).concerns()
    assert concern == "endings.retire.served_for is 3d: LaunchDarkly calls a flag launched after a week"
    assert not Rollout.from_json(rollout({"served_for": "7d"})).concerns()


def test_the_schedule_names_it_in_words() -> None:
    assert (
        "Afterwards: propose to retire flag checkout-button once everyone has got the same in all environments for "
        "30d, if nothing uses it.\n"
    ) in content_in_words(read_rollout(rollout({})))
    archives = {"mode": "archive", "environments": ["test"], "require_code_references": True}
    assert (
        "Afterwards: archive flag checkout-button and its experiments once everyone has got the same in test, "
        "production for 30d, if nothing uses it, and code references are known.\n"
    ) in content_in_words(read_rollout(rollout(archives)))


def test_a_shipped_flag_is_proposed_once_it_has_served_the_winner_long_enough(emulator: EmulatorServer) -> None:
    seen: list[Any] = []

    def wait(task_id: str) -> None:
        if task_id == "r.retire.wait":
            seen.append((emulator.clock.now(), writes(emulator)))
        emulator.clock.advance(timedelta(days=1))

    done = run(emulator, rollout(), wait=wait)
    assert outcome(done) == ("proposed", "Bold")
    assert emulator.clock.now() - seen[0][0] == timedelta(days=30)
    assert writes(emulator) == seen[0][1]
    assert "The branch that stays is the one for `Bold`" in done.output("r.retire.flag")["card"]
    assert done.states["r.unwatched"] == "skipped"
    assert not LaunchDarklyHook().get_flag(FLAG).archived


def test_a_shipped_flag_is_archived_with_its_experiment_where_the_file_says_so(emulator: EmulatorServer) -> None:
    done = run(emulator, rollout({**PRODUCTION, "mode": "archive", "served_for": "8d"}))
    assert outcome(done) == ("archived", "Bold")
    assert LaunchDarklyHook().get_flag(FLAG).archived
    assert LaunchDarklyHook().get_experiment("button").archived
    assert done.again("r.retire.wait") == done.again("r.retire.flag") == "success"
    assert done.output("r.retire.flag")["changed"] is False


def test_a_repeat_of_each_task_archives_once(emulator: EmulatorServer) -> None:
    repeated: list[str] = []

    def crash(task_id: str) -> bool:
        repeated.append(task_id)
        return repeated.count(task_id) == 1

    done = run(emulator, rollout({**PRODUCTION, "mode": "archive"}), crash=crash)
    assert outcome(done) == ("archived", "Bold")
    assert repeated.count("r.retire.flag") == 2
    patched = [entry.body for entry in emulator.journal() if entry.operation == "patch_feature_flag"]
    assert sum("archive" in str(body) for body in patched) == 1


def harm(emulator: EmulatorServer) -> None:
    make_true(emulator, conversion=-0.5)


def nothing(emulator: EmulatorServer) -> None:
    make_true(emulator, conversion=0.0)


def test_after_a_rollback_the_baseline_is_what_stays(emulator: EmulatorServer) -> None:
    harm(emulator)
    done = run(emulator, rollout())
    assert done.states["r.rollback"] == "success"
    assert outcome(done) == ("proposed", "Classic")


def test_an_experiment_without_a_winner_that_is_stopped_on_the_baseline_has_ended_too(
    emulator: EmulatorServer,
) -> None:
    nothing(emulator)
    done = run(emulator, rollout(policy=TO_THE_END))
    assert done.states["r.inconclusive"] == "success"
    assert outcome(done) == ("proposed", "Classic")


@pytest.mark.parametrize(
    ("ending", "happens", "changes"),
    [
        ("inconclusive", nothing, {"policy": TO_THE_END, "endings": {"inconclusive": "ask"}}),
        ("refused", lambda _emulator: None, {"approval": {"before_ship": True}}),
    ],
)
def test_a_flag_whose_experiment_runs_on_is_left_alone(
    emulator: EmulatorServer, ending: str, happens: Callable[[EmulatorServer], None], changes: dict[str, Any]
) -> None:
    happens(emulator)
    answer = {"refused": reject(), "inconclusive": {**reject(), "chosen_options": ["Leave it running"]}}[ending]
    done = run(emulator, rollout(**changes), answer=lambda _task: answer)
    assert done.states[f"r.{ending}"] == "success"
    assert outcome(done) == (None, None)
    assert done.states["r.retire.wait"] == done.states["r.retire.flag"] == "skipped"
    assert done.reasons["r.retire.wait"] == "the flag stays: the rollout has not ended its experiment"


def test_an_experiment_that_someone_else_ended_is_left_to_people(emulator: EmulatorServer) -> None:
    def wait(task_id: str) -> None:
        running = LaunchDarklyHook().get_experiment("button", expand=("previousIterations",)).running
        if running is not None:
            LaunchDarklyHook().stop_iteration("button", str(running.id), winner="baseline", reason="by hand")
        emulator.clock.advance(timedelta(days=1))

    done = run(emulator, rollout(), wait=wait)
    assert done.states["r.invalid"] == "success"
    assert done.states["r.retire.wait"] == done.states["r.retire.flag"] == "skipped"


@pytest.mark.parametrize(("load", "gets"), [(0.0, "Bold"), (0.3, "Classic")])
def test_a_release_is_awaited_to_its_end_whichever_it_is(emulator: EmulatorServer, load: float, gets: str) -> None:
    make_true(emulator)
    spec = released_rollout()
    spec["endings"]["retire"] = PRODUCTION

    def wait(task_id: str) -> None:
        if task_id.endswith("release.watch"):
            make_true(emulator, load=load)
        emulator.clock.advance(timedelta(days=1))

    assert outcome(run(emulator, spec, wait=wait)) == ("proposed", gets)
    assert rules() == 0


def days_of_waiting(emulator: EmulatorServer, change: Callable[[], Any]) -> tuple[TaskRunner, int]:
    """Run a rollout, make a change on the tenth day after its end, and return how many days it waited."""
    days = 0

    def wait(task_id: str) -> None:
        nonlocal days
        if task_id == "r.retire.wait":
            days += 1
            if days == 10:
                change()
        emulator.clock.advance(timedelta(days=1))

    return run(emulator, rollout({**PRODUCTION, "mode": "archive"}), wait=wait), days


def test_a_change_that_serves_the_same_starts_the_time_anew(emulator: EmulatorServer) -> None:
    def change() -> None:
        LaunchDarklyHook().turn_flag(FLAG, on=False)
        LaunchDarklyHook().turn_flag(FLAG, on=True)

    done, days = days_of_waiting(emulator, change)
    assert outcome(done) == ("archived", "Bold")
    assert days == 9 + 30


@pytest.mark.parametrize(
    ("weights", "expected"), [({"Classic": 100_000}, "other_variation"), ({"Classic": 1, "Bold": 99_999}, "varies")]
)
def test_a_flag_that_serves_anything_else_by_then_is_kept(
    emulator: EmulatorServer, weights: dict[str, int], expected: str
) -> None:
    def change() -> None:
        hook = LaunchDarklyHook()
        ids = {each.name: each.id for each in hook.get_flag(FLAG).variations}
        served = {ids[name]: weight for name, weight in weights.items()}
        hook.serve(FLAG, Serving(variation_id=next(iter(served))) if len(served) == 1 else Serving(weights=served))

    done, days = days_of_waiting(emulator, change)
    assert outcome(done)[0] == "kept"
    assert expected in {reason["against"] for reason in done.output("r.retire.flag")["reasons"]}
    assert days == 10
    emulator.clock.advance("P90D")
    assert done.again("r.retire.flag") == "success"
    assert done.output("r.retire.flag")["reasons"][0]["against"] == expected
    assert not LaunchDarklyHook().get_flag(FLAG).archived


def test_a_flag_that_is_gone_by_then_is_no_failure(emulator: EmulatorServer) -> None:
    def change() -> None:
        emulator.call(lambda inside: inside.world.projects["demo"].flags.pop(FLAG))

    done, _ = days_of_waiting(emulator, change)
    assert done.states["r.retire.wait"] == done.states["r.retire.flag"] == "skipped"
    assert done.reasons["r.retire.wait"].startswith("there is nothing to retire: ")
    assert FLAG in done.reasons["r.retire.wait"]


def test_a_flag_that_is_gone_when_it_is_judged_again_is_no_failure(emulator: EmulatorServer) -> None:
    done, _ = days_of_waiting(emulator, lambda: None)
    emulator.call(lambda inside: inside.world.projects["demo"].flags.pop(FLAG))
    assert done.again("r.retire.flag") == "skipped"


def test_an_environment_that_is_missing_is_found_before_anything_starts(emulator: EmulatorServer) -> None:
    done = run(emulator, rollout({"environments": ["prod"]}))
    assert done.states["r.start"] == "failed"
    assert "endings.retire.environments[0]: project 'demo' has no environment 'prod'" in done.reasons["r.start"]
    assert writes(emulator) == 0


def test_a_rollout_that_observes_only_says_what_it_would_do_and_has_no_task_for_it(
    emulator: EmulatorServer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with DAG("by_hand", schedule=None) as dag:
        experiment_rollout(rollout(), group_id="r")
    with pytest.raises(SeenEnoughError):
        TaskRunner(dag, wait=SeenEnoughError.waiting).run()
    done = run(emulator, rollout(autonomy="observe"))
    assert done.output("r.verdict")["ending"] == "ship"
    assert not [task for task in done.states if ".retire." in task]
    told = caplog.text + capsys.readouterr().out  # by Airflow's version, one or the other
    assert "dry run: afterwards it would propose to retire flag checkout-button once everyone has got the same" in told
    assert group_of(rollout(autonomy="observe")).retire is None


def test_the_message_of_an_ending_says_what_becomes_of_the_flag() -> None:
    def follows(spec: dict[str, Any]) -> str:
        return dict(sample_messages(Rollout.from_json(spec), datetime.now(UTC)))["ended.ship"].follows

    assert follows(rollout()).startswith("Afterwards: propose to retire flag checkout-button once everyone has got")
    assert follows(rollout(endings={"retire": None})) == "Nothing: the rollout is over."
    # A refusal before the first stage: no experiment has ended, so the flag stays.
    outcome = {"ending": "refused", "why": "rejected", "winner": None}
    refused = message_of(Event.ENDED, Rollout.from_json(rollout()), Happening(output=outcome))
    assert refused is not None
    assert refused.follows == "Nothing: the rollout is over."


def heard(done: TaskRunner) -> list[str]:
    """The messages of the task that retires the flag, by its own callback."""
    HEARD.clear()
    task: Any = done.dag.get_task("r.retire.flag")
    for notifier in task.on_success_callback or ():
        ti = SimpleNamespace(
            dag_id="rollout",
            run_id="run",
            task_id=task.task_id,
            map_index=-1,
            log_url="https://airflow.example.com/dags/rollout/runs/run/tasks/r.retire.flag",
            xcom_pull=lambda **_: done.output(task.task_id),
        )
        notifier.notify({"ti": ti})
    return HEARD.copy()


def test_people_are_told_of_a_proposal_with_what_to_do(emulator: EmulatorServer) -> None:
    (text,) = heard(run(emulator, rollout(notify=[{"through": PATH, "events": ["retirement"]}])))
    assert text.startswith("Proposed: retire flag checkout-button · button\n")
    assert "Who gets what now: everyone gets Bold in production" in text
    assert "What follows: Nothing by itself: a proposal writes nothing in LaunchDarkly." in text
    assert "leave the branch for Bold; LaunchDarkly shows no code references" in text
    assert "archive the flag: airflow-launchdarkly retire checkout-button --apply." in text
    assert "https://airflow.example.com/dags/rollout/runs/run/tasks/r.retire.flag" in text
    assert LaunchDarklyHook().flag_url(FLAG) in text


def test_people_are_told_that_the_flag_was_archived(emulator: EmulatorServer) -> None:
    spec = rollout({**PRODUCTION, "mode": "archive"}, notify=[{"through": PATH}])
    (text,) = heard(run(emulator, spec))
    assert text.startswith("Archived: flag checkout-button, with its experiments · button\n")
    assert "What follows: Nothing: the flag is retired." in text


def test_nobody_is_told_of_a_flag_that_stays(emulator: EmulatorServer) -> None:
    def wait(task_id: str) -> None:
        if task_id == "r.retire.wait":
            LaunchDarklyHook().turn_flag(FLAG, on=False)
        emulator.clock.advance(timedelta(days=1))

    done = run(emulator, rollout(notify=[{"through": PATH}]), wait=wait)
    assert outcome(done)[0] == "kept"
    assert heard(done) == []


def test_the_sample_of_the_message_is_there_where_the_flag_is_retired() -> None:
    def samples(spec: dict[str, Any]) -> dict[str, Any]:
        return dict(sample_messages(Rollout.from_json(spec), datetime.now(UTC)))

    assert samples(rollout())["retirement"].headline == "Proposed: retire flag checkout-button · button"
    assert samples(rollout({"mode": "archive"}))["retirement"].now == "everyone gets Bold in all environments"
    assert "retirement" not in samples(rollout(endings={"retire": None}))


def test_the_page_says_it_once_the_experiment_has_ended() -> None:
    afterwards = shown_rollout(Rollout.from_json(rollout()), "r")["afterwards"]
    note = stopped()
    body = {**note.body, "rollout": {**note.body["rollout"], "afterwards": afterwards}}
    found = detail_of([watched(), Note(note.task_id, -1, body)], shown_run(state="success"))
    assert found.to_come == (f"Afterwards: {retirement_in_words(Rollout.from_json(rollout()))}.",)
    assert detail_of([watched(), note], shown_run(state="success")).to_come == ()


def test_the_page_on_it_has_settings_that_are_read() -> None:
    page = (REPOSITORY / "docs" / "how-to" / "retire-a-flag.md").read_text()
    (block,) = (found for found in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "retire:" in found)
    settings = yaml.safe_load(block)["endings"]["retire"]
    assert Rollout.from_json(rollout(settings)).retire == Retire(environments=("production",))


def group_of(spec: dict[str, Any]) -> RolloutTaskGroup:
    with DAG("rollout", schedule=None):
        return experiment_rollout(spec, group_id="r")


def test_it_is_a_task_of_the_group_that_follows_on_the_endings_and_nothing_else_waits_for() -> None:
    group = group_of(rollout())
    assert group.retire is not None
    assert group.retire.task_id == "r.retire.flag"
    assert group.retire.upstream_task_ids == {"r.retire.wait"}
    assert not group.retire.downstream_task_ids
    assert "r.retire.wait" not in group.children["r.unwatched"].upstream_task_ids
    assert group_of(rollout(endings={"retire": None})).retire is None


def promotion(*environments: Any, **changes: Any) -> dict[str, Any]:
    spec = rollout(environments=list(environments), **changes)
    del spec["environment"]
    return spec


def test_in_a_promotion_only_the_last_environment_retires_the_flag() -> None:
    found = Promotion.from_json(promotion("test", "production"))
    assert [each.retire is not None for each in found.rollouts] == [False, True]
    own = {"key": "production", "endings": {"retire": {"mode": "archive"}}}
    found = Promotion.from_json(promotion("test", own, endings={"retire": None}))
    assert [each.retire.mode if each.retire else None for each in found.rollouts] == [None, "archive"]


def test_an_earlier_environment_that_retires_the_flag_is_an_error() -> None:
    own = {"key": "test", "endings": {"retire": {"mode": "archive"}}}
    with pytest.raises(InvalidSettingError, match=r"environments\[0\]\.endings\.retire: stands before the last"):
        Promotion.from_json(promotion(own, "production"))
    other = {"key": "test", "endings": {"extension": "7d"}}
    assert Promotion.from_json(promotion(other, "production")).rollouts[0].retire is None
    assert Promotion.from_json(promotion({"key": "test", "endings": None}, "production")).rollouts[0].retire is None


def waves(*targets: Any) -> dict[str, Any]:
    spec = rollout(targets=list(targets), waves={"order": [1, "rest"]})
    del spec["environment"]
    return spec


def test_targets_with_flags_of_their_own_retire_them_and_no_wave_waits_for_that() -> None:
    targets = [{"key": key, "experiment": {"flag": f"{key}-button"}} for key in ("berlin", "paris")]
    with DAG("waves", schedule=None):
        made = experiment_waves(waves(*targets))
    for number, (key, group) in enumerate(made.targets.items(), start=1):
        assert group.retire is not None
        assert not group.retire.downstream_task_ids
        count = made.summary.dag.get_task(f"wave_{number}.count_{key}")
        assert {f"{group.group_id}.ship", f"{group.group_id}.rollback"} <= count.upstream_task_ids
        assert not {task for task in count.upstream_task_ids if ".retire." in task}


def test_a_flag_that_several_targets_share_is_not_retired_by_one_of_them() -> None:
    targets = [{"key": key, "rule": key} for key in ("berlin", "paris")]
    with pytest.raises(InvalidSettingError, match=r"is for berlin, and flag checkout-button is that of paris as well"):
        read_rollout(waves(*targets))


def test_a_retirement_that_failed_is_told_with_what_to_clear_and_by_both_of_its_tasks() -> None:
    told: list[str] = []

    class Own(BaseNotifier):
        """A notifier of the users' own."""

        @override
        def notify(self, context: Any) -> None:
            told.append(context["ti"].task_id)

    HEARD.clear()
    given = rollout(notify=[{"through": PATH, "events": ["retirement_failed"]}])
    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(given, group_id="r", notifiers=[Own()])
    for name in ("r.retire.wait", "r.retire.flag"):
        ti = SimpleNamespace(
            dag_id="d", run_id="run", task_id=name, map_index=-1, log_url=None, xcom_pull=lambda **_: None
        )
        callbacks: Any = dag.get_task(name).on_failure_callback
        for callback in callbacks:
            callback({"ti": ti, "exception": RuntimeError("the token is refused")})
    assert told == ["r.retire.wait", "r.retire.flag"]
    first, second = HEARD
    assert first.startswith(
        f"Not retired: flag {FLAG}: task r.retire.wait failed: the token is refused · {EXPERIMENT['key']}"
    )
    assert f"Nothing by itself: flag {FLAG} stays as it is." in first
    assert "Clear the task that failed, with all that follows it" in second
    assert "task r.retire.flag failed" in second


def test_the_sample_of_a_retirement_that_failed_is_a_warning_and_only_where_there_is_one() -> None:
    samples = [
        dict(sample_messages(Rollout.from_json(each), datetime(2026, 12, 1, tzinfo=UTC)))
        for each in (rollout(), rollout(endings={"retire": None}))
    ]
    assert samples[0]["retirement_failed"].severity is Severity.WARNING
    assert "retirement_failed" not in samples[1]
