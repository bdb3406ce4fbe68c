"""Twelve experiments of one seed: the results endpoint, the exported rows and LaunchDarkly's sums say the same."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly import DataExportResults, Policy, WarehouseNativeResults
from airflow_provider_launchdarkly.api.endpoints import get_experiment
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
from airflow_provider_launchdarkly.decision.evidence import Evidence, Measurement
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy_parts import Guardrail
from airflow_provider_launchdarkly.decision.verdict import Verdict
from airflow_provider_launchdarkly.evidence.launchdarkly_results import evidence_from_results
from airflow_provider_launchdarkly.evidence.source import LookContext, Source, Target
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.sensors._sources import export_source, native_source
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.emulator_caller import Caller
from support.surroundings import CONNECTION, connection_json
from support.warehouse import CONNECTION as WAREHOUSE

SIX_DAYS, CUPED = timedelta(days=6), timedelta(days=28)
ENV = EnvironmentRef("demo", "production")
NATIVE = WarehouseNativeResults(conn_id="warehouse", schema="main")
EXPORT = DataExportResults(conn_id="warehouse", schema="main")
METRICS: dict[str, dict[str, Any]] = {
    "bought": {},
    "orders": {"unit_aggregation": "sum"},
    "seconds": {"numeric": True, "missing_counts_as_zero": False, "better": "lower"},
    "spent": {"numeric": True, "unit_aggregation": "sum"},
    "visits": {"numeric": True, "missing_counts_as_zero": False, "unit_aggregation": "sum"},
    "opened": {},
    "sent": {},
    "confirmed": {},
}
FUNNEL = ("opened", "sent", "confirmed")


@dataclass(frozen=True)
class Simulated:
    """An experiment and the truth about its people."""

    metrics: tuple[str, ...]
    truth: dict[str, Any]
    ending: str
    shares: tuple[int, ...] = (50, 50)
    split: dict[str, float] | None = None


def rate(of: float, **more: Any) -> dict[str, Any]:
    effects = {name: {"relative": more.pop(name)} for name in "bc" if name in more}
    return {"baseline_rate": of, "effects": effects, **more}


def mean(of: float, deviation: float, **more: Any) -> dict[str, Any]:
    effects = {name: {"relative": more.pop(name)} for name in "bc" if name in more}
    return {"baseline_mean": of, "standard_deviation": deviation, "effects": effects, **more}


EXPERIMENTS = {
    "binary-better": Simulated(("bought",), {"bought": rate(0.2, b=0.9)}, "ship"),
    "binary-same": Simulated(("bought",), {"bought": rate(0.2)}, "wait"),
    "binary-worse": Simulated(("bought",), {"bought": rate(0.4, b=-0.8)}, "rollback"),
    "counts": Simulated(("orders",), {"orders": rate(0.3, b=0.8)}, "ship"),
    "mean-better": Simulated(("seconds",), {"seconds": mean(820, 240, b=-0.2)}, "ship"),
    "mean-of-late-events": Simulated(("seconds",), {"seconds": mean(820, 240, late_events={1: 0.3})}, "wait"),
    "sum": Simulated(("spent",), {"spent": mean(42, 18, event_share=0.2, b=0.05)}, "inconclusive"),
    "covariate": Simulated(("visits",), {"visits": mean(10, 4, covariate_correlation=0.7, b=0.3)}, "ship"),
    "funnel": Simulated(
        ("signup",),
        {
            "opened": rate(0.5, late_events={1: 0.2}),
            "sent": rate(0.6, after="opened"),
            "confirmed": rate(0.5, after="sent", b=0.9),
        },
        "ship",
    ),
    "three-rates": Simulated(("bought",), {"bought": rate(0.3, b=0.1, c=0.9)}, "ship", shares=(40, 35, 25)),
    "two-metrics": Simulated(
        ("bought", "seconds"), {"bought": rate(0.2, b=0.9), "seconds": mean(820, 240, b=0.5)}, "rollback"
    ),
    "broken-split": Simulated(("bought",), {"bought": rate(0.2, b=0.9)}, "invalid", split={"a": 0.7, "b": 0.3}),
}


def world() -> dict[str, Any]:
    variations = [{"value": name, "name": name} for name in "abc"]
    project: dict[str, Any] = {
        "environments": {"production": {}},
        "flags": {key: {"variations": variations, "on_in": ["production"]} for key in EXPERIMENTS},
        "metrics": METRICS,
        "metric_groups": {"signup": {"kind": "funnel", "metrics": {key: {} for key in FUNNEL}}},
        "truths": {
            key: {
                "people_per_day": 300,
                "metrics": each.truth,
                **({} if each.split is None else {"split": each.split}),
            }
            for key, each in EXPERIMENTS.items()
        },
    }
    return {"members": {"ada@example.com": {}}, "projects": {"demo": project}}


def start(api: Caller, key: str, simulated: Simulated) -> None:
    arms = [
        {
            "name": variation["name"],
            "baseline": variation["name"] == "a",
            "allocationPercent": str(share),
            "parameters": [{"flagKey": key, "variationId": variation["_id"]}],
        }
        for variation, share in zip(api.flag(key)["variations"], simulated.shares, strict=False)
    ]
    iteration = api.iteration(key, treatments=arms)
    group = simulated.metrics[0] == "signup"
    iteration["metrics"] = [{"key": metric, "isGroup": group} for metric in simulated.metrics]
    del iteration["primarySingleMetricKey"]
    iteration["primaryFunnelKey" if group else "primarySingleMetricKey"] = simulated.metrics[0]
    api.create(key, iteration=iteration)
    assert api.start(key).status_code == 200


@pytest.fixture(scope="module")
def six_days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaunchDarklyHook]:
    """All experiments six days after their start, and the connections to LaunchDarkly and to the rows."""
    file = tmp_path_factory.mktemp("rows") / "warehouse.db"
    with (
        EmulatorServer(world=world(), warehouse=f"sqlite:///{file}") as emulator,
        closing((api := Caller(emulator)).http),
        pytest.MonkeyPatch.context() as patch,
    ):
        for key, simulated in EXPERIMENTS.items():
            start(api, key, simulated)
        emulator.clock.advance("P6D")
        patch.setenv(CONNECTION, connection_json(emulator))
        patch.setenv(WAREHOUSE, json.dumps({"conn_type": "sqlite", "host": str(file)}))
        yield LaunchDarklyHook()


def look(hook: LaunchDarklyHook, key: str, source: Source, policy: Policy) -> Evidence:
    """Return what a source finds in the look that is due after six days."""
    iteration = hook.run(get_experiment(ENV, key, expand=ITERATIONS)).latest_started
    assert iteration is not None
    assert iteration.started_at is not None
    due = iteration.started_at + SIX_DAYS
    return hook.run(source(LookContext(Target(ENV, key, iteration.id), iteration, iteration.started_at, due), policy))


def sample_deviation(metric: str, shown: Measurement) -> float:
    """The sample's deviation. Of a rate the endpoint gives the root of p (1 - p), which is that of the population."""
    assert shown.std_dev is not None
    rate = not METRICS.get(metric, {}).get("numeric")
    return shown.std_dev * (math.sqrt(shown.units / (shown.units - 1)) if rate else 1.0)


