"""What the tests of waves share: a world with an environment for each target, and the rollout."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from airflow_provider_launchdarkly.emulator.state.scenarios import scenario_data

TARGETS = ("berlin", "paris", "rome", "oslo", "lima", "cairo")
ROLLOUT: dict[str, Any] = {
    "experiment": {
        "key": "button",
        "flag": "checkout-button",
        "hypothesis": "Bold is better.",
        "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
        "primary_metric": "checkout-conversion",
    },
    "stages": [{"allocation": 50, "gate": "decision"}],
    "policy": {"min_duration": "2d", "max_duration": "7d"},
    "turn_flag_on": True,
    "targets": [{"key": key, "environment": key} for key in TARGETS],
    "waves": {"order": [1, "34%", "rest"], "max_under_way": 2, "max_failed": 1},
}


def an_environment_for_each_target() -> dict[str, Any]:
    """Return the default world with an environment for each target."""
    data = deepcopy(scenario_data("effect"))
    data["projects"]["demo"]["environments"].update({key: {"name": key.title()} for key in TARGETS})
    return data
