"""People are told of a whole rollout by the callbacks that Airflow itself calls."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_launchdarkly import rollout_dag
from airflow_provider_launchdarkly.testing import EmulatorServer
from dags.conftest import register
from dags.test_rollout_examples import make_world
from support.heard import HEARD, PATH
from support.lone_polls import poll_alone

ROLLOUT = {
    "experiment": {
        "key": "told",
        "flag": "checkout-button",
        "hypothesis": "Bold is better.",
        "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
        "primary_metric": "checkout-conversion",
    },
    "stages": [{"allocation": 10, "dwell": "1d", "gate": "none"}, {"allocation": 50, "gate": "decision"}],
    "turn_flag_on": True,
    "notify": [{"through": PATH}],
}


def test_a_rollout_tells_of_its_start_its_stages_harm_and_its_end(
    connection: str, emulator: EmulatorServer, airflow_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sleep(seconds: float) -> None:
        emulator.clock.advance(timedelta(seconds=seconds))

    poll_alone(monkeypatch, sleep)
    HEARD.clear()
    make_world(emulator, "harm")
    dag = rollout_dag(ROLLOUT, poll_interval=6 * 60 * 60)
    register(dag)
    assert dag.test().state == "success"
    started, entered, harm, ended = HEARD
    assert started.startswith("Started: told, stage 1 of 2: Bold 10 %, Classic 90 %")
    assert entered.startswith("Next stage: told, stage 2 of 2: Bold 50 %, Classic 50 %")
    assert harm.startswith("rollback: ")
    assert "Who gets what now: Bold 50 %, Classic 50 %, in stage 2 of 2" in harm
    assert ended.startswith("rollback: ")
    assert "Who gets what now: everyone gets Classic, the baseline" in ended
    for message in HEARD:
        assert "/dags/told/runs/" in message
        assert "LaunchDarkly: http" in message
