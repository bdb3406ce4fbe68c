"""Evidence from LaunchDarkly's results: its own CUPED estimate, percentiles, and what limits their meaning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.emulator.transport.engine import Emulator
from support.running_experiment import ENV, FLAG, Running

Run = Callable[..., Running]
LOAD = "page-load-ms"


def change_metric(running: Running, **fields: Any) -> None:
    def change(emulated: Emulator) -> None:
        metrics = emulated.world.projects[ENV.project_key].metrics
        metrics[LOAD] = replace(metrics[LOAD], **fields)

    running.emulator.call(change)


def with_covariate(running: Running, correlation: float) -> None:
    truth = {
        "people_per_day": 2_000,
        "metrics": {LOAD: {"baseline_mean": 820, "standard_deviation": 240, "covariate_correlation": correlation}},
        "other_metrics": {"baseline_rate": 0.1},
    }

    def change(emulated: Emulator) -> None:
        emulated.world.projects[ENV.project_key].truths[FLAG] = GroundTruth.from_dict(truth)

    running.emulator.call(change)


POLICY = Policy.from_json({"guardrails": [{"metric": LOAD}]})


def test_the_card_says_that_young_units_were_judged_with_the_rest(run: Run) -> None:
    running = run()
    running.emulator.clock.advance("P1D")
    (caution,) = running.look(POLICY).verdict.cautions
    assert caution.startswith("only what has happened so far was judged on checkout-conversion, page-load-ms: ")


def test_a_verdict_without_results_has_no_caution(run: Run) -> None:
    assert run().look(POLICY).verdict.cautions == ()


def test_launchdarklys_cuped_estimate_is_judged_and_named(run: Run) -> None:
    running = run()
    with_covariate(running, 0.8)
    running.emulator.clock.advance("P14D")
    verdict = running.look(POLICY).verdict
    assert verdict.cautions[1] == (
        "LaunchDarkly's CUPED-adjusted estimate was judged on page-load-ms: its covariate removes 64 % of the variance"
    )
    (effect,) = verdict.metrics[1].comparisons
    assert effect.std_dev == pytest.approx(240 * 0.6, rel=0.03)
    assert effect.mean == pytest.approx(820, rel=0.01)


def test_an_adjusted_estimate_finds_a_smaller_harm(run: Run) -> None:
    errors = []
    for correlation in (0.0, 0.8):
        running = run()
        with_covariate(running, correlation)
        running.emulator.clock.advance("P14D")
        (effect,) = running.look(POLICY).verdict.metrics[1].comparisons
        assert effect.standard_error is not None
        errors.append(effect.standard_error)
    assert errors[1] == pytest.approx(0.6 * errors[0], rel=0.05)


def test_a_percentile_is_refused_at_the_first_poll_with_the_cure(run: Run) -> None:
    running = run()
    change_metric(running, analysis_type="percentile")
    with pytest.raises(ConfigurationError, match=r"metric 'page-load-ms' is analysed by a percentile .*SqlResults"):
        running.look(POLICY)
    assert running.look().verdict.reason == "between_looks"  # a policy that does not judge it is free to run


@pytest.mark.parametrize("setting", ["maturity", "burn_in"])
def test_a_policy_that_leaves_units_out_is_refused_with_the_cure(run: Run, setting: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"policy\.{setting} 7d cannot be kept: .*results=DataExportResults"):
        run().look(Policy.from_json({setting: "7d"}))
