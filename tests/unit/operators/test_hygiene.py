"""The hygiene report: running experiments that nobody ends, that have nobody, that nobody owns, on archived flags."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_launchdarkly.api.errors import ConfigurationError, LaunchDarklyError
from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.operators.retirement import LaunchDarklyHygieneReportOperator
from support.scene import Scene
from support.surroundings import CONNECTION, connection_json


def report(context: Any, **fields: Any) -> Any:
    output = LaunchDarklyHygieneReportOperator(task_id="hygiene", **fields).execute(context)
    assert json.loads(json.dumps(output)) == output
    return output


def kinds(output: Any) -> list[str]:
    assert all(finding["what"] and finding["cure"] for finding in output["findings"])
    return [finding["kind"] for finding in output["findings"]]


def without_people(scene: Scene) -> None:
    nobody = GroundTruth.from_dict({"people_per_day": 0, "metrics": {}})
    scene.emulator.call(lambda inside: inside.world.projects["demo"].truths.update({"checkout-button": nobody}))


def until_day(scene: Scene, day: float) -> None:
    """Let people come only until so many days after the start."""
    some = GroundTruth.from_dict({"people_per_day": 4_000, "no_traffic_from_day": day, "metrics": {}})
    scene.emulator.call(lambda inside: inside.world.projects["demo"].truths.update({"checkout-button": some}))


def owned_by(scene: Scene, member_id: str) -> None:
    def change(inside: Any) -> None:
        experiments = inside.world.projects["demo"].experiments
        experiments["production", "bold"] = replace(experiments["production", "bold"], maintainer_id=member_id)

    scene.emulator.call(change)


def archive_flag(scene: Scene) -> None:
    scene.hook.archive_flag("checkout-button")


def test_an_experiment_in_order_is_no_finding(scene: Scene, context: Any) -> None:
    output = report(context)

    assert (output["running"], output["findings"]) == (1, [])
    assert output["environments"] == ["production", "test"]
    assert output["text"] == "1 experiments run in demo (production, test); 0 findings."


def test_an_experiment_past_its_plan_is_told_with_its_age_and_owner(scene: Scene, context: Any) -> None:
    scene.emulator.clock.advance("P28D")
    output = report(context)

    [found] = output["findings"]
    assert (found["kind"], found["experiment_key"], found["owner"]) == ("past_plan", "bold", "ada@example.com")
    assert found["what"].endswith("29 days, and its plan is 28d")
    assert "**bold** (production)" in output["text"]


def test_an_experiment_may_have_a_plan_of_its_own(scene: Scene, context: Any) -> None:
    scene.emulator.clock.advance("P28D")

    assert kinds(report(context, plans={"bold": "56d"})) == []
    assert kinds(report(context, max_duration="56d")) == []
    assert kinds(report(context, max_duration="56d", plans={"bold": "7d"})) == ["past_plan"]


@pytest.mark.parametrize("results", ["present", "gone"])
def test_an_experiment_without_people_is_found_by_results_or_by_its_flags_status(
    scene: Scene, context: Any, results: str
) -> None:
    without_people(scene)
    scene.emulator.switch(results=results)

    assert kinds(report(context)) == ["no_traffic"]
    assert kinds(report(context, traffic_after="2d")) == []


def test_an_experiment_with_people_is_no_finding_where_results_are_gone(scene: Scene, context: Any) -> None:
    scene.emulator.switch(results="gone")

    assert kinds(report(context)) == []


@pytest.mark.parametrize("results", ["present", "gone"])
def test_an_experiment_whose_people_have_stopped_coming_is_found_by_the_flags_last_request(
    scene: Scene, context: Any, results: str
) -> None:
    until_day(scene, 3)
    scene.emulator.switch(results=results)
    scene.emulator.clock.advance("P2D")  # half a day after the last one
    assert kinds(report(context)) == []

    scene.emulator.clock.advance("P20D")
    output = report(context)
    assert kinds(output) == ["no_traffic"]
    assert "nobody has requested flag 'checkout-button' since" in output["findings"][0]["what"]
    assert output["findings"][0]["what"].endswith(", 20 days ago")
    assert kinds(report(context, traffic_after="21d")) == []


@pytest.mark.parametrize("results", ["present", "gone"])
def test_an_experiment_that_runs_while_its_flag_is_off_is_found_whatever_was_counted_before(
    scene: Scene, context: Any, results: str
) -> None:
    scene.emulator.switch(results=results)
    scene.emulator.clock.advance("P3D")
    scene.hook.turn_flag("checkout-button", on=False)
    scene.emulator.clock.advance("P20D")
    output = report(context)

    assert kinds(output) == ["flag_off"]
    assert "it runs while flag 'checkout-button' is off, and was changed last at" in output["findings"][0]["what"]


def test_a_flag_that_is_off_in_another_environment_is_no_finding(scene: Scene, context: Any) -> None:
    LaunchDarklyHook(environment_key="test").turn_flag("checkout-button", on=False)

    assert kinds(report(context)) == []


@pytest.mark.parametrize(("member", "said"), [("", "has no maintainer"), ("0" * 24, "no member of the account")])
def test_an_experiment_without_an_owner_is_found(scene: Scene, context: Any, member: str, said: str) -> None:
    owned_by(scene, member)
    output = report(context)

    assert kinds(output) == ["no_owner"]
    assert said in output["findings"][0]["what"]


def test_owners_are_not_judged_where_the_token_may_not_read_members(scene: Scene, context: Any) -> None:
    owned_by(scene, "0" * 24)
    scene.emulator.fault("get_members", "status", status=403)

    assert kinds(report(context)) == []


def test_an_archived_flag_with_a_running_experiment_is_found(scene: Scene, context: Any) -> None:
    archive_flag(scene)

    assert kinds(report(context)) == ["archived_flag"]


def test_everything_that_is_wrong_is_told_at_once(scene: Scene, context: Any) -> None:
    for happens in (without_people, archive_flag):
        do: Callable[[Scene], None] = happens
        do(scene)
    owned_by(scene, "")
    scene.emulator.clock.advance("P40D")

    assert sorted(kinds(report(context))) == ["archived_flag", "no_owner", "no_traffic", "past_plan"]


def test_only_named_environments_are_looked_at_and_stopped_experiments_are_not(scene: Scene, context: Any) -> None:
    scene.emulator.clock.advance("P40D")
    elsewhere = report(context, environments=["test"])
    scene.stop()
    afterwards = report(context)

    assert (elsewhere["running"], afterwards["running"]) == (0, 0)
    assert elsewhere["findings"] == afterwards["findings"] == []


def two_experiments(scene: Scene) -> None:
    """Add an experiment on another flag, which has run for as long."""

    def add(inside: Any) -> None:
        project = inside.world.projects["demo"]
        bold = project.experiments["production", "bold"]
        flag = project.flags["pricing-page"]
        [iteration] = bold.iterations
        moved = replace(
            iteration,
            id="second",
            flag=replace(iteration.flag, flag_key=flag.key),
            treatments=tuple(
                replace(each, parameters=(replace(each.parameters[0], flag_key=flag.key, variation_id=variation.id),))
                for each, variation in zip(iteration.treatments, flag.variations, strict=False)
            ),
        )
        project.experiments["production", "other"] = replace(
            bold, id="other", key="other", iterations=(moved,), maintainer_id=""
        )

    scene.emulator.call(add)


RESULTS, FLAG, STATUS = "get_experiment_results", "get_feature_flag", "get_feature_flag_status"


@pytest.mark.parametrize(
    ("operation", "status", "part"),
    [
        (RESULTS, 403, "its results"),
        (RESULTS, 500, "its results"),
        (FLAG, 403, "its flag 'checkout-button'"),
        (FLAG, 404, "its flag 'checkout-button'"),
        (FLAG, 500, "its flag 'checkout-button'"),
        (STATUS, 403, "its flag 'checkout-button'"),
        (STATUS, 404, "its flag 'checkout-button'"),
    ],
)
def test_what_cannot_be_read_of_one_experiment_is_a_finding_and_all_else_is_reported(
    scene: Scene, context: Any, monkeypatch: pytest.MonkeyPatch, operation: str, status: int, part: str
) -> None:
    monkeypatch.setenv(CONNECTION, connection_json(scene.emulator, retry_budget=0))
    two_experiments(scene)
    scene.emulator.clock.advance("P40D")
    scene.emulator.fault(operation, "status", status=status, nth=1)
    output = report(context)

    [unchecked] = [finding for finding in output["findings"] if finding["kind"] == "unchecked"]
    assert unchecked["what"].startswith(f"{part} could not be checked: ") or unchecked["experiment_key"] == "other"
    assert str(status) in unchecked["what"]
    assert unchecked["cure"]
    assert [f["experiment_key"] for f in output["findings"] if f["kind"] == "past_plan"] == ["bold", "other"]
    assert [f["experiment_key"] for f in output["findings"] if f["kind"] == "no_owner"] == ["other"]


@pytest.mark.parametrize(("operation", "status"), [(RESULTS, 401), (FLAG, 401), (STATUS, 429)])
def test_an_error_of_the_token_or_the_connection_fails_the_report(
    scene: Scene, context: Any, monkeypatch: pytest.MonkeyPatch, operation: str, status: int
) -> None:
    monkeypatch.setenv(CONNECTION, connection_json(scene.emulator, retry_budget=0))
    scene.emulator.fault(operation, "status", status=status, times=99)
    with pytest.raises((AirflowFailException, LaunchDarklyError), match=str(status)):
        report(context)


def test_an_environment_that_cannot_be_listed_is_a_finding_unless_none_can(scene: Scene, context: Any) -> None:
    scene.emulator.clock.advance("P40D")
    scene.emulator.fault("get_experiments", "status", status=403, nth=2)
    output = report(context)

    assert kinds(output) == ["past_plan", "unchecked"]
    assert "- **all experiments** (test): they could not be listed: " in output["text"]
    scene.emulator.fault("get_experiments", "status", status=403)
    with pytest.raises(AirflowFailException, match="PermissionDeniedError"):
        report(context, environments=["test"])


def test_it_writes_nothing(scene: Scene, context: Any) -> None:
    scene.emulator.clock.advance("P40D")
    before = len(scene.emulator.journal())
    report(context)
    assert len(scene.emulator.journal()) == before


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"max_duration": "a month"}, "max_duration: 'a month' is no duration"),
        ({"traffic_after": 5}, "traffic_after: 5 is no duration"),
        ({"plans": ["bold"]}, "plans is .* write a mapping from experiment to duration"),
        ({"plans": {"bold": "long"}}, r"plans\['bold'\]: 'long' is no duration"),
        ({"environments": "test"}, "write a list of environments' keys"),
    ],
)
def test_a_wrong_argument_is_refused_when_the_file_is_parsed(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        LaunchDarklyHygieneReportOperator(task_id="hygiene", **fields)


def test_an_unknown_environment_is_refused(scene: Scene, context: Any) -> None:
    with pytest.raises(AirflowFailException, match="has no environment 'prod'"):
        report(context, environments=["prod"])
