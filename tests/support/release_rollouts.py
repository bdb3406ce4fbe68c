"""What the tests of releases through environments share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.rollout.release_promotion import ReleaseEnvironment
from airflow_provider_launchdarkly.rollout.release_spec import FlagRelease, ReleaseApproval, ReleaseRollout

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.testing import EmulatorServer

MODELS = (ReleaseRollout, FlagRelease, ReleaseApproval, ReleaseEnvironment)
FLAG = "checkout-button"
RELEASE: dict[str, Any] = {
    "release": {
        "flag": FLAG,
        "original": "Classic",
        "target": "Bold",
        "steps": [{"percent": 10, "duration": "1d"}, {"percent": 50, "duration": "1d"}],
        "kind": "progressive",
    },
    "turn_flag_on": True,
    "environments": ["test", "staging", "production"],
}
GUARDED: dict[str, Any] = {
    **RELEASE,
    "release": {
        **RELEASE["release"],
        "kind": "guarded",
        "metrics": [{"metric": "checkout-conversion", "auto_rollback": False}],
    },
}


def started_in(emulator: EmulatorServer) -> list[str]:
    """Return the environment of each release that has started, in their order."""
    return [effect["environment"] for effect in emulator.effects("release.started")]
