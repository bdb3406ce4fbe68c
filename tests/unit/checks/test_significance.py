"""The check of significance: when it reads results, and its verdict on an iteration that ended elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from airflow_provider_launchdarkly.api import writes
from airflow_provider_launchdarkly.api.errors import (
    ConfigurationError,
    IterationNotFoundError,
    MetricNotMeasuredError,
    NotFoundError,
    ResultsUnavailableError,
)
from airflow_provider_launchdarkly.checks.planned_looks import describe_lateness
from airflow_provider_launchdarkly.checks.significance import SignificanceCheck
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Guardrail, Looks, OnData, Primary
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.decision.verdict import Kind, Reason
from airflow_provider_launchdarkly.emulator.transport.engine import Emulator
from airflow_provider_launchdarkly.evidence.source import Target
from support.running_experiment import ENV, KEY, Running, experiment

Run = Callable[..., Running]
RESULTS = "get_experiment_results"


def reads(running: Running) -> list[str]:
    return [line.operation for line in running.emulator.requests()]


def test_before_the_first_look_no_results_are_read(run: Run) -> None:
    running = run()
    look = running.look()
    assert (look.verdict.kind, look.verdict.reason) == (Kind.WAIT, Reason.BETWEEN_LOOKS)
    assert RESULTS not in reads(running)


@pytest.mark.parametrize(
    ("after", "summary"),
    [
        (timedelta(), "waiting for look 1 of 28 at 2026-01-06 09:00 UTC (in 24 h)"),
        (timedelta(hours=10), "waiting for look 1 of 28 at 2026-01-06 09:00 UTC (in 14 h)"),
        (timedelta(hours=23, minutes=15), "waiting for look 1 of 28 at 2026-01-06 09:00 UTC (in 45 min)"),
        (timedelta(days=9, hours=12), "waiting for look 10 of 28 at 2026-01-15 09:00 UTC (in 12 h)"),
    ],
)
def test_between_looks_the_line_says_when_the_next_look_is(run: Run, after: timedelta, summary: str) -> None:
    running = run()
    running.emulator.clock.advance(after)
    assert running.look().verdict.summary == summary


def test_a_wait_holds_until_the_next_look_unless_something_else_may_end_it(run: Run) -> None:
    running = run()
    running.emulator.clock.advance(timedelta(hours=10))
    looks_for_harm = Policy(guardrails=(Guardrail(metric="page-load-ms"),), harm_looks=timedelta(minutes=30))
    looks_on_data = Policy(looks=Looks(every=timedelta(days=1), on_data=OnData()))
    held = []
    for policy in (Policy(), looks_for_harm, looks_on_data):
        check = SignificanceCheck(running.target, policy, poll_interval=timedelta(minutes=5))
        held.append(running.client.run(check()).same_for)
    assert held == [timedelta(hours=14), None, None]


def test_a_look_that_is_weeks_away_is_counted_in_days(run: Run) -> None:
    policy = Policy(looks=Looks(times=(timedelta(days=7),)), max_duration=timedelta(days=14))
    assert run().look(policy).verdict.summary == "waiting for look 1 of 2 at 2026-01-12 09:00 UTC (in 7 days)"


def test_a_look_is_due_exactly_a_day_after_the_start(run: Run) -> None:
    running = run()
    running.emulator.clock.advance("P1D")
    look = running.look()
    assert look.read_results
    assert look.verdict.look == 1


def test_a_look_that_was_taken_is_not_due_again(run: Run) -> None:
    running = run()
    running.emulator.clock.advance("P1D")
    first = running.look()
    running.emulator.clock.advance("PT1H")
    again = running.look(previous=first.verdict.elapsed)
    assert not again.read_results
    assert again.verdict.reason is Reason.BETWEEN_LOOKS


def test_a_fresh_process_in_mid_interval_adds_no_look(run: Run) -> None:
    running = run()
    running.emulator.clock.advance("P9DT12H")
    assert not running.look().read_results


def test_a_process_for_each_poll_misses_no_look(run: Run) -> None:
    running = run()
    running.emulator.clock.advance("P1DT9H")
    assert not running.look(poll_minutes=5).read_results
    assert running.look(poll_minutes=8 * 60).read_results


def test_late_looks_are_taken_when_the_same_process_comes_back(run: Run) -> None:
    running = run()
    first = running.look()
    running.emulator.clock.advance("P9DT12H")
    look = running.look(previous=first.verdict.elapsed)
    assert look.read_results
    assert look.verdict.look == 9


@pytest.mark.parametrize(
    ("scenario", "kind", "reason"),
    [
        ("effect", Kind.SHIP, Reason.BETTER),
        ("no-effect", Kind.INCONCLUSIVE, Reason.FUTILE),
        ("broken-split", Kind.INVALID, Reason.MISMATCH),
        ("no-traffic", Kind.INVALID, Reason.NO_TRAFFIC),
    ],
)
def test_each_scenario_ends_in_its_verdict(run: Run, scenario: str, kind: Kind, reason: Reason) -> None:
    verdict = run(scenario).look_daily().verdict
    assert (verdict.kind, verdict.reason) == (kind, reason)


def test_restarts_and_repeated_polls_change_nothing(run: Run) -> None:
    steady = run().look_daily()
    restarted = run()
    look = restarted.look()
    while not look.ends:
        for step in ("PT7H", "PT9H", "PT8H"):
            restarted.emulator.clock.advance(step)
            look = restarted.look()
            restarted.look()
    assert look.verdict.to_json() == steady.verdict.to_json()


def test_the_verdict_is_plain_json_with_the_keys_of_its_target(run: Run) -> None:
    running = run()
    verdict = running.look_daily().to_json()
    assert json.loads(json.dumps(verdict, allow_nan=False)) == verdict
    assert verdict["experiment_key"] == KEY
    assert verdict["iteration_id"] == running.target.iteration_id
    assert (verdict["project_key"], verdict["environment_key"]) == ENV
    assert verdict["treatment"] == "Bold"


def test_a_stopped_iteration_is_invalid_at_once(run: Run) -> None:
    running = run()
    stop = writes.stop_iteration(ENV, KEY, running.target.iteration_id, winner="baseline", reason="by hand")
    running.client.run(stop)
    verdict = running.look().verdict
    assert (verdict.kind, verdict.reason) == (Kind.INVALID, Reason.ITERATION_STOPPED)
    assert "'Classic'" in verdict.summary


def test_a_replaced_iteration_is_invalid_at_once_and_the_other_is_named(run: Run) -> None:
    running = run()
    design = experiment(running.emulator, hypothesis="Another one.").iteration
    other = running.client.run(writes.create_iteration(ENV, KEY, design)).iteration.id
    running.client.run(writes.start_iteration(ENV, KEY, other, justification="somebody wanted another one"))
    verdict = running.look().verdict
    assert (verdict.kind, verdict.reason) == (Kind.INVALID, Reason.ITERATION_REPLACED)
    assert other in verdict.summary


def test_an_iteration_that_is_not_started_is_waited_for(run: Run) -> None:
    verdict = run(start=False).look().verdict
    assert (verdict.kind, verdict.reason) == (Kind.WAIT, Reason.NO_DATA)


def test_an_unknown_iteration_is_an_error_that_names_the_known_ones(run: Run) -> None:
    running = run()
    known = running.target.iteration_id
    running.target = Target(ENV, KEY, "no-such-iteration")
    with pytest.raises(IterationNotFoundError, match=known):
        running.look()


def test_an_unknown_experiment_is_an_error(run: Run) -> None:
    running = run()
    running.target = Target(ENV, "no-such-experiment", "i")
    with pytest.raises(NotFoundError, match="no-such-experiment"):
        running.look()


@pytest.mark.parametrize("days", [1, 28, 40])
def test_results_that_are_gone_are_an_error_and_never_not_significant_yet(run: Run, days: int) -> None:
    running = run()
    running.emulator.switch(results="gone")
    running.emulator.clock.advance(timedelta(days=days))
    with pytest.raises(ResultsUnavailableError, match=r"18\.0\.0"):
        running.look()


def test_a_metric_that_the_iteration_does_not_measure_is_an_error_that_names_it(run: Run) -> None:
    running = run()
    running.emulator.clock.advance("P1D")
    policy = Policy(guardrails=(Guardrail(metric="revenue-per-user"),))
    with pytest.raises(MetricNotMeasuredError, match="revenue-per-user"):
        running.look(policy)


def test_a_guardrail_is_read_and_judged(run: Run) -> None:
    running = run()
    running.emulator.clock.advance("P1D")
    verdict = running.look(Policy(guardrails=(Guardrail(metric="page-load-ms"),))).to_json()
    assert [(metric["metric"], metric["direction"]) for metric in verdict["metrics"]] == [
        ("checkout-conversion", "higher"),
        ("page-load-ms", "lower"),
    ]


def test_a_primary_funnel_is_measured_by_its_last_step(run: Run) -> None:
    running = run(
        metrics=[{"key": "signup-funnel", "isGroup": True}],
        primarySingleMetricKey=None,
        primaryFunnelKey="signup-funnel",
    )
    running.emulator.clock.advance("P1D")
    running.look()
    assert "get_experiment_results_for_metric_group" in reads(running)
    assert any(line.path.endswith("/signup-confirmed") for line in running.emulator.requests())


def test_the_policy_may_name_another_primary_metric(run: Run) -> None:
    running = run()
    running.emulator.clock.advance("P1D")
    verdict = running.look(Policy(primary=Primary(metric="page-load-ms"))).to_json()
    assert [metric["metric"] for metric in verdict["metrics"]] == ["page-load-ms"]


def test_a_bandit_is_refused_with_the_reason(run: Run) -> None:
    running = run(type="mab")
    with pytest.raises(ConfigurationError, match="multi-armed bandit"):
        running.look()


def test_a_holdout_is_refused_with_the_reason(run: Run) -> None:
    running = run()

    def make_holdout(emulated: Emulator) -> None:
        experiments = emulated.world.projects["demo"].experiments
        experiments[ENV.environment_key, KEY] = replace(experiments[ENV.environment_key, KEY], type="holdout")

    running.emulator.call(make_holdout)
    with pytest.raises(ConfigurationError, match=f"experiment '{KEY}' is a holdout"):
        running.look()


def test_an_experiment_that_is_only_exported_is_refused_with_the_reason(run: Run) -> None:
    running = run(methodology="export_only")
    with pytest.raises(ConfigurationError, match="export_only"):
        running.look()


def test_the_workers_clock_does_not_matter(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    running = run()
    running.emulator.clock.advance("P1D")
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert running.look().verdict.look == 1


def test_looks_may_be_spaced_by_hours(run: Run) -> None:
    running = run()
    running.emulator.clock.advance("PT12H")
    look = running.look(Policy(looks=Looks(every=timedelta(hours=12)), max_duration=timedelta(days=7)))
    assert (look.verdict.look, look.verdict.looks) == (1, 14)


@pytest.mark.parametrize("role", ["guardrails", "signals"])
def test_the_primary_metric_named_again_is_refused_at_the_first_poll(run: Run, role: str) -> None:
    running = run()
    with pytest.raises(ConfigurationError, match=rf"policy\.{role}\[0\]\.metric: metric .* decides the experiment"):
        running.look(Policy.model_validate({role: [{"metric": "checkout-conversion"}]}))
    assert RESULTS not in reads(running)


@pytest.mark.parametrize(
    ("policy", "elapsed", "previous", "lateness"),
    [
        (Policy(), 301, 0, "look 28 of 28 came 273 days after its time, and 27 before it were missed"),
        (Policy(), 301, None, "look 28 of 28 came 273 days after its time"),
        (Policy(looks=Looks(only_at_end=True)), 301, 0, "look 1 of 1 came 273 days after its time"),
        (Policy(), 2.1, 0.5, "look 2 of 28 came 2 h after its time, and 1 before it was missed"),
        (Policy(), 1.9, 0.5, ""),
        (Policy(), 1.1, None, ""),
        (Policy(), 28.9, 27.5, ""),
        (Policy(), 0.5, 0, ""),
    ],
)
def test_a_look_that_comes_late_is_told(policy: Policy, elapsed: float, previous: float | None, lateness: str) -> None:
    before = None if previous is None else timedelta(days=previous)
    told = describe_lateness(schedule_looks(policy), timedelta(days=elapsed), before, timedelta(minutes=10))
    assert told == lateness


def test_a_poll_after_the_plan_warns_and_says_so_in_the_verdict(run: Run) -> None:
    running = run()
    check = SignificanceCheck(running.target, Policy(), previous=timedelta(), poll_interval=timedelta(minutes=5))
    running.emulator.clock.advance("P301D")
    found = running.client.run(check())
    late = "look 28 of 28 came 273 days after its time, and 27 before it were missed"
    assert found.output["summary"].endswith(f"({late})")
    assert found.summary == found.output["summary"]
    assert found.warning is not None
    assert found.warning.startswith(f"{late}: poll more often")


def test_a_look_in_time_warns_of_nothing(run: Run) -> None:
    running = run()
    check = SignificanceCheck(running.target, Policy(), previous=timedelta(), poll_interval=timedelta(minutes=5))
    running.emulator.clock.advance("P1D")
    found = running.client.run(check())
    assert (found.is_news, found.warning) == (True, None)
