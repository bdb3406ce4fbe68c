"""The rollout as data: stages that compare nothing, metrics with two roles, and variations as people name them."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_launchdarkly.config.problems import InvalidSettingError, field_name, flatten_errors
from airflow_provider_launchdarkly.rollout.requests import stage_design
from airflow_provider_launchdarkly.rollout.spec import Rollout

TREATMENTS = [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}]


def rollout(*stages: dict[str, Any], policy: Any = None, **experiment: Any) -> Rollout:
    return Rollout.from_json(
        {
            "experiment": {
                "key": "button",
                "flag": "checkout-button",
                "hypothesis": "Bold is better.",
                "treatments": TREATMENTS,
                **({} if "primary_funnel" in experiment else {"primary_metric": "conversion"}),
                **experiment,
            },
            "stages": stages or [{"allocation": 50, "gate": "decision"}],
            "policy": policy or {},
        }
    )


def refused(*stages: dict[str, Any], **given: Any) -> tuple[str, str]:
    """Return the field that is refused, and the message."""
    with pytest.raises(InvalidSettingError) as error:
        rollout(*stages, **given)
    ((path, message),) = flatten_errors(error.value)
    return field_name(path), message


@pytest.mark.parametrize(
    ("allocation", "wrong"),
    [
        (100, "the baseline 'Classic' has no share"),
        (0, "'Bold' has no share"),
        (0.0004, "'Bold' has no share"),
        ({"Bold": 100}, "the baseline 'Classic' has no share"),
        ({"Bold": 0.0009}, "'Bold' has no share"),
        ({"Bold": 99.9995, "Classic": 0.0005}, "the baseline 'Classic' has no share"),
    ],
)
@pytest.mark.parametrize("gate", ["guardrails", "decision"])
def test_a_judged_stage_that_compares_nothing_is_refused(allocation: Any, wrong: str, gate: str) -> None:
    last = {"allocation": 50, "gate": "decision"}
    field, message = refused({"allocation": allocation, "gate": gate, "dwell": "7d"}, last)
    assert field == "stages[0].allocation"
    assert wrong in message
    assert "Stopping with" in message


def test_a_canary_that_ends_at_100_percent_is_refused() -> None:
    field, message = refused(
        {"allocation": 10, "dwell": "1d"}, {"allocation": 50, "dwell": "1d"}, {"allocation": 100, "gate": "decision"}
    )
    assert (field, "Stopping with the winner is what serves everyone" in message) == ("stages[2].allocation", True)


def test_a_stage_that_is_not_judged_may_serve_everyone() -> None:
    found = rollout({"allocation": 100, "gate": "none", "dwell": "1d"}, {"allocation": 50, "gate": "decision"})
    assert [stage_design(found, number)["judged"] for number in (0, 1)] == [False, True]


def test_one_of_two_new_treatments_may_have_no_share() -> None:
    three = [*TREATMENTS, {"variation": "Loud"}]
    rollout({"allocation": {"Bold": 50, "Loud": 0}, "gate": "decision"}, treatments=three)
    field, _ = refused({"allocation": {"Bold": 0, "Loud": 0}, "gate": "decision"}, treatments=three)
    assert field == "stages[0].allocation"


@pytest.mark.parametrize("role", ["guardrails", "signals"])
@pytest.mark.parametrize(
    ("experiment", "primary"),
    [
        ({"primary_metric": "a"}, None),
        ({"primary_funnel": "a"}, None),
        ({"primary_metric": "a"}, "a"),
    ],
)
def test_the_metric_that_decides_is_no_guardrail_and_no_signal(
    role: str, experiment: dict[str, Any], primary: str | None
) -> None:
    policy = {"primary": {"metric": primary} if primary else {}, role: [{"metric": "b"}, {"metric": "a"}]}
    field, message = refused(policy=policy, **experiment)
    assert field.startswith("policy")
    assert "'a'" in message or "metric a " in message


@pytest.mark.parametrize("role", ["guardrails", "signals"])
def test_the_field_that_names_the_primary_metric_again_is_shown(role: str) -> None:
    field, message = refused(policy={role: [{"metric": "b"}, {"metric": "conversion"}]})
    assert field == f"policy.{role}[1].metric"
    assert "remove it" in message


def test_a_metric_of_the_policy_that_decides_is_measured() -> None:
    found = rollout(policy={"primary": {"metric": "revenue"}, "guardrails": [{"metric": "conversion"}]})
    assert "revenue" in stage_design(found, 0)["metrics"]


@pytest.mark.parametrize(
    ("variation", "allocation"),
    [
        (True, {"true": 5}),
        (True, {True: 5}),
        (True, {"True": 5}),
        ("True", {"true": 5}),
        (1, {"1.0": 5}),
        (1.0, {1: 5}),
        ("Bold Button", {"Bold Button": 5}),
        ({"size": 2}, {'{"size":2.0}': 5}),
        ("", {'""': 5}),
    ],
)
def test_an_allocation_names_a_treatment_as_its_variation_is_named(variation: Any, allocation: Any) -> None:
    found = rollout(
        {"allocation": allocation, "gate": "decision"},
        treatments=[{"variation": "Classic", "baseline": True}, {"variation": variation}],
    )
    assert [treatment["allocation_percent"] for treatment in stage_design(found, 0)["treatments"]] == [95, 5]


def test_a_treatment_with_two_shares_is_refused() -> None:
    field, message = refused(
        {"allocation": {"1": 5, "1.0": 5}, "gate": "decision"},
        treatments=[{"variation": "Classic", "baseline": True}, {"variation": 1}],
    )
    assert (field, "two shares" in message) == ("stages[0].allocation", True)


def test_a_rollout_under_a_bound_on_false_ships_asks_before_it_ships() -> None:
    policy = {"portfolio": {"name": "2026Q4", "false_discovery_rate": 0.2}}
    with pytest.raises(InvalidSettingError, match="is decided at the quarter's end, by a person"):
        rollout(policy=policy)
    asking = rollout(policy={}).to_json() | {"policy": policy, "approval": {"before_ship": True}}
    assert Rollout.from_json(asking).policy.portfolio is not None


@pytest.mark.parametrize("looks", ["on_data", {"on_data": {"deadline": "6h"}}, {"every": "7d", "on_data": True}])
def test_looks_on_data_need_a_place_to_learn_of_the_data_from(looks: Any) -> None:
    plain = {**rollout().to_json(), "policy": {"looks": looks}}
    with pytest.raises(InvalidSettingError, match=r"is missing: looks\.on_data waits"):
        Rollout.from_json(plain)
    whole = Rollout.from_json({**plain, "arrival": {"asset": "events"}})
    assert Rollout.from_json(whole.to_json()) == whole
    assert whole.policy_of(0).looks == whole.policy.looks


def test_every_stage_that_is_judged_waits_for_its_data_and_no_other() -> None:
    from airflow.sdk import DAG

    from airflow_provider_launchdarkly.rollout.task_group import experiment_rollout

    stages = [{"allocation": 5, "gate": gate, "dwell": "2d"} for gate in ("none", "guardrails")]
    whole = {
        **rollout(*stages, {"allocation": 50, "gate": "decision"}).to_json(),
        "policy": {"looks": "on_data"},
        "arrival": "analyzed_at",
    }
    with DAG("d", schedule=None) as dag:
        experiment_rollout(whole, group_id="r")
    found = {task.task_id: getattr(task, "arrival", None) for task in dag.tasks if task.task_id.endswith("watch")}
    assert [arrival is not None and arrival.analyzed_at for arrival in found.values()] == [False, True, True]


@pytest.mark.parametrize(("first", "second"), [("Bold", "Bold"), (1, 1.0), ({"size": 2}, {"size": 2})])
def test_two_treatments_that_serve_one_variation_are_refused(first: Any, second: Any) -> None:
    field, message = refused(
        treatments=[{"variation": first, "baseline": True}, {"variation": second, "name": "The other"}]
    )
    assert field == "experiment.treatments[1].variation"
    assert message == f"is {second!r}, which another treatment serves: name each once"


def test_a_treatment_that_serves_null_is_refused() -> None:
    field, message = refused(treatments=[{"variation": None, "baseline": True}, {"variation": "Bold"}])
    assert field == "experiment.treatments[0].variation"
    assert message.startswith("is null")


def test_a_metric_that_guards_a_release_twice_is_refused() -> None:
    release = {"steps": [{"percent": 10, "duration": "1d"}], "metrics": ["load", {"metric": "load"}]}
    plain = rollout().to_json() | {"endings": {"ship": {"release": release}}}
    with pytest.raises(InvalidSettingError) as error:
        Rollout.from_json(plain)
    ((path, message),) = flatten_errors(error.value)
    assert field_name(path) == "endings.ship.release.metrics[1]"
    assert message == "'load' is there twice: name each metric once"
