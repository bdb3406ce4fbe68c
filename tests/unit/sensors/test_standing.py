"""A sensor, and the judge operator, that take the crossing of an earlier sensor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.operators.iterations import LaunchDarklyJudgeOperator
from unit.sensors.conftest import KEY, Fire, Underway, wait


def make_true(underway: Underway, effect: float) -> None:
    metrics = {
        "checkout-conversion": {"baseline_rate": 0.10, "effects": {"Bold": {"relative": effect}}},
        "page-load-ms": {"baseline_mean": 820, "standard_deviation": 240},
    }
    truth = GroundTruth.from_dict({"people_per_day": 2_000, "metrics": metrics})
    underway.emulator.call(lambda inside: inside.world.projects["demo"].truths.update({"checkout-button": truth}))


@pytest.fixture
def crossing(underway: Underway) -> dict[str, Any]:
    """The output of a sensor on day 14; then a day passes, and the effect is weaker."""
    make_true(underway, 0.15)
    underway.emulator.clock.advance("P14D")
    verdict: dict[str, Any] = underway.sensor().execute({})
    assert verdict["verdict"] == "ship"
    make_true(underway, 0.11)
    underway.emulator.clock.advance("P1D")
    return verdict


def operator(underway: Underway, **arguments: Any) -> LaunchDarklyJudgeOperator:
    iteration = {"experiment_key": KEY, "iteration_id": underway.iteration_id}
    return LaunchDarklyJudgeOperator(task_id="judge", **iteration | arguments)


def judge(underway: Underway, **arguments: Any) -> dict[str, Any]:
    output: dict[str, Any] = operator(underway, **arguments).execute({})
    return output


def rendered(task: Any) -> Any:
    task.render_template_fields({})
    return task


def test_without_it_the_boundary_has_to_be_crossed_again(underway: Underway, crossing: dict[str, Any]) -> None:
    assert judge(underway)["verdict"] == "wait"
    with pytest.raises(TaskDeferred):
        underway.sensor().execute({})


def test_with_it_the_treatment_ships(underway: Underway, crossing: dict[str, Any]) -> None:
    for verdict in (judge(underway, standing=crossing), underway.sensor(standing=crossing).execute({})):
        assert (verdict["verdict"], verdict["treatment"], verdict["look"]) == ("ship", "Bold", 15)
        assert verdict["standing"] == crossing["standing"]
        assert verdict["summary"].endswith("but look 14 crossed and stands: ship")


def test_its_own_output_may_be_passed_on_again(underway: Underway, crossing: dict[str, Any]) -> None:
    second = judge(underway, standing=crossing)
    underway.emulator.clock.advance("P1D")
    assert judge(underway, standing=second)["verdict"] == "ship"


@pytest.mark.parametrize("change", [{"iteration_id": "another"}, {"experiment_key": "another"}])
def test_a_crossing_of_another_iteration_counts_for_nothing(
    underway: Underway, crossing: dict[str, Any], change: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge(underway, standing=crossing | change)["verdict"] == "wait"
    assert "'another' and counts for nothing" in capsys.readouterr().out


def test_nor_does_one_by_another_policy(underway: Underway, crossing: dict[str, Any]) -> None:
    verdict = judge(underway, standing=crossing, policy={"alpha": 0.04})
    assert verdict["verdict"] == "wait"
    told = "the crossing of look 14 counts for nothing: it was judged by another policy"
    assert told in verdict["cautions"]


def test_a_verdict_that_did_not_ship_has_no_crossing(underway: Underway, crossing: dict[str, Any]) -> None:
    verdict = judge(underway, standing=judge(underway))
    assert verdict["verdict"] == "wait"
    assert not any("crossing" in caution for caution in verdict["cautions"])


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"summary": "{{ 1 }}"}, "pass the output of an earlier sensor, as in standing=wait.output"),
        ("{{ 'ship' }}", "standing is 'ship': write a mapping"),
        ({"verdict": "ship", "standing": "look 14"}, "'look 14', which is no crossing"),
    ],
)
def test_what_is_no_verdict_is_refused(underway: Underway, value: Any, told: str) -> None:
    target = {"project_key": "demo", "environment_key": "production"}
    keys = {**target, "experiment_key": KEY, "iteration_id": underway.iteration_id}
    given = value | keys if isinstance(value, dict) else value
    for task in (underway.sensor(standing=given), operator(underway, standing=given)):
        with pytest.raises(AirflowFailException, match=told):
            rendered(task).execute({})


@pytest.mark.parametrize("value", ["ship", {"summary": "ship it"}, 3])
def test_a_literal_that_is_no_verdict_is_refused_when_the_dag_file_is_parsed(underway: Underway, value: Any) -> None:
    for make in (underway.sensor, lambda **arguments: operator(underway, **arguments)):
        with pytest.raises(ConfigurationError, match=r"as in standing=wait\.output"):
            make(standing=value)


def test_the_trigger_takes_it_along(underway: Underway, fire: Fire, crossing: dict[str, Any]) -> None:
    # Between two looks the sensor defers. The trigger polls once a day, so its first look is on time a day later.
    make_true(underway, 0.10)
    underway.emulator.clock.advance("PT12H")
    with pytest.raises(TaskDeferred) as deferred:
        underway.sensor(standing=crossing).execute({})
    _, arguments = deferred.value.trigger.serialize()
    assert json.loads(arguments["standing"]) == crossing["standing"]
    verdict, _ = wait(underway, fire, standing=crossing)
    assert (verdict["verdict"], verdict["look"]) == ("ship", 17)
    assert verdict["summary"].endswith("but look 14 crossed and stands: ship")


class TestWithARecord:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> str:
        return str(tmp_path / "decisions")

    def entries(self, folder: str, underway: Underway) -> tuple[dict[str, Any], ...]:
        path = Path(folder) / "demo" / "production" / KEY / f"{underway.iteration_id}.jsonl"
        return chain.read(path.read_text(encoding="utf-8"))

    def test_the_crossing_is_evidence_and_follows_again(
        self, underway: Underway, crossing: dict[str, Any], folder: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        verdict = underway.sensor(standing=crossing, record_path=folder).execute({})
        (entry,) = self.entries(folder, underway)
        assert entry["evidence"]["standing"] == crossing["standing"]
        assert (entry["verdict"]["verdict"], entry["verdict"]["look"]) == ("ship", 15)
        assert main(["replay", verdict["record"]["path"]]) == 0
        assert "Every verdict follows again." in capsys.readouterr().out

    def test_a_clear_takes_it_from_the_record(self, underway: Underway, folder: str) -> None:
        make_true(underway, 0.15)
        underway.emulator.clock.advance("P14D")
        first = underway.sensor(record_path=folder).execute({})
        make_true(underway, 0.10)
        for _ in range(2):
            underway.emulator.clock.advance("P1D")
            verdict = underway.sensor(record_path=folder).execute({})
            assert (verdict["verdict"], verdict["standing"]) == ("ship", first["standing"])

    def test_a_clear_after_the_effect_was_gone_waits_for_the_boundary(self, underway: Underway, folder: str) -> None:
        make_true(underway, 0.15)
        underway.emulator.clock.advance("P14D")
        underway.sensor(record_path=folder).execute({})
        make_true(underway, 0.06)
        reasons = []
        for _ in range(2):
            underway.emulator.clock.advance("P1D")
            with pytest.raises(TaskDeferred):
                underway.sensor(record_path=folder).execute({})
            reasons.append(self.entries(folder, underway)[-1]["verdict"]["reason"])
        assert reasons == ["effect_gone", "not_significant"]
