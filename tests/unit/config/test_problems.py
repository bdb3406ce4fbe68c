"""A wrong setting is told in a line: field, value and cure, and nothing of pydantic's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_launchdarkly import ChangeWindow, Policy, Rollout, rollout_dag
from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.models import ExperimentPost
from airflow_provider_launchdarkly.assets import experiment_uri
from airflow_provider_launchdarkly.config.problems import InvalidSettingError
from airflow_provider_launchdarkly.decision.policy_parts import Guardrail
from airflow_provider_launchdarkly.sensors.significance import LaunchDarklyWaitForSignificanceSensor

EXPERIMENT: dict[str, Any] = {
    "key": "k",
    "flag": "f",
    "hypothesis": "h",
    "treatments": [{"variation": "a", "baseline": True}, {"variation": "b"}],
    "primary_metric": "m",
}
ROLLOUT: dict[str, Any] = {"experiment": EXPERIMENT, "stages": [{"allocation": 50, "gate": "decision"}]}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Policy(alpha=3), "Policy is not valid: alpha: write a number less than 0.5 (given 3)"),
        (lambda: Policy(alpha="0.05"), "Policy is not valid: alpha: write a number (given '0.05')"),
        (lambda: Policy(alhpa=0.05), "Policy is not valid: alhpa: is not known"),  # type: ignore[call-arg]
        (lambda: Policy.from_json({"preset": "best"}), "preset 'best' is none of balanced, do_no_harm, launchdarkly"),
        (lambda: Policy.from_json(7), "policy is 7: write a Policy, or a mapping of its fields"),  # type: ignore[arg-type]
        (lambda: Guardrail(metric=""), "Guardrail is not valid: metric: write text that is not empty (given '')"),
        (lambda: Policy(guardrails=[{"metric": "a", "margin": 2}]), "guardrails[0].margin: write a number less than 1"),
        (lambda: Policy(looks="soon"), "looks.every: 'soon' is no duration; write for instance 7d"),
        (lambda: ChangeWindow(hours="9-17"), "hours '9-17' is no span; write for instance 09:00-17:00"),
        (lambda: ChangeWindow(timezone="CET+1"), "timezone 'CET+1' is not an IANA name"),
        (lambda: ChangeWindow.from_json([]), "ChangeWindow is not valid: write a mapping"),  # type: ignore[arg-type]
        (lambda: Rollout.from_json({**ROLLOUT, "stages": []}), "stages has 0 entries, not 1 to 20"),
        (lambda: Rollout.from_json({**ROLLOUT, "policy": {"alpha": 2}}), "policy.alpha: write a number less than 0.5"),
        (lambda: Rollout.from_json({**ROLLOUT, "policy": {"preset": "x"}}), "policy.preset: preset 'x' is none of"),
        (lambda: rollout_dag({"experiment": EXPERIMENT}), "Rollout is not valid: stages: is required"),
        (lambda: experiment_uri("p", "", "k"), "environment_key is '': an experiment's asset needs the key as text"),
        (lambda: experiment_uri("p", "e", 5), "experiment_key is 5: an experiment's asset needs the key as text"),  # type: ignore[arg-type]
        (
            lambda: sensor(5),
            "results is 5: write DataExportResults(conn_id=…, schema=…), WarehouseNativeResults(…), SqlResults(",
        ),
        (lambda: sensor({"conn_id": "c"}), "results: sql is ''"),
    ],
)
def test_field_value_and_cure_are_named_in_a_line(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as found:
        make()
    told = str(found.value)
    assert message in told
    assert "pydantic" not in told
    assert "\n" not in told


def sensor(results: Any) -> Any:
    return LaunchDarklyWaitForSignificanceSensor(task_id="w", experiment_key="k", iteration_id="i", results=results)


def test_a_long_value_is_cut() -> None:
    for make in (
        lambda: Policy(alpha="x" * 9000),
        lambda: Policy(primary={"metric": ["x" * 9000]}),
        lambda: Rollout.from_json({**ROLLOUT, **{f"field{number}": "x" * 9000 for number in range(50)}}),
        lambda: Rollout.from_json({**ROLLOUT, "stages": [{"allocation": "x" * 9000}] * 50}),
    ):
        with pytest.raises(InvalidSettingError) as found:
            make()
        assert len(str(found.value)) < 1100


def test_a_request_shows_no_dump_of_its_parts() -> None:
    with pytest.raises(ConfigurationError) as found:
        ExperimentPost.checked({"key": "k", "name": "n" * 900, "iteration": {"hypothesis": "x" * 9000}})
    assert len(str(found.value)) < 400


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(timedelta(days=1)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    value=st.dictionaries(
        st.sampled_from(["alpha", "looks", "guardrails", "primary", "traffic", "preset", "max_duration", "hours"])
        | st.sampled_from(["blackout", "weekdays", "experiment", "stages", "policy", "endings", "change_window"]),
        ANYTHING,
        max_size=3,
    )
)
def test_whatever_a_setting_is_only_our_own_error_is_raised(value: dict[str, Any]) -> None:
    for read in (Policy.from_json, ChangeWindow.from_json, Rollout.from_json):
        told = ""
        try:
            read(value)
        except InvalidSettingError as error:
            told = str(error)
        assert "pydantic" not in told
        assert len(told) < 1500
