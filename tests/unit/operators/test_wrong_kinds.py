"""A value of a wrong kind in a DAG file is refused by the name of its argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly import (
    LaunchDarklyDwellSensor,
    LaunchDarklyReleaseSensor,
    LaunchDarklySetFlagOperator,
)
from airflow_provider_launchdarkly.api.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

STRANGE: tuple[Any, ...] = (5, float("nan"), True, [[]], "x" * 5000)


def reviewed(value: Any) -> object:
    return LaunchDarklySetFlagOperator(task_id="t", flag_key="f", on=True, reviewers=value)


def released(value: Any) -> object:
    return LaunchDarklyReleaseSensor(task_id="t", flag_key="f", release_id="r", ends_on=value)


def dwelled(value: Any) -> object:
    return LaunchDarklyDwellSensor(task_id="t", experiment_key="k", iteration_id="i", dwell=value)


@pytest.mark.parametrize("value", STRANGE, ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize(("make", "name"), [(reviewed, "reviewers is"), (released, "ends_on is"), (dwelled, "dwell: ")])
def test_a_value_of_a_wrong_kind_is_refused_by_the_name_of_its_argument(
    make: Callable[[Any], object], name: str, value: Any
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make(value)
    assert str(refused.value).startswith(name)
    assert "write" in str(refused.value)
    assert len(str(refused.value)) < 300
