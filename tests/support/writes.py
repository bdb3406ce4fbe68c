"""Every operator that writes, each where its write makes sense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.writes.flags import Serving
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.operators.experiments import (
    LaunchDarklyArchiveExperimentOperator,
    LaunchDarklyCreateExperimentOperator,
    LaunchDarklyRestoreExperimentOperator,
    LaunchDarklyUpdateExperimentOperator,
)
from airflow_provider_launchdarkly.operators.flags import LaunchDarklySetFlagOperator
from airflow_provider_launchdarkly.operators.iterations import (
    LaunchDarklyCreateIterationOperator,
    LaunchDarklySaveAndStartIterationOperator,
    LaunchDarklyStartIterationOperator,
    LaunchDarklyStopIterationOperator,
)
from airflow_provider_launchdarkly.operators.projects import LaunchDarklyUpdateExperimentationSettingsOperator
from airflow_provider_launchdarkly.operators.releases import (
    LaunchDarklyStartReleaseOperator,
    LaunchDarklyStopReleaseOperator,
)
from airflow_provider_launchdarkly.operators.retirement import LaunchDarklyRetireFlagOperator
from support.coverage_releases import release_post
from support.scene import TREATMENTS, Scene

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.models import Resolution

DESIGN: dict[str, Any] = {
    "experiment_key": "bold",
    "flag_key": "checkout-button",
    "hypothesis": "Bold is better.",
    "treatments": [{**TREATMENTS[0], "allocation_percent": 75}, {**TREATMENTS[1], "allocation_percent": 25}],
    "primary_metric": "checkout-conversion",
}


@dataclass(frozen=True)
class Write:
    """An operator that writes.

    Attributes:
        prepare: Brings the scene, in which `bold` runs, where the write makes sense; returns the operator's fields.
        operator: The class.
        requests: The calls that write, by the emulator's names; each writes once.
    """

    prepare: Callable[[Scene], dict[str, Any]]
    operator: Any
    requests: tuple[str, ...]


def _new(_scene: Scene) -> dict[str, Any]:
    return DESIGN | {"experiment_key": "second", "name": "Second"}


def _post(scene: Scene) -> dict[str, Any]:
    return DESIGN | {"method": "post"}


def _second_draft(scene: Scene) -> dict[str, Any]:
    scene.hook.create_experiment(scene.post.model_copy(update={"key": "second"}))
    return DESIGN | {"experiment_key": "second", "method": "update_draft", "metrics": [], "attributes": ["country"]}


def _start(scene: Scene) -> dict[str, Any]:
    scene.stop()
    draft = scene.hook.create_iteration("bold", scene.iteration).iteration.id
    scene.hook.turn_flag("checkout-button", on=True)
    return {"experiment_key": "bold", "iteration_id": draft}


def _archive(scene: Scene) -> dict[str, Any]:
    scene.stop()
    return {"experiment_key": "bold"}


def _restore(scene: Scene) -> dict[str, Any]:
    scene.stop()
    scene.hook.archive_experiment("bold")
    return {"experiment_key": "bold"}


def _retire(scene: Scene) -> dict[str, Any]:
    scene.hook.stop_iteration("bold", scene.iteration_id, winner="Bold", reason="better")
    test = LaunchDarklyHook(environment_key="test")
    test.serve("checkout-button", Serving(variation_id=scene.bold))
    test.turn_flag("checkout-button", on=True)
    scene.emulator.clock.advance("P40D")
    return {"flag_key": "checkout-button"}


def _running(**fields: Any) -> Callable[[Scene], dict[str, Any]]:
    return lambda scene: {"experiment_key": "bold", "iteration_id": scene.iteration_id, **fields}


RELEASE: dict[str, Any] = {
    "flag_key": "checkout-button",
    "original": "Classic",
    "target": "Bold",
    "phases": [{"steps": [{"percent": 10, "duration": "1d"}, {"percent": 50, "duration": "1d"}]}],
    "guardrails": ["checkout-conversion"],
}
BACK: Resolution = "roll_back_all_phases_and_remove_pending_phases"


def _release_on_rule(scene: Scene) -> dict[str, Any]:
    begun = scene.hook.start_release("checkout-button", release_post(scene)).release
    scene.hook.stop_release("checkout-button", begun.id, BACK)
    scene.emulator.clock.advance("P1D")
    return RELEASE | {"phases": [{"rule_id": begun.phases[0].rule_id, "steps": RELEASE["phases"][0]["steps"]}]}


def _active_release(scene: Scene) -> dict[str, Any]:
    begun = scene.hook.start_release("checkout-button", release_post(scene)).release
    return {"flag_key": "checkout-button", "release_id": begun.id, "resolution": BACK}


WRITES = {
    "create experiment": Write(_new, LaunchDarklyCreateExperimentOperator, ("create_experiment",)),
    "post iteration": Write(_post, LaunchDarklyCreateIterationOperator, ("create_iteration",)),
    "update draft": Write(_second_draft, LaunchDarklyCreateIterationOperator, ("patch_experiment",)),
    "save and start design": Write(
        lambda scene: DESIGN | {"method": "save_and_start", "metrics": [{"key": "signup-funnel", "is_group": True}]},
        LaunchDarklyCreateIterationOperator,
        ("patch_experiment",),
    ),
    "start": Write(_start, LaunchDarklyStartIterationOperator, ("patch_experiment",)),
    "stop": Write(_running(winner="Bold"), LaunchDarklyStopIterationOperator, ("patch_experiment",)),
    "save and start": Write(
        _running(changes={"hypothesis": "Bolder."}), LaunchDarklySaveAndStartIterationOperator, ("patch_experiment",)
    ),
    "update": Write(
        lambda scene: {"experiment_key": "bold", "changes": {"name": "Bolder"}},
        LaunchDarklyUpdateExperimentOperator,
        ("patch_experiment",),
    ),
    "archive": Write(_archive, LaunchDarklyArchiveExperimentOperator, ("patch_experiment",)),
    "restore": Write(_restore, LaunchDarklyRestoreExperimentOperator, ("patch_experiment",)),
    "settings": Write(
        lambda scene: {"randomization_units": [{"randomization_unit": "organization", "default": True}]},
        LaunchDarklyUpdateExperimentationSettingsOperator,
        ("put_experimentation_settings",),
    ),
    "retire": Write(_retire, LaunchDarklyRetireFlagOperator, ("patch_experiment", "patch_feature_flag")),
    "start release": Write(lambda scene: RELEASE, LaunchDarklyStartReleaseOperator, ("start_environment_release",)),
    "start release on a rule": Write(
        _release_on_rule, LaunchDarklyStartReleaseOperator, ("start_environment_release",)
    ),
    "stop release": Write(_active_release, LaunchDarklyStopReleaseOperator, ("stop_environment_release",)),
    "set flag": Write(
        lambda scene: {"flag_key": "pricing-page", "variation": True},
        LaunchDarklySetFlagOperator,
        ("patch_feature_flag",),
    ),
}


def _demanding(prepare: Callable[[Scene], dict[str, Any]]) -> Callable[[Scene], dict[str, Any]]:
    """Let each change of a flag need an approval from here on."""

    def prepared(scene: Scene) -> dict[str, Any]:
        fields = prepare(scene)
        scene.emulator.switch(flag_approvals="everywhere")
        return fields | {"reviewers": ["grace@example.com"]}

    return prepared


def _off(scene: Scene) -> dict[str, Any]:
    fields = _start(scene)
    scene.hook.turn_flag("checkout-button", on=False)
    return fields | {"turn_flag_on": True}


def _releasable(scene: Scene) -> dict[str, Any]:
    scene.hook.turn_flag("checkout-button", on=True)
    return RELEASE


# Writes that wait for an approval, which somebody gives while they wait; the last one is a person's.
APPROVED = {
    "set flag with an approval": Write(
        _demanding(lambda scene: {"flag_key": "pricing-page", "variation": True, "on": False}),
        LaunchDarklySetFlagOperator,
        ("post_approval_request_for_flag", "post_approval_request_apply_for_flag"),
    ),
    "start on a flag with an approval": Write(
        _demanding(_off),
        LaunchDarklyStartIterationOperator,
        ("post_approval_request_for_flag", "post_approval_request_apply_for_flag", "patch_experiment"),
    ),
    "start release with an approval": Write(_demanding(_releasable), LaunchDarklyStartReleaseOperator, ()),
}
