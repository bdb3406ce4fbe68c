"""``[launchdarkly] poll_interval`` in Airflow's configuration: seconds, or an error that names it."""

from __future__ import annotations

import pytest

from airflow_provider_launchdarkly import LaunchDarklyWaitForSignificanceSensor, Policy
from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.triggers._poll_interval import configured_poll_interval

NAME = "AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL"


@pytest.mark.parametrize("written", ["60s", "", "0", "-5", "nan", "inf", "1e12", "5 minutes"])
def test_what_is_no_interval_is_refused_by_name_with_its_cure(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, written)
    with pytest.raises(ConfigurationError) as refused:
        LaunchDarklyWaitForSignificanceSensor(
            task_id="wait", experiment_key="k", iteration_id="i", policy=Policy.preset("balanced")
        )
    assert f"[launchdarkly] poll_interval is {written!r}" in str(refused.value)
    assert "write seconds, a number above 0" in str(refused.value)


def test_seconds_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "62.5")
    assert configured_poll_interval() == 62.5
