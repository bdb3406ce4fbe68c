"""A winner that ships through a release, against the emulator: to everyone, or back to the baseline."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, get_args

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG

from airflow_provider_launchdarkly.api.models import HealthCheck
from airflow_provider_launchdarkly.api.writes.stop_for_release import stop_reason
from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.notifications.events import Event, Message
from airflow_provider_launchdarkly.rollout.drift import compare
from airflow_provider_launchdarkly.rollout.news import Happening, message_of
from airflow_provider_launchdarkly.rollout.options import Ending, HealthCheckKind
from airflow_provider_launchdarkly.rollout.release_requests import release_in_words
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.rollout.state_machine import Outcome, RolloutStateError, outcome_after_release
from airflow_provider_launchdarkly.rollout.task_group import experiment_rollout
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.task_runner import TaskRunner
from unit.rollout.test_task_group import EXPERIMENT, HALF, SHORT, served

pytestmark = pytest.mark.usefixtures("connection")

STEPS = [{"percent": 10, "duration": "1d"}, {"percent": 50, "duration": "2d"}]
GUARDED = {"steps": STEPS}
SLOWER = "page-load-ms"


def rollout(release: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    policy = {**SHORT, "guardrails": [{"metric": SLOWER, "margin": 0.02}]}
    endings = {"ship": {"release": release or GUARDED}}
    return {
        "experiment": EXPERIMENT,
        "stages": HALF,
        "policy": policy,
        "endings": endings,
        "turn_flag_on": True,
    } | changes


def make_true(emulator: EmulatorServer, *, conversion: float = 0.3, load: float = 0.0, loads: bool = True) -> None:
    """Let Bold change conversion and load by such a share from now on."""
    slower = {"baseline_mean": 820, "standard_deviation": 240, "effects": {"Bold": {"relative": load}}}
    truth = GroundTruth.from_dict(
        {
            "people_per_day": 4_000,
            "metrics": {
                "checkout-conversion": {"baseline_rate": 0.10, "effects": {"Bold": {"relative": conversion}}},
                **({SLOWER: slower} if loads else {}),
            },
        }
    )
    emulator.call(lambda inside: inside.world.projects["demo"].truths.update({"checkout-button": truth}))


def run(emulator: EmulatorServer, spec: dict[str, Any], *, released: dict[str, Any] | None = None) -> TaskRunner:
    """Run a rollout in which Bold wins; what is in `released` is true from the release's start on."""
    make_true(emulator)

    def wait(task_id: str) -> None:
        if task_id.endswith("release.watch") and released is not None:
            make_true(emulator, **released)
        emulator.clock.advance(timedelta(days=1))

    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(spec, group_id="r")
    return TaskRunner(dag, wait=wait).run()


def ended(done: TaskRunner) -> str:
    points = done.succeeded(*(f"r.{ending}" for ending in Ending))
    assert len(points) == 1, (done.states, done.reasons)
    assert not {"failed", "upstream_failed"} & set(done.states.values()), done.reasons
    return points[0].removeprefix("r.")


def rules(flag_key: str = "checkout-button") -> int:
    return len(LaunchDarklyHook().get_flag(flag_key).environments["production"].rules)


def test_a_winner_goes_to_everyone_through_a_guarded_release(emulator: EmulatorServer) -> None:
    done = run(emulator, rollout())
    assert ended(done) == "ship"
    found = done.output("r.ship")
    assert found["release"]["status"] == "completed"
    assert found["release"]["kind"] == "guarded"
    assert found["release"]["metrics"] == {"checkout-conversion": "ok", SLOWER: "ok"}
    assert found["stopped"] is None
    assert (served(), rules()) == ("Bold", 0)
    (stopped,) = emulator.effects("iteration.stopped")
    baseline = next(each["treatment_id"] for each in done.output("r.release.start")["treatments"] if each["baseline"])
    assert stopped["winner"] == baseline
    assert len(emulator.effects("release.started")) == 1


