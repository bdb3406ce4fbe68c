"""Retiring a flag: archived once nothing speaks against it, and otherwise kept, with every reason and its cure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_launchdarkly.api import writes
from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.models import ApprovalRequestPost, OtherFlagInstruction, ReleasePost
from airflow_provider_launchdarkly.api.writes.flags import Serving
from airflow_provider_launchdarkly.emulator.state.approval_models import Review
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.operators.retirement import LaunchDarklyRetireFlagOperator
from support.code_scan import scan
from support.scene import Scene

FLAG = "checkout-button"


def retire(context: Any, **fields: Any) -> Any:
    operator = LaunchDarklyRetireFlagOperator(task_id="retire", **({"flag_key": FLAG} | fields))
    output = operator.execute(context)
    assert json.loads(json.dumps(output)) == output
    return output


def against(output: Any) -> list[str]:
    assert all(reason["what"] and reason["cure"] for reason in output["reasons"])
    return [reason["against"] for reason in output["reasons"]]


def serve_bold(scene: Scene) -> None:
    """Ship Bold in production, and serve it in the other environment too."""
    scene.hook.stop_iteration("bold", scene.iteration_id, winner="Bold", reason="better")
    test = LaunchDarklyHook(environment_key="test")
    test.serve(FLAG, Serving(variation_id=scene.bold))
    test.turn_flag(FLAG, on=True)


@pytest.fixture
def done(scene: Scene) -> Scene:
    """Everyone has got Bold for 40 days, and nothing uses the flag."""
    serve_bold(scene)
    scene.emulator.clock.advance("P40D")
    return scene


def need(scene: Scene) -> None:
    needed = OtherFlagInstruction.of("addPrerequisite", key=FLAG, variationId=scene.bold)
    scene.hook.patch_flag("pricing-page", [needed])


def hold(scene: Scene) -> None:
    holdout = scene.holdout()
    scene.hook.create_experiment(scene.post.model_copy(update={"key": "held", "holdout_id": holdout.id}))


def test_a_flag_that_has_done_its_work_is_archived_with_its_experiment(done: Scene, context: Any) -> None:
    output = retire(context)

    assert (output["outcome"], output["changed"], output["reasons"]) == ("archived", True, [])
    assert output["variation"] == {"id": done.bold, "name": "Bold", "value": "bold"}
    assert output["experiments"] == [{"environment_key": "production", "experiment_key": "bold"}]
    assert done.hook.get_flag(FLAG).archived
    assert done.hook.get_experiment("bold").archived
    [patch] = [entry for entry in done.emulator.journal() if entry.operation == "patch_feature_flag"][-1:]
    assert patch.body["comment"] == "Airflow: rollout.task, run run-1"


def test_a_repeat_writes_nothing_and_says_the_same(done: Scene, context: Any) -> None:
    first, before = retire(context), len(done.emulator.journal())
    again = retire(context)

    assert {**again, "changed": True} == first
    assert (again["changed"], len(done.emulator.journal())) == (False, before)


@pytest.mark.parametrize(
    ("happens", "expected"),
    [
        (lambda scene: scene.hook.serve(FLAG, Serving(weights={scene.classic: 1, scene.bold: 99_999})), "varies"),
        (lambda scene: scene.hook.serve(FLAG, Serving(variation_id=scene.classic)), "differs"),
        (lambda scene: scene.hook.create_iteration("bold", scene.iteration), "experiment"),
        (lambda scene: scene.hook.reserve_layer(scene.layer(), "bold", 40), "layer"),
        (need, "prerequisite"),
        (hold, "holdout"),
        (lambda scene: scan(scene.emulator, "shop", {"cart.py": [7]}, FLAG), "code"),
    ],
    ids=["varies", "differs", "draft", "layer", "prerequisite", "holdout", "code"],
)
def test_a_flag_that_varies_or_is_used_is_kept(
    done: Scene, context: Any, happens: Callable[[Scene], Any], expected: str
) -> None:
    happens(done)
    done.emulator.clock.advance("P40D")
    before = len(done.emulator.journal())

    output = retire(context)

    assert (output["outcome"], output["changed"]) == ("kept", False)
    assert expected in against(output)
    assert len(done.emulator.journal()) == before


def test_every_reason_is_told_together(scene: Scene, context: Any) -> None:
    need(scene)
    scan(scene.emulator, "shop", {"cart.py": [7, 30]}, FLAG)

    output = retire(context)

    assert set(against(output)) == {"varies", "too_recent", "status", "experiment", "prerequisite", "code"}
    told = output["card"]
    assert "iteration" in told
    assert "end an experiment that runs on it first" in told
    assert "shop/cart.py:7, shop/cart.py:30" in told
    assert "remove the prerequisite from flag 'pricing-page'" in told


def test_a_flag_is_kept_until_it_has_served_the_same_for_long_enough(scene: Scene, context: Any) -> None:
    serve_bold(scene)
    scene.emulator.clock.advance("P8D")

    kept = retire(context)
    archived = retire(context, served_for="8d")

    assert against(kept) == ["too_recent", "too_recent"]
    assert "less than 30d ago" in kept["reasons"][0]["what"]
    assert archived["outcome"] == "archived"


def test_only_the_environments_that_count_have_to_serve_the_same(done: Scene, context: Any) -> None:
    LaunchDarklyHook(environment_key="test").serve(FLAG, Serving(variation_id=done.classic))
    done.emulator.clock.advance("P40D")

    assert against(retire(context)) == ["differs"]
    assert retire(context, environments=["production"])["outcome"] == "archived"


def test_a_flag_that_is_off_everywhere_serves_its_off_variation(
    hook: LaunchDarklyHook, emulator: Any, context: Any
) -> None:
    for key in ("production", "test"):
        LaunchDarklyHook(environment_key=key).turn_flag("pricing-page", on=False)
    emulator.clock.advance("P40D")

    output = retire(context, flag_key="pricing-page")

    assert (output["outcome"], output["variation"]["value"]) == ("archived", False)


def test_a_proposal_writes_nothing_and_names_what_stays_and_where(done: Scene, context: Any) -> None:
    scan(done.emulator, "shop", {"cart.py": [7], "mail.py": [3]}, FLAG)
    before = len(done.emulator.journal())

    output = retire(context, mode="propose")

    assert (output["outcome"], output["changed"], len(done.emulator.journal())) == ("proposed", False, before)
    assert '**The branch that stays is the one for `Bold`, the value `"bold"`.**' in output["card"]
    assert "| [shop](https://example.com/shop) | `cart.py` | 7 |" in output["card"]
    assert {place["path"] for place in output["references"]} == {"cart.py", "mail.py"}


def test_a_proposal_of_a_flag_that_varies_is_its_reasons(scene: Scene, context: Any) -> None:
    output = retire(context, mode="propose")

    assert output["outcome"] == "kept"
    assert output["card"].startswith(f"# Flag `{FLAG}` stays\n")


def test_references_that_were_removed_no_longer_count(done: Scene, context: Any) -> None:
    scan(done.emulator, "shop", {"cart.py": [7]}, FLAG)
    scan(done.emulator, "shop", {}, FLAG)

    output = retire(context, require_code_references=True)

    assert (output["outcome"], output["references"]) == ("archived", [])


def test_code_references_that_are_required_and_missing_keep_the_flag(done: Scene, context: Any) -> None:
    output = retire(context, require_code_references=True)

    assert (output["outcome"], output["references"], against(output)) == ("kept", None, ["code_unknown"])


@pytest.mark.parametrize("refused", [403, 404])
def test_prerequisites_are_found_in_the_flags_where_their_list_is_refused(
    done: Scene, context: Any, refused: int
) -> None:
    need(done)
    done.emulator.fault("get_dependent_flags", "status", status=refused)

    assert against(retire(context)) == ["prerequisite"]


def test_a_release_that_has_not_ended_keeps_the_flag(scene: Scene, context: Any) -> None:
    serve_bold(scene)
    clause = {"contextKind": "user", "attribute": "kind", "op": "in", "values": ["user"]}
    post = {
        "originalVariationId": scene.bold,
        "targetVariationId": scene.classic,
        "randomizationUnit": "user",
        "phases": [{"clauses": [clause], "steps": [{"allocation": 1_000, "durationMillis": 90 * 86_400_000}]}],
    }
    release = scene.hook.start_release(FLAG, ReleasePost.checked(post)).release
    scene.emulator.clock.advance("P40D")

    output = retire(context)

    assert "release" in against(output)
    assert f"release '{release.id}' moves the flag in production: its status is in_progress" in output["card"]


def request_split(hook: LaunchDarklyHook, scene: Scene) -> str:
    weights = {scene.classic: 50_000, scene.bold: 50_000}
    split = {"kind": "updateFallthroughVariationOrRollout", "rolloutWeights": weights}
    post = ApprovalRequestPost.checked({"description": "Half of all", "instructions": [split]})
    return hook.request_approval(FLAG, post).value.id


def review(scene: Scene, kind: str) -> Callable[[LaunchDarklyHook, str], None]:
    """Return what lets another member review a request."""

    def reviewed(hook: LaunchDarklyHook, request: str) -> None:
        def add(inside: Any) -> None:
            requests = inside.world.projects["demo"].approval_requests
            word = Review("review", kind, inside.clock.milliseconds(), member_id="somebody")  # type: ignore[arg-type]
            requests[request] = replace(requests[request], reviews=(word,))

        scene.emulator.call(add)

    return reviewed


@pytest.mark.parametrize("environment", ["production", "test"])
@pytest.mark.parametrize(
    ("kind", "waits"), [(None, "waits for its approval"), ("approve", "is approved and waits to be applied")]
)
def test_a_change_that_may_still_be_applied_keeps_the_flag(
    done: Scene, context: Any, environment: str, kind: str | None, waits: str
) -> None:
    hook = LaunchDarklyHook(environment_key=environment)
    request = request_split(hook, done)
    if kind is not None:
        review(done, kind)(hook, request)
    output = retire(context, environments=["production"])

    assert (output["outcome"], against(output)) == ("kept", ["approval_request"])
    assert output["reasons"][0]["what"] == (
        f"approval request {request!r} in {environment} would change the flag: updateFallthroughVariationOrRollout "
        f"(Half of all) {waits}"
    )
    assert against(retire(context, mode="propose")) == ["approval_request"]
    hook.delete_approval_request(FLAG, request)
    assert retire(context)["outcome"] == "archived"


def test_a_declined_change_keeps_no_flag(done: Scene, context: Any) -> None:
    review(done, "decline")(done.hook, request_split(done.hook, done))

    assert retire(context)["outcome"] == "archived"


@pytest.mark.parametrize("refused", [401, 403, 404])
def test_requests_that_are_not_shown_keep_the_flag_unless_they_need_not_be(
    done: Scene, context: Any, refused: int
) -> None:
    done.emulator.fault("get_approvals_for_flag", "status", status=refused, nth=2)
    output = retire(context)

    assert (output["outcome"], against(output)) == ("kept", ["approval_requests_unknown"])
    assert "does not show the flag's approval requests in test, so a change" in output["reasons"][0]["what"]
    done.emulator.fault("get_approvals_for_flag", "status", status=refused, times=2)
    assert retire(context, require_approval_requests=False)["outcome"] == "archived"


@pytest.mark.parametrize("refused", [403, 404])
def test_an_account_without_releases_retires_flags_all_the_same(done: Scene, context: Any, refused: int) -> None:
    done.emulator.fault("list_environment_releases", "status", status=refused, times=99)

    assert retire(context)["outcome"] == "archived"


def test_a_flag_that_changes_while_it_is_retired_is_not_archived(done: Scene, context: Any, monkeypatch: Any) -> None:
    archive = writes.archive_experiment

    def meanwhile(*args: Any, **kwargs: Any) -> Any:
        done.hook.serve(FLAG, Serving(variation_id=done.classic))
        return archive(*args, **kwargs)

    monkeypatch.setattr("airflow_provider_launchdarkly.retirement.retire.archive_experiment", meanwhile)
    with pytest.raises(Exception, match="was changed while it was being retired"):
        retire(context)
    assert not done.hook.get_flag(FLAG).archived


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"mode": "delete"}, "mode is 'delete': write archive or propose"),
        ({"served_for": "a month"}, "served_for: 'a month' is no duration"),
        ({"environments": "production"}, "environments is 'production': write a list of environments' keys"),
        ({"require_code_references": "yes"}, "require_code_references is 'yes': write True or False"),
        ({"require_approval_requests": None}, "require_approval_requests is None: write True or False"),
    ],
)
def test_a_wrong_argument_is_refused_when_the_file_is_parsed(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        LaunchDarklyRetireFlagOperator(task_id="retire", flag_key=FLAG, **fields)


def test_an_environment_that_the_project_does_not_have_is_refused(done: Scene, context: Any) -> None:
    with pytest.raises(AirflowFailException, match="has no environment 'prod'; it has production, test"):
        retire(context, environments=["prod"])
