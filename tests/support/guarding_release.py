"""A release of another flag than the experiment's, which guards the experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api import writes
from airflow_provider_launchdarkly.api.models import FlagPost, ReleasePost
from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from support.running_experiment import ENV

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.testing import EmulatorServer

OTHER, METRIC, SILENT = "search-backend", "checkout-conversion", "search-click-through"
CLAUSE = {"contextKind": "user", "attribute": "kind", "op": "in", "values": ["user"]}


class OtherFlag:
    """A flag that is on, with the variations Old and New.

    Args:
        run: Runs a procedure: of a client, or of the hook.
        emulator: The emulator.
    """

    def __init__(self, run: Callable[[Any], Any], emulator: EmulatorServer) -> None:
        self._run, self._emulator = run, emulator
        variations = [{"value": "old", "name": "Old"}, {"value": "new", "name": "New"}]
        post = FlagPost.checked({"key": OTHER, "name": OTHER, "variations": variations})
        run(writes.create_flag(ENV.project_key, post))
        run(writes.turn_flag(ENV, OTHER, on=True))

    def release(self, effect: float, *metrics: str, days: int = 20) -> str:
        """Start a release from Old to New, whose first metric changes by the effect; return its id."""
        rates = {"baseline_rate": 0.2, "effects": {"New": {"relative": effect}}}
        truth = GroundTruth.from_dict({"people_per_day": 5_000, "metrics": {METRIC: rates}})
        self._emulator.call(lambda it: it.world.projects["demo"].truths.update({OTHER: truth}))
        old, new = self._emulator.call(
            lambda it: [variation.id for variation in it.world.projects["demo"].flags[OTHER].variations]
        )
        post = {
            "originalVariationId": old,
            "targetVariationId": new,
            "randomizationUnit": "user",
            "phases": [{"clauses": [CLAUSE], "steps": [{"allocation": 50_000, "durationMillis": days * 86_400_000}]}],
            "metrics": [{"metricKey": key, "autoRollback": True} for key in metrics],
            "bypassHealthChecks": ["metric_events_any", "metric_events_with_context"],
        }
        found: str = self._run(writes.start_release(ENV, OTHER, ReleasePost.checked(post))).release.id
        return found