def test_a_regression_takes_everyone_back_and_is_an_ending_of_its_own(emulator: EmulatorServer) -> None:
    done = run(emulator, rollout(), released={"load": 0.3})
    assert ended(done) == "regressed"
    found = done.output("r.regressed")
    assert found["ending"] == "regressed"
    assert found["release"]["regressed"] == [SLOWER]
    assert found["winner"] == "baseline"
    assert f"{SLOWER} regressed" in found["why"]
    assert (served(), rules()) == ("Classic", 0)
    assert done.states["r.unwatched"] == "skipped"


def test_a_release_that_waits_after_a_regression_is_stopped_on_the_baseline(emulator: EmulatorServer) -> None:
    done = run(emulator, rollout(WAITS), released={"load": 0.3})
    assert ended(done) == "regressed"
    assert done.output("r.release.watch")["status"] == "waiting"
    found = done.output("r.regressed")["release"]
    assert (found["status"], found["reason"]) == ("reverted", "reverted_manual")
    assert (served(), rules()) == ("Classic", 0)


def test_a_healthy_release_that_waits_without_a_reason_is_waited_for(emulator: EmulatorServer) -> None:
    emulator.switch(release_pauses="between_steps")
    make_true(emulator)
    seen = []

    def wait(task_id: str) -> None:
        emulator.clock.advance("PT1H" if task_id.endswith("release.watch") else "P1D")
        if task_id.endswith("release.watch"):
            seen.append(LaunchDarklyHook().list_releases("checkout-button")[0])

    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout(WAITS), group_id="r")
    done = TaskRunner(dag, wait=wait).run()
    waits = [(each.status_reason, each.waits_for) for each in seen if each.waiting]
    assert set(waits) == {(None, "person")}
    assert ended(done) == "ship"
    assert served() == "Bold"


def test_and_people_are_told_once_of_each_place_where_it_waits_for_one_of_them(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.switch(release_pauses="between_steps")
    make_true(emulator)
    sent: list[Message] = []

    def keep(message: Message, *_: Any) -> None:
        sent.append(message)

    monkeypatch.setattr("airflow_provider_launchdarkly.notifications.sending.send_to_all", keep)
    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout(notify=[{"through": "slack", "events": ["asked"]}]), group_id="r")

    def wait(task_id: str) -> None:
        emulator.clock.advance("PT1H" if task_id.endswith("release.watch") else "P1D")

    done = TaskRunner(dag, wait=wait).run()
    assert ended(done) == "ship"
    assert sent
    release_id = done.output("r.release.start")["release_id"]
    assert len({message.key for message in sent}) == len(sent) <= len(STEPS)
    for message in sent:
        assert message.headline.startswith(f"Release {release_id} of flag checkout-button waits for a person")
        assert "% get 'bold', and the others 'classic'" in message.now
        assert "Resume the release, or stop it, in LaunchDarkly: http" in message.actions
        assert message.links[-1] == ("LaunchDarkly", LaunchDarklyHook().flag_url("checkout-button"))


@pytest.mark.parametrize(
    ("changes", "regressed"),
    [
        ({"reason": "waiting_regression_detected"}, True),
        ({"regressed": [SLOWER]}, True),
        ({}, False),
        ({"reason": "waiting_phase_ended"}, False),
    ],
)
def test_only_a_regression_makes_a_wait_an_ending(changes: dict[str, Any], regressed: bool) -> None:
    release = {"status": "waiting", "reason": None, "regressed": [], "unmeasured": [], "metrics": {}, **changes}
    ships = Outcome(Ending.SHIP, "Bold is better")
    if regressed:
        assert outcome_after_release(ships, release).ending is Ending.REGRESSED
        return
    with pytest.raises(RolloutStateError, match="'waiting' without a regression, which ends no rollout; clear"):
        outcome_after_release(ships, release)


WAITS = {"steps": STEPS, "metrics": ["checkout-conversion", {"metric": SLOWER, "auto_rollback": False}]}


def changed_in_between(emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch, change: Any) -> TaskRunner:
    """Run a rollout whose release waits after a regression, and change something before the ending acts."""
    from airflow_provider_launchdarkly.rollout import ship_by_release

    real: Any = ship_by_release.end_release

    def end_later(*args: Any, **kwargs: Any) -> Any:
        change(kwargs["ended"]["release_id"])
        return real(*args, **kwargs)

    monkeypatch.setattr(ship_by_release, "end_release", end_later)
    return run(emulator, rollout(WAITS), released={"load": 0.3})


