"""The rows of docs/coverage.md about environment releases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.models import ReleasePost
from support.coverage_row import IN_PROJECT, Case, Row

if TYPE_CHECKING:
    from support.scene import Scene

_RELEASES = f"{IN_PROJECT}/flags/{{flagKey}}/environments/{{environmentKey}}/releases"
_FLAG = "checkout-button"


def release_post(scene: Scene) -> ReleasePost:
    """Return a release of Bold to everybody, in one step."""
    clause = {"contextKind": "user", "attribute": "kind", "op": "in", "values": ["user"]}
    return ReleasePost.checked(
        {
            "originalVariationId": scene.classic,
            "targetVariationId": scene.bold,
            "randomizationUnit": "user",
            "phases": [{"clauses": [clause], "steps": [{"allocation": 10_000, "durationMillis": 3_600_000}]}],
        }
    )


def _started(scene: Scene) -> Any:
    return scene.hook.start_release(_FLAG, release_post(scene)).release


RELEASES = (
    Row(
        "environment releases (beta): list, get (`expand=metrics`), start, stop",
        (
            Case(
                "list_releases",
                f"GET {_RELEASES}",
                lambda call, scene: call(_FLAG) if _started(scene) else None,
                lambda found: [release.status for release in found] == ["in_progress"],
            ),
            Case(
                "get_release",
                f"GET {_RELEASES}/{{releaseId}}",
                lambda call, scene: call(_FLAG, _started(scene).id, expand=("metrics",)),
                lambda release: release.kind == "progressive",
            ),
            Case(
                "start_release",
                f"POST {_RELEASES}",
                lambda call, scene: call(_FLAG, release_post(scene)),
                lambda started: not started.adopted and started.release.status == "in_progress",
            ),
            Case(
                "stop_release",
                f"PUT {_RELEASES}/{{releaseId}}/stop",
                lambda call, scene: call(_FLAG, _started(scene).id, "roll_forward_all_phases"),
                lambda stopped: stopped.release.completed and not stopped.already_ended,
            ),
        ),
        (
            "LaunchDarklyStartReleaseOperator",
            "LaunchDarklyStopReleaseOperator",
            "LaunchDarklyGetReleaseOperator",
            "LaunchDarklyReleaseSensor",
        ),
    ),
)
