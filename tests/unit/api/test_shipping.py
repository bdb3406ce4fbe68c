"""A stop and the release in its place: a kill between the two is mended, and nothing starts on a surprise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_launchdarkly.api.endpoints import patch_flag
from airflow_provider_launchdarkly.api.errors import (
    ConfigurationError,
    FlagOffError,
    GuardingDeniedError,
    HealthChecksFailedError,
    IterationStoppedError,
    LaunchDarklyError,
    PermissionDeniedError,
    ReleaseActiveError,
    RuleOwnedError,
    StateError,
)
from airflow_provider_launchdarkly.api.models import OtherFlagInstruction, ReleaseMetricInput, ReleaseStepInput
from airflow_provider_launchdarkly.api.reads.flags import FlagServesUnexpectedVariationError
from airflow_provider_launchdarkly.api.writes.flags import Serving
from airflow_provider_launchdarkly.api.writes.shipping import (
    ReleaseDesign,
    check_releasable,
    remove_rule,
    ship_by_release,
)
from airflow_provider_launchdarkly.api.writes.stop_for_release import stop_reason
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.coverage_releases import release_post
from support.scene import Scene

DAY = 86_400_000
FLAG = "checkout-button"
DESIGN = ReleaseDesign(
    steps=(
        ReleaseStepInput(allocation=10_000, duration_millis=DAY),
        ReleaseStepInput(allocation=50_000, duration_millis=DAY),
    ),
    metrics=(ReleaseMetricInput(metric_key="checkout-conversion", auto_rollback=True),),
)
BACK: Any = "roll_back_all_phases_and_remove_pending_phases"


@pytest.fixture
def scene(connection: str, emulator: EmulatorServer) -> Scene:
    return Scene(LaunchDarklyHook(), emulator)


def winner(scene: Scene) -> str:
    experiment = scene.hook.get_experiment("bold", expand=("treatments",))
    assert experiment.running is not None
    return next(str(each.id) for each in experiment.running.treatments if not each.baseline)


def ship(scene: Scene, treatment_id: str, design: ReleaseDesign = DESIGN) -> Any:
    env = scene.hook.environment()
    shipping = ship_by_release(
        env, "bold", scene.iteration_id, treatment_id=treatment_id, design=design, reason="better"
    )
    return scene.hook.run(shipping)


def stopped_for_the_release(scene: Scene, reason: str | None = None) -> None:
    """Stop the iteration as a try that was killed right after the stop."""
    scene.hook.stop_iteration("bold", scene.iteration_id, winner="baseline", reason=reason or stop_reason("better"))


def without_its_reason(scene: Scene) -> None:
    """Let LaunchDarkly not show why the iteration was stopped."""

    def change(inside: Any) -> None:
        experiments = inside.world.projects["demo"].experiments
        place = next(place for place, each in experiments.items() if each.key == "bold")
        iterations = tuple(replace(each, winning_reason=None) for each in experiments[place].iterations)
        experiments[place] = replace(experiments[place], iterations=iterations)

    scene.emulator.call(change)


def writes(scene: Scene) -> list[str]:
    kinds = ("iteration.stopped", "release.started")
    return [effect["kind"] for effect in scene.emulator.effects() if effect["kind"] in kinds]


def test_a_repeat_writes_nothing_whatever_the_release_has_become(scene: Scene) -> None:
    bold = winner(scene)
    first = ship(scene, bold)
    assert not first.adopted
    for turn in ("P0D", "P1D", "P30D"):
        scene.emulator.clock.advance(turn)
        again = ship(scene, bold)
        assert again.adopted
        assert again.release.id == first.release.id
    assert again.release.completed
    assert writes(scene) == ["iteration.stopped", "release.started"]


def test_a_release_that_went_back_is_adopted_too_also_without_its_rule(scene: Scene) -> None:
    bold = winner(scene)
    first = ship(scene, bold)
    scene.hook.stop_release(FLAG, first.release.id, BACK)
    assert ship(scene, bold).release.reverted
    scene.hook.run(remove_rule(scene.hook.environment(), FLAG, str(first.release.phases[0].rule_id)))
    assert ship(scene, bold).release.id == first.release.id
    assert writes(scene) == ["iteration.stopped", "release.started"]


def test_killed_after_the_stop_the_next_try_starts_the_release(scene: Scene) -> None:
    bold = winner(scene)
    stopped_for_the_release(scene)
    scene.emulator.clock.advance("PT1H")
    assert not ship(scene, bold).adopted
    assert writes(scene) == ["iteration.stopped", "release.started"]


def test_a_stop_by_a_person_is_a_decision_for_the_baseline(scene: Scene) -> None:
    bold = winner(scene)
    stopped_for_the_release(scene, "support is overwhelmed")
    with pytest.raises(
        IterationStoppedError, match=r"by somebody else \('support is overwhelmed'\).*nothing was started"
    ):
        ship(scene, bold)
    assert writes(scene) == ["iteration.stopped"]


def test_so_is_a_stop_without_a_reason_unless_its_release_is_there(scene: Scene) -> None:
    bold = winner(scene)
    stopped_for_the_release(scene)
    without_its_reason(scene)
    with pytest.raises(IterationStoppedError, match="does not show why"):
        ship(scene, bold)
    assert writes(scene) == ["iteration.stopped"]


def test_the_release_of_a_stop_without_a_reason_is_adopted(scene: Scene) -> None:
    bold = winner(scene)
    first = ship(scene, bold).release
    without_its_reason(scene)
    assert ship(scene, bold).release.id == first.id
    scene.hook.stop_release(FLAG, first.id, BACK)
    assert ship(scene, bold).release.id == first.id
    assert writes(scene) == ["iteration.stopped", "release.started"]


def test_an_iteration_has_one_release_also_after_its_file_was_edited(scene: Scene) -> None:
    bold = winner(scene)
    first = ship(scene, bold).release
    scene.hook.stop_release(FLAG, first.id, BACK)
    edited = ReleaseDesign(steps=(ReleaseStepInput(allocation=5_000, duration_millis=DAY),))
    again = ship(scene, bold, edited)
    assert again.adopted
    assert again.release.id == first.id
    assert writes(scene) == ["iteration.stopped", "release.started"]


def test_also_if_its_release_is_not_on_the_first_page(scene: Scene) -> None:
    bold = winner(scene)
    first = ship(scene, bold).release
    scene.hook.stop_release(FLAG, first.id, BACK)

    def many(inside: Any) -> None:
        releases = inside.world.projects["demo"].releases
        ended = releases[first.id]
        other = {"original_variation_id": scene.bold, "target_variation_id": scene.classic}
        releases.update({f"r-{n}": replace(ended, id=f"r-{n}", **other) for n in range(120)})

    scene.emulator.call(many)
    assert ship(scene, bold).release.id == first.id
    assert writes(scene) == ["iteration.stopped", "release.started"]


def test_after_launchdarkly_has_forgotten_its_releases_nothing_starts(scene: Scene) -> None:
    bold = winner(scene)
    first = ship(scene, bold).release
    scene.hook.stop_release(FLAG, first.id, BACK)
    scene.emulator.clock.advance("P91D")
    with pytest.raises(StateError, match=r"keeps them 90 days.*Nothing was started\. To ship the winner"):
        ship(scene, bold)
    assert writes(scene) == ["iteration.stopped", "release.started"]


def test_the_release_of_a_later_iteration_is_not_taken_for_its_own(scene: Scene) -> None:
    bold = winner(scene)
    stopped_for_the_release(scene)
    scene.emulator.clock.advance("PT1H")
    later = scene.hook.create_iteration("bold", scene.iteration).iteration.id
    scene.hook.start_iteration("bold", later)
    scene.emulator.clock.advance("P2D")
    experiment = scene.hook.get_experiment("bold", expand=("treatments",))
    assert experiment.running is not None
    second = next(str(each.id) for each in experiment.running.treatments if not each.baseline)
    shipping = ship_by_release(
        scene.hook.environment(), "bold", later, treatment_id=second, design=DESIGN, reason="better"
    )
    its = scene.hook.run(shipping).release
    scene.hook.stop_release(FLAG, its.id, BACK)
    again = ship(scene, bold)
    assert again.release.id != its.id
    assert not again.adopted


def test_a_flag_that_somebody_changed_in_between_starts_nothing(scene: Scene) -> None:
    bold = winner(scene)
    stopped_for_the_release(scene)
    scene.hook.serve(FLAG, Serving(variation_id=scene.bold))
    with pytest.raises(FlagServesUnexpectedVariationError, match="Bold"):
        ship(scene, bold)
    assert writes(scene) == ["iteration.stopped"]


def test_an_iteration_that_somebody_stopped_on_the_winner_starts_nothing(scene: Scene) -> None:
    bold = winner(scene)
    scene.hook.stop_iteration("bold", scene.iteration_id, winner="Bold", reason="mine")
    with pytest.raises(IterationStoppedError, match="Bold"):
        ship(scene, bold)
    assert writes(scene) == ["iteration.stopped"]


def test_an_experiment_that_took_the_rule_in_between_is_named(scene: Scene) -> None:
    bold = winner(scene)
    stopped_for_the_release(scene)
    second = scene.post.model_copy(update={"key": "second", "name": "Second"})
    created = scene.hook.create_experiment(second).iteration.id
    scene.hook.start_iteration("second", created)
    with pytest.raises(LaunchDarklyError) as caught:
        ship(scene, bold)
    assert isinstance(caught.value, FlagServesUnexpectedVariationError | RuleOwnedError)
    assert writes(scene) == ["iteration.stopped"]


def other_release(scene: Scene) -> None:
    scene.hook.start_release(FLAG, release_post(scene).model_copy(update={"cleanup_behavior": None}))


def turned_off(scene: Scene) -> None:
    scene.hook.turn_flag(FLAG, on=False)


@pytest.mark.parametrize(("disturb", "error"), [(other_release, ReleaseActiveError), (turned_off, FlagOffError)])
def test_what_can_be_known_before_stops_nothing(scene: Scene, disturb: Any, error: type[Exception]) -> None:
    bold = winner(scene)
    disturb(scene)
    with pytest.raises(error):
        ship(scene, bold)
    assert writes(scene).count("iteration.stopped") == 0


def test_a_rule_that_cannot_be_released_stops_nothing(scene: Scene) -> None:
    env = scene.hook.environment()
    clause = {"contextKind": "user", "attribute": "country", "op": "in", "values": ["de"]}
    add = OtherFlagInstruction.of("addRule", clauses=[clause], variationId=scene.classic)
    scene.hook.run(patch_flag(env, FLAG, [add]))
    flag = scene.hook.get_flag(FLAG)
    rule = flag.environments[env.environment_key].rules[0].id
    with pytest.raises(StateError, match=r"endings\.ship\.release"):
        check_releasable(env, flag, rule, "user")
    check_releasable(env, flag, "fallthrough", "user")


def test_the_baseline_cannot_be_shipped(scene: Scene) -> None:
    experiment = scene.hook.get_experiment("bold", expand=("treatments",))
    assert experiment.running is not None
    assert experiment.running.baseline is not None
    with pytest.raises(ConfigurationError, match="baseline"):
        ship(scene, str(experiment.running.baseline.id))
    assert writes(scene) == []


def test_a_rule_that_is_gone_is_left_alone(scene: Scene) -> None:
    assert not scene.hook.run(remove_rule(scene.hook.environment(), FLAG, "no-such-rule")).changed


def test_a_plan_that_guards_nothing_is_named_with_its_cure_and_with_what_people_get(
    scene: Scene, emulator: EmulatorServer
) -> None:
    bold = winner(scene)
    emulator.switch(guarded_releases="unavailable")
    with pytest.raises(GuardingDeniedError, match="select plans only") as refused:
        ship(scene, bold)
    told = str(refused.value)
    assert "everyone gets 'Classic', the baseline, and nobody 'Bold'" in told
    assert "Write kind: progressive or guarded_or_progressive in endings.ship.release, or give the token" in told
    assert emulator.effects("release.started") == []

    again = ship(scene, bold, replace(DESIGN, metrics=()))

    assert (again.release.kind, again.adopted, again.stopped.already_stopped) == ("progressive", False, True)


def test_a_health_check_that_fails_says_what_people_get_and_a_repeat_starts_the_release(
    scene: Scene, emulator: EmulatorServer
) -> None:
    bold = winner(scene)
    silent = replace(DESIGN, metrics=(ReleaseMetricInput(metric_key="search-click-through", auto_rollback=True),))
    with pytest.raises(HealthChecksFailedError, match="search-click-through") as refused:
        ship(scene, bold, silent)
    told = str(refused.value)
    assert {check.kind for check in refused.value.failing} == {"metric_events_any", "metric_events_with_context"}
    assert "everyone gets 'Classic', the baseline, and nobody 'Bold'" in told
    assert "or name their kinds in bypass_health_checks of endings.ship.release, and clear this task" in told
    assert writes(scene) == ["iteration.stopped"]

    bypassed = replace(silent, bypass_health_checks=("metric_events_any", "metric_events_with_context"))
    again = ship(scene, bold, bypassed)

    assert (again.release.kind, again.stopped.already_stopped) == ("guarded", True)
    assert writes(scene) == ["iteration.stopped", "release.started"]


EITHER = replace(DESIGN, unguarded_if_refused=True)


def test_a_refused_guard_takes_the_same_steps_without_metrics_where_the_design_says_so(
    scene: Scene, emulator: EmulatorServer
) -> None:
    bold = winner(scene)
    emulator.switch(guarded_releases="unavailable")

    shipped = ship(scene, bold, EITHER)

    assert (shipped.release.kind, shipped.adopted) == ("progressive", False)
    assert [step.allocation for step in shipped.release.phases[0].steps] == [10_000, 50_000]
    emulator.switch(guarded_releases="available")
    for turn in ("P0D", "P1D", "P30D"):
        emulator.clock.advance(turn)
        again = ship(scene, bold, EITHER)
        assert (again.release.id, again.adopted) == (shipped.release.id, True)
    assert writes(scene) == ["iteration.stopped", "release.started"]


def test_it_is_guarded_where_launchdarkly_guards(scene: Scene) -> None:
    bold = winner(scene)
    assert ship(scene, bold, EITHER).release.kind == "guarded"
    assert ship(scene, bold, EITHER).adopted
    assert writes(scene) == ["iteration.stopped", "release.started"]


def test_a_try_that_was_killed_after_the_refusal_goes_on_with_the_progressive_one(
    scene: Scene, emulator: EmulatorServer
) -> None:
    bold = winner(scene)
    emulator.switch(guarded_releases="unavailable")
    with pytest.raises(GuardingDeniedError):
        ship(scene, bold)
    again = ship(scene, bold, EITHER)
    assert (again.release.kind, again.stopped.already_stopped) == ("progressive", True)
    assert writes(scene) == ["iteration.stopped", "release.started"]


def test_a_token_that_may_start_neither_is_told_what_people_get(scene: Scene, emulator: EmulatorServer) -> None:
    bold = winner(scene)
    emulator.fault("start_environment_release", "status", status=403, times=2)
    with pytest.raises(PermissionDeniedError, match=r"nobody 'Bold'. Give the token the right") as refused:
        ship(scene, bold, EITHER)
    assert not isinstance(refused.value, GuardingDeniedError)


def test_a_token_that_may_start_no_release_is_not_taken_for_the_plan(scene: Scene, emulator: EmulatorServer) -> None:
    bold = winner(scene)
    emulator.fault("start_environment_release", "status", status=403)
    with pytest.raises(PermissionDeniedError, match=r"nobody 'Bold'. Give the token the right") as refused:
        ship(scene, bold, replace(DESIGN, metrics=()))
    assert not isinstance(refused.value, GuardingDeniedError)


def test_a_read_that_is_refused_is_not_taken_for_the_plan_either(scene: Scene, emulator: EmulatorServer) -> None:
    post = release_post(scene).model_copy(update={"metrics": DESIGN.metrics})
    emulator.fault("list_environment_releases", "status", status=403)
    with pytest.raises(PermissionDeniedError) as refused:
        scene.hook.start_release(FLAG, post)
    assert not isinstance(refused.value, GuardingDeniedError)


KIND = {"contextKind": "user", "attribute": "kind", "op": "in", "values": ["user"], "negate": False}


def rule_for_everyone(scene: Scene, variation_id: str, description: str = "Launch party") -> str:
    """Add a person's rule in front of the default rule; return its id."""
    env = scene.hook.environment()
    add = OtherFlagInstruction.of("addRule", clauses=[KIND], variationId=variation_id, description=description)
    scene.hook.run(patch_flag(env, FLAG, [add]))
    return str(scene.hook.get_flag(FLAG).environments[env.environment_key].rules[-1].id)


