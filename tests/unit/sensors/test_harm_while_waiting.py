"""Guardrails while a person is asked or a change window is awaited: harm ends the waiting, and nothing else does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.providers.standard.operators import hitl
from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.triggers.base import TriggerEvent
from typing_extensions import override

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.audit_log.replay import replay
from airflow_provider_launchdarkly.checks.harm_watch import watching_policy
from airflow_provider_launchdarkly.config.problems import InvalidSettingError
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.rollout.watched_question import WatchedQuestionOperator
from airflow_provider_launchdarkly.sensors import _harm_watch
from airflow_provider_launchdarkly.sensors._harm_watch import WatchedIteration
from airflow_provider_launchdarkly.sensors.change_window import LaunchDarklyChangeWindowSensor
from airflow_provider_launchdarkly.triggers import _base, _circuit, question
from airflow_provider_launchdarkly.triggers import _harm_watch as triggers_watch
from support.guarding_release import METRIC, OTHER, OtherFlag
from support.lone_polls import poll_alone
from unit.sensors.conftest import KEY, Underway

TI_ID = "01890a5d-ac96-774b-bcce-b302099a8057"
CONTEXT: Any = {"ti": SimpleNamespace(id=UUID(TI_ID)), "task_instance": SimpleNamespace(id=UUID(TI_ID))}
GUARDED = {"guardrails": [{"metric": "page-load-ms"}]}
APPROVED = {
    "chosen_options": ["Approve"],
    "params_input": {},
    "responded_at": datetime(2026, 3, 2, tzinfo=UTC),
    "responded_by_user": {"id": "1", "name": "grace"},
}
DAYS = 20


class Question(WatchedQuestionOperator):
    """A question about an iteration."""

    iteration: WatchedIteration | None = None

    @override
    def watched(self, context: Any) -> WatchedIteration | None:
        return self.iteration


def ask(iteration: WatchedIteration | None) -> Question:
    asking = Question(task_id="approve", subject="Go on?", body="The card.", options=["Approve", "Reject"])
    asking.iteration = iteration
    return asking


class Airflow:
    """Runs a waiting task as Airflow does: the trigger's sleeps turn the emulator's clock."""

    def __init__(self, underway: Underway, monkeypatch: pytest.MonkeyPatch) -> None:
        self.underway, self.answer_after = underway, timedelta(days=DAYS)
        self.asked: dict[str, Any] = {}
        self.began = underway.emulator.clock.now()
        self.looks, self.monkeypatch = 0, monkeypatch
        for pause in ("FIRST_PAUSE", "LONGEST_PAUSE", "_SPACING", "LONGEST_SPREAD"):
            monkeypatch.setattr(_circuit, pause, 0.0)
        real = asyncio.sleep

        async def sleep(seconds: float) -> None:
            underway.emulator.clock.advance(timedelta(seconds=seconds))
            await real(0)

        airflow = self

        async def run(trigger: Any) -> AsyncIterator[TriggerEvent]:
            while underway.emulator.clock.now() - airflow.began < airflow.answer_after:
                await real(0.001)
            yield TriggerEvent(APPROVED)

        for module in (_base, question):
            monkeypatch.setattr(module, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))
        poll_alone(monkeypatch, sleep)
        monkeypatch.setattr(HITLTrigger, "run", run)
        monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **fields: self.asked.update(fields))

    def fire(self, trigger: Any) -> dict[str, Any]:
        _path, arguments = trigger.serialize()
        assert json.loads(json.dumps(arguments)) == arguments

        async def first() -> Any:
            return await anext(aiter(type(trigger)(**arguments).run()))

        payload: dict[str, Any] = asyncio.run(first()).payload
        self.looks += payload.get("status") == "look"
        return payload

    def wait(self, make: Callable[[], Any]) -> Any:
        try:
            return make().execute(CONTEXT)
        except TaskDeferred as first:
            deferred = first
        while True:
            event = self.fire(deferred.trigger)
            try:
                return make().execute_complete(CONTEXT, event)
            except TaskDeferred as again:
                deferred = again

    def counts(self, names: list[str]) -> None:
        """Note what is counted in Airflow's metrics."""
        for module in (_harm_watch, triggers_watch):
            self.monkeypatch.setattr(module, "count", names.append)

    @property
    def waited(self) -> timedelta:
        passed: timedelta = self.underway.emulator.clock.now() - self.began
        return passed


