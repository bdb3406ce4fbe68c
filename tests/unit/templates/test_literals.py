"""What can be checked when the DAG file is parsed."""

from __future__ import annotations

from airflow_provider_launchdarkly.templates import is_literal


def test_what_a_template_or_another_task_fills_in_is_not_literal() -> None:
    assert is_literal([{"variation": "a", "baseline": True, "allocation_percent": 50.5}])
    assert not is_literal([{"variation": "{{ params.variation }}"}])
    assert not is_literal({"{% if x %}": 1})
    assert not is_literal([object()])