def has_rule(scene: Scene, rule_id: str) -> bool:
    env = scene.hook.environment()
    return scene.hook.get_flag(FLAG).environments[env.environment_key].rule(rule_id) is not None


@pytest.mark.parametrize("serves", ["classic", "bold"])
def test_a_persons_rule_for_everyone_is_not_taken_for_one_that_a_release_has_left(scene: Scene, serves: str) -> None:
    bold = winner(scene)
    rule = rule_for_everyone(scene, getattr(scene, serves))
    with pytest.raises(StateError, match=rf"rule '{rule}'.*Launch party.*No release of a task has left it"):
        ship(scene, bold)
    assert writes(scene) == []
    assert has_rule(scene, rule)


def test_also_if_it_appears_between_the_stop_and_the_start(scene: Scene) -> None:
    bold = winner(scene)
    stopped_for_the_release(scene)
    rule = rule_for_everyone(scene, scene.bold)
    with pytest.raises(StateError, match="No release of a task has left it"):
        ship(scene, bold)
    assert writes(scene) == ["iteration.stopped"]
    assert has_rule(scene, rule)


def left_by_a_release(scene: Scene) -> str:
    """Let a release of this iteration's winner go back, and start the next iteration; return the rule that it left."""
    first = ship(scene, winner(scene)).release
    scene.hook.stop_release(FLAG, first.id, BACK)
    scene.emulator.clock.advance("PT1H")
    scene.iteration_id = scene.hook.create_iteration("bold", scene.iteration).iteration.id
    scene.hook.start_iteration("bold", scene.iteration_id)
    return str(first.phases[0].rule_id)


def test_a_rule_that_an_earlier_release_has_left_on_the_baseline_is_used_and_a_repeat_adopts(scene: Scene) -> None:
    rule = left_by_a_release(scene)
    bold = winner(scene)
    shipped = ship(scene, bold)
    assert shipped.release.phases[0].rule_id == rule
    assert ship(scene, bold).adopted
    assert writes(scene) == ["iteration.stopped", "release.started"] * 2


def test_a_left_rule_that_serves_something_else_by_now_stops_nothing(scene: Scene) -> None:
    rule = left_by_a_release(scene)
    scene.hook.serve(FLAG, Serving(variation_id=scene.bold), rule_id=rule)
    with pytest.raises(StateError, match=r"serves 100 % 'Bold', where this release starts from everyone on 'Classic'"):
        ship(scene, winner(scene))
    assert writes(scene) == ["iteration.stopped", "release.started"]