def test_a_release_that_goes_on_since_it_was_seen_is_to_be_watched_again(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dismiss(release_id: str) -> None:
        make_true(emulator)
        emulator.dismiss_regression(release_id)

    done = changed_in_between(emulator, monkeypatch, dismiss)
    assert done.states["r.regressed"] == "failed"
    assert re.search(r"was waiting .* is in_progress .* clear `release.watch`", done.reasons["r.regressed"])
    assert emulator.effects("release.stopped") == []


def test_one_that_was_rolled_forward_since_is_not_told_as_gone_back(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = changed_in_between(
        emulator,
        monkeypatch,
        lambda release_id: LaunchDarklyHook().stop_release("checkout-button", release_id, "roll_forward_all_phases"),
    )
    assert done.states["r.regressed"] == "failed"
    assert "is completed (completed_manual) now: clear `release.watch`" in done.reasons["r.regressed"]
    assert served() == "Bold"


def test_a_flag_that_was_turned_off_since_is_left_alone(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = changed_in_between(
        emulator, monkeypatch, lambda _release: LaunchDarklyHook().turn_flag("checkout-button", on=False)
    )
    assert ended(done) == "regressed"
    found = done.output("r.regressed")["release"]
    assert (found["status"], found["reason"]) == ("reverted", "reverted_discarded")


def test_a_metric_without_data_is_never_taken_for_a_good_one(emulator: EmulatorServer) -> None:
    done = run(emulator, rollout(), released={"loads": False})
    assert ended(done) == "regressed"
    assert f"no data on {SLOWER}" in done.output("r.regressed")["why"]
    assert served() == "Classic"


def test_nor_if_launchdarkly_lets_the_release_complete(emulator: EmulatorServer) -> None:
    emulator.switch(release_without_data="complete")
    done = run(emulator, rollout(), released={"loads": False})
    assert done.states["r.release.watch"] == "failed"
    assert SLOWER in done.reasons["r.release.watch"]
    assert done.states["r.unwatched"] == "failed"
    assert "completed" in done.output("r.unwatched")["now"]


def stops_unwatched(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch, *, started: bool = True, ends: str = ""
) -> tuple[dict[str, Any], TaskRunner]:
    """Run a rollout whose task `release.start` fails before it returns; return what `unwatched` says, and the run."""
    make_true(emulator)
    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout(), group_id="r")
    starts: Any = type(dag.task_dict["r.release.start"])
    real = starts.execute

    def fail(task: Any, context: Any) -> None:
        if started:
            real(task, context)
        else:
            watched = LaunchDarklyHook().get_experiment("button").running
            assert watched is not None
            LaunchDarklyHook().stop_iteration("button", watched.id, winner="baseline", reason=stop_reason("better"))
        if ends:
            emulator.clock.advance(ends)
        raise AirflowFailException("marked failed")

    monkeypatch.setattr(starts, "execute", fail)
    done = TaskRunner(dag, wait=lambda _task: emulator.clock.advance(timedelta(days=1))).run()
    assert done.states["r.unwatched"] == "failed"
    return done.output("r.unwatched"), done


def test_a_release_that_goes_on_is_told_also_if_its_task_returned_nothing(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, done = stops_unwatched(emulator, monkeypatch)
    (release,) = LaunchDarklyHook().list_releases("checkout-button")
    assert found["release_id"] == release.id
    assert "The experiment has ended on Classic for a release of Bold." in found["now"]
    assert f"Release {release.id}: Bold step by step" in found["now"]
    assert found["now"].endswith("LaunchDarkly shows it as in_progress.")
    assert "Or stop the release of flag checkout-button in LaunchDarkly." in found["do"]
    assert "runs on" not in found["text"]
    assert found["text"].startswith("The release of button's winner goes on, and nobody watches it")
    assert "clear r.release.start with all that follows" in done.reasons["r.unwatched"]


def test_so_is_one_that_has_ended_since(emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = stops_unwatched(emulator, monkeypatch, ends="P30D")
    assert found["now"].endswith("LaunchDarkly shows it as completed (completed_automatic).")
    assert "does not go on" in found["now"]
    assert len(found["do"]) == 1


def test_and_an_experiment_that_ended_for_a_release_that_is_not_there(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = stops_unwatched(emulator, monkeypatch, started=False)
    assert found["release_id"] is None
    assert "There is no such release: people get what the flag serves." in found["now"]
    assert found["text"].startswith("The rollout of button has stopped")


def test_a_plan_that_guards_nothing_fails_the_start_with_its_cure_and_people_are_told(emulator: EmulatorServer) -> None:
    emulator.switch(guarded_releases="unavailable")
    done = run(emulator, rollout())
    assert done.states["r.release.start"] == done.states["r.unwatched"] == "failed"
    assert "GuardingDeniedError" in done.reasons["r.release.start"]
    assert "Write kind: progressive or guarded_or_progressive" in done.reasons["r.release.start"]
    assert served() == "Classic"
    assert "There is no such release" in done.output("r.unwatched")["now"]


def test_or_the_winner_ships_unguarded_where_the_file_says_so(emulator: EmulatorServer) -> None:
    emulator.switch(guarded_releases="unavailable")
    spec = rollout({**GUARDED, "kind": "guarded_or_progressive"})
    done = run(emulator, spec, released={"load": 0.3})
    assert ended(done) == "ship"
    assert done.output("r.ship")["release"]["kind"] == "progressive"
    assert served() == "Bold"
    made = Rollout.from_json(spec)
    assert release_in_words(made) == (
        "through a guarded or progressive release in steps of 10 % for 1d, 50 % for 2d, guarded by "
        f"checkout-conversion, {SLOWER}: a regression takes it back; where LaunchDarkly refuses to guard it, nothing "
        "does"
    )
    told = message_of(Event.RELEASE_STARTED, made, Happening(output=done.output("r.release.start")))
    assert told is not None
    assert "through a progressive release" in told.headline
    assert told.headline.endswith("guarded by nothing, as LaunchDarkly refused to guard it")


def test_and_is_guarded_where_launchdarkly_guards(emulator: EmulatorServer) -> None:
    spec = rollout({**GUARDED, "kind": "guarded_or_progressive"})
    done = run(emulator, spec, released={"load": 0.3})
    assert ended(done) == "regressed"
    made = Rollout.from_json(spec)
    told = message_of(Event.RELEASE_STARTED, made, Happening(output=done.output("r.release.start")))
    assert told is not None
    assert "through a guarded release" in told.headline
    assert "refuse" not in told.headline


def test_a_progressive_release_compares_nothing(emulator: EmulatorServer) -> None:
    release = {"kind": "progressive", "steps": [*STEPS, {"percent": 80, "duration": "1d"}]}
    done = run(emulator, rollout(release), released={"load": 0.3})
    assert ended(done) == "ship"
    assert done.output("r.ship")["release"]["kind"] == "progressive"
    assert served() == "Bold"


def test_without_a_winner_no_release_starts(emulator: EmulatorServer) -> None:
    emulator.reset("no-effect")
    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout(), group_id="r")
    done = TaskRunner(dag, wait=lambda _task: emulator.clock.advance(timedelta(days=1))).run()
    assert ended(done) == "inconclusive"
    assert [done.states[f"r.{task}"] for task in ("release.start", "release.watch", "ship")] == ["skipped"] * 3
    assert emulator.effects("release.started") == []


def test_only_a_rollout_with_a_release_has_its_tasks(emulator: EmulatorServer) -> None:
    names = []
    for endings in ({}, {"ship": {"release": GUARDED}}):
        with DAG("rollout", schedule=None) as dag:
            group = experiment_rollout(rollout(endings=endings), group_id="r")
        names.append(set(dag.task_ids))
        assert (group.regressed is None) == (not endings)
    assert names[1] - names[0] == {"r.release.start", "r.release.watch", "r.regressed"}


def test_a_second_experiment_has_people_after_a_release_that_went_back(emulator: EmulatorServer) -> None:
    run(emulator, rollout(), released={"load": 0.3})
    second = {**EXPERIMENT, "key": "button-again"}
    done = run(emulator, rollout(experiment=second))
    assert ended(done) == "ship"
    assert served() == "Bold"


def test_a_clear_of_everything_after_the_winner_repeats_nothing(emulator: EmulatorServer) -> None:
    done = run(emulator, rollout(), released={"load": 0.3})
    before = len(emulator.effects("release.started"))
    for task in ("r.release.start", "r.release.watch", "r.ship", "r.regressed"):
        done.again(task)
    assert ended(done) == "regressed"
    assert len(emulator.effects("release.started")) == before
    assert done.output("r.release.start")["changed"] is False


def test_an_environment_that_demands_approvals_is_told_before_the_experiment_starts(
    emulator: EmulatorServer, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = LaunchDarklyHook()
    spec = rollout(turn_flag_on=False)
    plan = compare(Rollout.from_json(spec), hook.environment())
    assert hook.run(plan).warnings == ()
    hook.turn_flag("checkout-button", on=True)
    emulator.switch(flag_approvals="everywhere")
    (warning,) = hook.run(compare(Rollout.from_json(spec), hook.environment())).warnings
    assert "endings.ship.release: changes of flags need an approval in demo/production" in warning
    assert "give the token that right, name reviewers in launchdarkly_approval, or leave the release out" in warning
    done = run(emulator, spec)
    assert warning in capsys.readouterr().out
    assert done.states["r.release.start"] == "failed"
    assert "There is no such release" in done.output("r.unwatched")["now"]


def test_an_environment_that_cannot_be_read_warns_of_nothing(emulator: EmulatorServer) -> None:
    emulator.switch(flag_approvals="everywhere")
    emulator.fault("get_environment", "status", status=403)
    hook = LaunchDarklyHook()
    assert hook.run(compare(Rollout.from_json(rollout()), hook.environment())).warnings == ()


@pytest.mark.parametrize(
    ("release", "path", "says"),
    [
        ({"steps": [{"percent": 60, "duration": "1d"}]}, "steps[0].percent", "allows 50 at most"),
        ({"steps": [{"percent": 0, "duration": "1d"}]}, "steps[0].percent", "above 0"),
        ({"steps": [STEPS[1], STEPS[0]]}, "steps[1].percent", "each step serves more"),
        ({"steps": []}, "steps", "at least"),
        ({"steps": [{"percent": 5, "duration": "0d"}]}, "steps[0].duration", "not above 0"),
        ({"steps": STEPS, "kind": "progressive", "metrics": [SLOWER]}, "metrics", "kind: guarded"),
        ({"steps": STEPS, "metrics": []}, "metrics", "kind: progressive"),
        ({"steps": STEPS, "kind": "careful"}, "kind", "progressive"),
        ({"steps": STEPS, "auto_rollback": True}, "auto_rollback", "auto_rollback"),
    ],
)
def test_a_wrong_release_is_refused_with_its_field(release: dict[str, Any], path: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        Rollout.from_json(rollout(release))
    assert f"endings.ship.release.{path}" in str(caught.value)


@pytest.mark.parametrize(
    ("release", "policy"),
    [({"steps": STEPS, "metrics": ["signup-funnel"]}, {}), ({"steps": STEPS}, {"guardrails": []})],
)
def test_a_funnel_cannot_guard_a_release(release: dict[str, Any], policy: dict[str, Any]) -> None:
    experiment = {**EXPERIMENT, "primary_metric": None, "primary_funnel": "signup-funnel"}
    with pytest.raises(ValueError, match="cannot guard a release"):
        Rollout.from_json(rollout(release, experiment=experiment, policy={**SHORT, **policy}))


def test_a_rollout_with_a_release_is_read_back_from_its_json() -> None:
    spec = Rollout.from_json(rollout({"steps": STEPS, "bypass_health_checks": ["metric_events_any"]}))
    assert Rollout.from_json(spec.to_json()) == spec


def test_the_health_checks_are_launchdarklys() -> None:
    assert {kind.value for kind in HealthCheckKind} == set(get_args(HealthCheck))