def policy_of(simulated: Simulated) -> Policy:
    guardrails = tuple(Guardrail(metric=metric) for metric in simulated.metrics[1:])
    return Policy(min_duration=timedelta(days=3), max_duration=timedelta(days=14), guardrails=guardrails)


def expect_the_same(metrics: tuple[str, ...], shown: Evidence, found: Evidence, policy: Policy) -> None:
    """One source's evidence is the other's, of which a rate's deviation is the population's, and so is its verdict."""
    assert found.treatments == shown.treatments
    assert [metric.key for metric in found.metrics] == list(metrics)
    for one, other in zip(shown.metrics, found.metrics, strict=True):
        assert one.direction == other.direction
        for should, does in zip(one.measurements, other.measurements, strict=True):
            assert (does.treatment_id, does.units) == (should.treatment_id, should.units)
            assert does.units > 100
            assert does.mean == pytest.approx(should.mean, rel=1e-9)
            assert does.std_dev == pytest.approx(sample_deviation(one.key, should), rel=1e-9)
    assert essence(decide(policy, found)) == essence(decide(policy, shown))


def essence(verdict: Verdict) -> tuple[object, ...]:
    return verdict.kind, verdict.reason, verdict.treatment_id, verdict.harmed, verdict.look, verdict.next_look


@pytest.mark.parametrize("key", [key for key in EXPERIMENTS if key != "covariate"])
def test_three_sources_say_the_same(six_days: LaunchDarklyHook, key: str) -> None:
    simulated = EXPERIMENTS[key]
    policy = policy_of(simulated)
    shown = look(six_days, key, evidence_from_results, policy)
    assert decide(policy, shown).kind.value == simulated.ending
    for source in (export_source(EXPORT), native_source(NATIVE)):
        expect_the_same(simulated.metrics, shown, look(six_days, key, source, policy), policy)


def test_the_covariate_of_the_endpoint_is_that_of_the_rows(six_days: LaunchDarklyHook) -> None:
    simulated = EXPERIMENTS["covariate"]
    policy = policy_of(simulated)
    shown = look(six_days, "covariate", evidence_from_results, policy)
    assert decide(policy, shown).kind.value == simulated.ending
    adjusted = look(six_days, "covariate", export_source(EXPORT.model_copy(update={"cuped": CUPED})), policy)
    expect_the_same(simulated.metrics, shown, adjusted, policy)
    # LaunchDarkly's sums have no covariate: they are those of the plain rows.
    plain = look(six_days, "covariate", export_source(EXPORT), policy)
    expect_the_same(simulated.metrics, plain, look(six_days, "covariate", native_source(NATIVE), policy), policy)
    for one, other in zip(plain.metrics[0].measurements, adjusted.metrics[0].measurements, strict=True):
        assert one.std_dev is not None
        assert other.std_dev == pytest.approx(one.std_dev * math.sqrt(1 - 0.7**2), rel=0.1)