@pytest.fixture
def airflow(underway: Underway, monkeypatch: pytest.MonkeyPatch) -> Airflow:
    return Airflow(underway, monkeypatch)


def truth(underway: Underway, slower: float) -> None:
    """2,000 people a day; the treatment makes pages slower by this share."""
    metrics = {
        "checkout-conversion": {"baseline_rate": 0.1},
        "page-load-ms": {
            "baseline_mean": 820,
            "standard_deviation": 240,
            "effects": {"Bold": {"relative": slower}},
        },
    }
    found = GroundTruth.from_dict({"people_per_day": 2_000, "metrics": metrics})
    underway.emulator.call(lambda inside: inside.world.projects["demo"].truths.update({"checkout-button": found}))


def verdict(underway: Underway, days: float = 0.0) -> dict[str, Any]:
    where = {"project_key": "demo", "environment_key": "production"}
    iteration = {"experiment_key": KEY, "iteration_id": underway.iteration_id}
    return {**where, **iteration, "verdict": "ship", "elapsed_days": days}


def watched(underway: Underway, policy: dict[str, Any], **fields: Any) -> WatchedIteration:
    plain = Policy.from_json({**GUARDED, **policy}).to_json()
    return WatchedIteration(verdict(underway), plain, **{"poll_interval": 900.0, **fields})


def window(underway: Underway, policy: dict[str, Any], **fields: Any) -> LaunchDarklyChangeWindowSensor:
    plain = Policy.from_json({**GUARDED, **policy}).to_json()
    return LaunchDarklyChangeWindowSensor(
        task_id="window",
        window={"blackout": ["2026-01-01/2026-06-30"]},
        watch={"policy": plain, "verdict": verdict(underway)},
        poke_interval=900,
        **fields,
    )


WAITING: dict[str, Callable[..., Any]] = {
    "question": lambda underway, policy: ask(watched(underway, policy)),
    "window": window,
}


