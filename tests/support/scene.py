"""A project in which an experiment runs, for tests of calls, operators, sensors and triggers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.models import ExperimentPost, FlagPost, HoldoutPost, LayerPost
from airflow_provider_launchdarkly.operators._design import IterationDesign

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.testing import EmulatorServer

TREATMENTS = [
    {"variation": "Classic", "allocation_percent": 50, "baseline": True},
    {"variation": "Bold", "allocation_percent": 50},
]
LAYER = LayerPost(key="checkout", name="Checkout", description="One")


class Scene:
    """A project in which the experiment `bold` runs, with a metric and a funnel measured, and half a day gone."""

    def __init__(self, hook: LaunchDarklyHook, emulator: EmulatorServer) -> None:
        self.hook = hook
        self.emulator = emulator
        flag = hook.get_flag("checkout-button")
        self.classic, self.bold = (variation.id for variation in flag.variations)
        self.iteration = self.design().resolve(flag)
        self.post = ExperimentPost.checked(
            {"key": "bold", "name": "Bold", "methodology": "bayesian", "iteration": self.iteration}
        )
        self.iteration_id = hook.create_experiment(self.post).iteration.id
        hook.start_iteration("bold", self.iteration_id, turn_flag_on=True)
        emulator.clock.advance("PT36H")

    @staticmethod
    def design(**changes: Any) -> IterationDesign:
        fields: dict[str, Any] = {
            "flag_key": "checkout-button",
            "hypothesis": "Bold is better.",
            "treatments": TREATMENTS,
            "primary_metric": "checkout-conversion",
            "metrics": [{"key": "signup-funnel", "is_group": True}],
            "attributes": ["country"],
        }
        return IterationDesign(**(fields | changes))

    def stop(self) -> None:
        self.hook.stop_iteration("bold", self.iteration_id, winner="baseline", reason="enough")

    def layer(self) -> str:
        return self.hook.create_layer(LAYER).value.key

    def holdout(self) -> Any:
        return self.hook.create_holdout(self.holdout_post()).value

    def holdout_post(self) -> HoldoutPost:
        self.hook.create_flag(FlagPost(key="holdout-q1", name="Holdout Q1", purpose="holdout"))
        return HoldoutPost.checked(
            {
                "key": "q1",
                "name": "Q1",
                "randomization_unit": "user",
                "attributes": ["country"],
                "holdout_amount": "10",
                "primary_metric_key": "checkout-conversion",
                "metrics": [{"key": "checkout-conversion"}],
                "prerequisite_flag_key": "holdout-q1",
                "maintainer_id": self.hook.get_caller_identity().member_id,
            }
        )
