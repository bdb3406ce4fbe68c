"""An experiment under way in an emulator whose clock the tests turn, and looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow_provider_launchdarkly.api.endpoints import EnvironmentRef
from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
from airflow_provider_launchdarkly.api.models import ExperimentPost
from airflow_provider_launchdarkly.checks.significance import check_significance
from airflow_provider_launchdarkly.checks.significance_result import SignificanceResult
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.evidence.source import Target
from airflow_provider_launchdarkly.testing import EmulatorServer

ENV = EnvironmentRef("demo", "production")
FLAG = "checkout-button"
KEY = "bold-checkout-button"


@dataclass
class Running:
    """A started experiment, and the means to look at it as the sensor does."""

    emulator: EmulatorServer
    client: LaunchDarklyClient
    target: Target

    def look(
        self, policy: Policy | None = None, previous: timedelta | None = None, poll_minutes: float = 5
    ) -> SignificanceResult:
        procedure = check_significance(
            self.target, policy or Policy(), previous=previous, poll_interval=timedelta(minutes=poll_minutes)
        )
        return self.client.run(procedure)

    def look_daily(self, policy: Policy | None = None, days: int = 28) -> SignificanceResult:
        """Look every day until a verdict ends it."""
        look = self.look(policy)
        for _ in range(days):
            if look.ends:
                break
            self.emulator.clock.advance("P1D")
            look = self.look(policy, previous=look.verdict.elapsed)
        return look


def experiment(emulator: EmulatorServer, **changes: Any) -> ExperimentPost:
    """An experiment on the checkout button, with changes to its iteration."""
    flag = emulator.call(lambda running: running.world.projects["demo"].flags[FLAG])
    ids = [variation.id for variation in flag.variations]
    iteration = {
        "hypothesis": "Bold is better.",
        "metrics": [{"key": "checkout-conversion"}, {"key": "page-load-ms"}],
        "primarySingleMetricKey": "checkout-conversion",
        "treatments": [
            {
                "name": name,
                "baseline": number == 0,
                "allocationPercent": "50",
                "parameters": [{"flagKey": FLAG, "variationId": ids[number]}],
            }
            for number, name in enumerate(("Classic", "Bold"))
        ],
        "flags": {FLAG: {"ruleId": "fallthrough"}},
    }
    top = {"key": KEY, "name": KEY, "methodology": "bayesian"}
    for field, value in changes.items():
        (top if field in {"methodology", "type"} else iteration)[field] = value
    return ExperimentPost.checked({**top, "iteration": iteration})