@pytest.fixture(params=WAITING)
def waiting(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return WAITING[request.param]


@pytest.mark.parametrize("policy", [{}, {"harm_looks": "15m"}], ids=["planned looks", "harm looks"])
def test_harm_ends_the_waiting_within_hours(
    underway: Underway, airflow: Airflow, waiting: Any, policy: dict[str, Any]
) -> None:
    truth(underway, 0.2)
    output = airflow.wait(lambda: waiting(underway, policy))
    ended = output["ended_by"]
    assert (ended["verdict"], ended["reason"]) == ("rollback", "guardrail_harmed")
    assert airflow.waited < timedelta(hours=12)
    assert airflow.looks == 1
    assert not output.get("chosen_options")
    assert output.get("opened") is None


def test_releases_are_watched_though_no_metric_rolls_back(underway: Underway, airflow: Airflow, waiting: Any) -> None:
    other = OtherFlag(LaunchDarklyHook().run, underway.emulator)
    other.release(-0.5, METRIC)
    policy = {"preset": "launchdarkly", "guardrails": [], "looks": "7d", "release_guardrails": [{"flag": OTHER}]}
    output = airflow.wait(lambda: waiting(underway, policy))
    assert (output["ended_by"]["verdict"], output["ended_by"]["reason"]) == ("rollback", "release_regressed")
    assert airflow.waited < timedelta(days=3)


def test_after_the_plans_end_harm_still_ends_it(underway: Underway, airflow: Airflow, waiting: Any) -> None:
    truth(underway, 0.2)
    policy = {"looks": "12h", "max_duration": "1d", "min_duration": "1d"}
    truth(underway, 0.0)
    underway.emulator.clock.advance("P2D")
    airflow.began = underway.emulator.clock.now()
    truth(underway, 0.2)
    assert airflow.wait(lambda: waiting(underway, policy))["ended_by"]["reason"] == "guardrail_harmed"


def test_without_harm_the_answer_comes_as_airflow_gives_it(underway: Underway, airflow: Airflow) -> None:
    truth(underway, 0.0)
    airflow.answer_after = timedelta(days=2.5)
    assert airflow.wait(lambda: ask(watched(underway, {}))) == APPROVED
    # The planned looks of two days, each on a worker.
    assert airflow.looks == 2


def test_without_harm_the_window_opens(underway: Underway, airflow: Airflow) -> None:
    truth(underway, 0.0)
    shut = opens_in(underway, 48)

    def make() -> LaunchDarklyChangeWindowSensor:
        sensor = window(underway, {})
        sensor.window = shut.window
        return sensor

    assert airflow.wait(make)["opened"] is not None
    assert airflow.waited > timedelta(hours=20)


def test_an_iteration_that_someone_stopped_ends_the_waiting(underway: Underway, airflow: Airflow, waiting: Any) -> None:
    truth(underway, 0.0)
    with pytest.raises(TaskDeferred) as deferred:
        waiting(underway, {}).execute(CONTEXT)
    underway.stop()
    output = waiting(underway, {}).execute_complete(CONTEXT, airflow.fire(deferred.value.trigger))
    assert (output["ended_by"]["verdict"], output["ended_by"]["reason"]) == ("invalid", "iteration_stopped")


def opens_in(underway: Underway, hours: int, policy: dict[str, Any] | None = None) -> LaunchDarklyChangeWindowSensor:
    opening = underway.emulator.clock.now() + timedelta(hours=hours)
    sensor = window(underway, policy or {})
    sensor.window = {"timezone": "UTC", "blackout": [f"2026-01-01/{opening - timedelta(days=1):%Y-%m-%d}"]}
    return sensor


@pytest.mark.parametrize("fault", ["gone", "forbidden"])
@pytest.mark.parametrize("asked", [True, False], ids=["question", "window"])
def test_results_that_cannot_be_read_end_nothing_and_are_told(
    underway: Underway, airflow: Airflow, asked: bool, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    truth(underway, 0.2)
    airflow.answer_after = timedelta(days=1.2)
    shut = opens_in(underway, 48)
    counted: list[str] = []
    airflow.counts(counted)
    if fault == "gone":
        underway.emulator.switch(results="gone")
    else:
        underway.emulator.fault("get_experiment_results", "status", status=403, times=100_000)

    def make() -> Any:
        if asked:
            return ask(watched(underway, {}))
        sensor = window(underway, {})
        sensor.window = shut.window
        return sensor

    output = airflow.wait(make)
    assert output == APPROVED if asked else output["opened"]
    assert airflow.looks >= 1
    assert "Guardrails not watched, the waiting goes on: " in capsys.readouterr().out
    assert counted.count("unwatched") >= 5


def test_a_trigger_alone_rolls_nothing_back(underway: Underway, airflow: Airflow, waiting: Any) -> None:
    truth(underway, 0.2)
    with pytest.raises(TaskDeferred) as deferred:
        waiting(underway, {}).execute(CONTEXT)
    event = airflow.fire(deferred.value.trigger)
    truth(underway, 0.0)
    with pytest.raises(TaskDeferred) as again:
        waiting(underway, {}).execute_complete(CONTEXT, event)
    assert again.value.trigger.previous_seconds >= event["look"]["elapsed_seconds"]


def test_if_answer_and_look_come_at_once_the_look_wins(underway: Underway, airflow: Airflow) -> None:
    truth(underway, 0.2)
    airflow.answer_after = timedelta()
    trigger = question.QuestionTrigger(
        **watched(underway, {}).on_worker(ask(None), CONTEXT).trigger_arguments(),
        launchdarkly_conn_id="launchdarkly_default",
        ti_id=TI_ID,
        options=["Approve"],
    )

    async def both(self: Any) -> TriggerEvent:
        return TriggerEvent({"status": "look", "look": {}})

    async def answer(self: Any) -> TriggerEvent:
        return TriggerEvent(APPROVED)

    trigger._look_due = both.__get__(trigger)  # type: ignore[method-assign]
    trigger._answer = answer.__get__(trigger)  # type: ignore[method-assign]

    async def first() -> Any:
        return await anext(aiter(trigger.run()))

    assert asyncio.run(first()).payload == {"status": "look", "look": {}}


def test_a_recorded_harm_can_be_replayed(
    underway: Underway, airflow: Airflow, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__RECORD_PATH", str(tmp_path))
    truth(underway, 0.2)
    output = airflow.wait(lambda: ask(watched(underway, {})))
    (path,) = tmp_path.rglob("*.jsonl")
    assert output["ended_by"]["record"]["path"]
    entries = chain.read(path.read_text())
    assert entries[-1]["verdict"]["reason"] == "guardrail_harmed"
    assert replay(entries).agrees


@pytest.mark.parametrize("flag", ["off", "unreadable", "as it was"])
def test_a_planned_look_sees_what_became_of_the_flag_and_the_pages_show_it(
    underway: Underway,
    airflow: Airflow,
    flag: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    truth(underway, 0.0)
    airflow.answer_after = timedelta(days=1.2)
    key = f"launchdarkly_note/demo/production/{KEY}"
    before = {"kind": "watch", "experiment": KEY, "looks": ["those so far"], "flag_seen": None}
    notes: dict[tuple[str, str], Any] = {("watch", key): before}
    ti = SimpleNamespace(
        id=UUID(TI_ID),
        task_id="approve",
        map_index=-1,
        xcom_pull=lambda *, task_ids, key, map_indexes: notes.get((task_ids, key)),
        xcom_push=lambda key, value: notes.update({("approve", key): value}),
    )
    monkeypatch.setitem(CONTEXT, "ti", ti)
    if flag == "off":
        LaunchDarklyHook().turn_flag("checkout-button", on=False)
    elif flag == "unreadable":
        underway.emulator.fault("get_feature_flag", "status", status=403, times=100_000)
    assert airflow.wait(lambda: ask(watched(underway, {}, noted_by="watch"))) == APPROVED
    said = capsys.readouterr().out
    assert ("Who gets what: flag checkout-button is off: everyone gets Classic" in said) is (flag == "off")
    assert ("Who gets what: flag checkout-button could not be read (" in said) is (flag == "unreadable")
    left: dict[str, Any] = notes.get(("approve", key), {})
    if flag == "unreadable":
        assert left == {}
        return
    assert (left["kind"], left["looks"]) == ("watch", ["those so far"])
    assert left["flag_seen"]["at"][:10] == left["at"][:10]
    differs = "flag checkout-button is off: everyone gets Classic" if flag == "off" else ""
    assert left["flag_seen"]["differs"] == differs


def test_the_card_says_that_guardrails_are_watched(underway: Underway, airflow: Airflow) -> None:
    truth(underway, 0.0)
    with pytest.raises(TaskDeferred):
        ask(watched(underway, {})).execute(CONTEXT)
    assert airflow.asked["body"].startswith("The card.\n\n**Guardrails are watched while this is open**: every 1h")


def test_a_question_before_anything_runs_waits_as_airflows_own(underway: Underway, airflow: Airflow) -> None:
    with pytest.raises(BaseException) as asked:  # noqa: PT011 - Airflow's own, by its version
        ask(None).execute(CONTEXT)
    assert not isinstance(getattr(asked.value, "trigger", None), question.QuestionTrigger)


def test_a_question_that_harm_closed_lets_no_window_be_awaited(underway: Underway, airflow: Airflow) -> None:
    harm = {**verdict(underway), "verdict": "rollback", "summary": "harmed"}
    sensor = window(underway, {}, question={"chosen_options": [], "ended_by": harm})
    assert sensor.execute(CONTEXT) == {"opened": None, "ended_by": harm}


@pytest.mark.parametrize("deferrable", [True, False])
def test_what_is_watched_has_to_be_named(underway: Underway, airflow: Airflow, deferrable: bool) -> None:
    with pytest.raises(InvalidSettingError, match=r"write a mapping of policy and verdict"):
        LaunchDarklyChangeWindowSensor(
            task_id="window",
            window={"blackout": ["2026-01-01/2026-06-30"]},
            watch={"policy": {}},
            deferrable=deferrable,
        ).execute(CONTEXT)


@pytest.mark.parametrize(
    ("policy", "interval"),
    [
        ({}, timedelta(hours=1)),
        ({"harm_looks": "15m"}, timedelta(minutes=15)),
        ({"looks": "1h", "max_duration": "7d"}, timedelta(minutes=30)),
        ({"preset": "launchdarkly"}, None),
    ],
)
def test_the_interval_of_looks_for_harm(policy: dict[str, Any], interval: timedelta | None) -> None:
    found = watching_policy(Policy.from_json(policy))
    assert found.harm_looks == interval
    assert Policy.from_json(found.to_json()) == found
