"""The example of a guarded release, through `dag.test()`: completed, reverted, and given up while it waits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.views.releases import read_release, release_key
from support.lone_polls import poll_alone

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.testing import EmulatorServer
    from airflow_provider_launchdarkly.views.release_model import ReleaseShown

FLAG = "checkout-button"


def make_true(emulator: EmulatorServer, conversion: float, page_load: float) -> None:
    truth = {
        "people_per_day": 20_000,
        "metrics": {
            "checkout-conversion": {"baseline_rate": 0.2, "effects": {"Bold": {"relative": conversion}}},
            "page-load-ms": {
                "baseline_mean": 800,
                "standard_deviation": 200,
                "effects": {"Bold": {"relative": page_load}},
            },
        },
    }
    emulator.call(lambda it: it.world.projects["demo"].truths.update({FLAG: GroundTruth.from_dict(truth)}))


@pytest.mark.usefixtures("connection")
@pytest.mark.parametrize(
    ("conversion", "page_load", "branch", "served", "effects"),
    [
        (0.05, -0.05, "everyone_has_it", 1, ["release_started", "release_completed"]),
        (-0.3, 0.0, "look_into_it", 0, ["release_started", "release_reverted"]),
        (0.05, 0.2, "give_up", 0, ["release_started", "release_waiting", "release_reverted"]),
    ],
)
def test_a_guarded_release_ends_as_its_metrics_are(
    emulator: EmulatorServer,
    load_dag: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    conversion: float,
    page_load: float,
    branch: str,
    served: int,
    effects: list[str],
) -> None:
    async def turn(_: float) -> None:
        emulator.clock.advance("P1D")

    poll_alone(monkeypatch, turn)
    make_true(emulator, conversion, page_load)

    run = load_dag("guarded_release").test()

    assert run.state == "success"
    states = {ti.task_id: str(ti.state) for ti in run.get_task_instances()}
    taken = {name for name in ("everyone_has_it", "look_into_it", "give_up") if states[name] == "success"}
    assert taken == {branch}
    config = LaunchDarklyHook().get_flag(FLAG).environments["production"]
    assert config.fallthrough
    assert [serves.variation for serves in config.rules or [config.fallthrough]] == [served]
    assert len(emulator.effects("release.started")) == 1
    assert emitted(run.run_id) == effects
    shown = noted(run.run_id)
    assert (shown.status, shown.bad) == (effects[1].removeprefix("release_"), branch != "everyone_has_it")
    assert [key for key, _ in shown.metrics] == ["checkout-conversion", "page-load-ms"]


def noted(run_id: str) -> ReleaseShown:
    """What the pages show of the run's release."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    key = release_key("demo", "production", FLAG)
    with create_session() as session:
        (entry,) = session.scalars(select(XComModel).where(XComModel.run_id == run_id, XComModel.key == key))
        body = XComModel.deserialize_value(entry)
    found = read_release(json.loads(body) if isinstance(body, str) else body)
    assert found is not None
    return found


def emitted(run_id: str) -> list[str]:
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        events = session.scalars(
            select(AssetEvent).where(AssetEvent.source_run_id == run_id).order_by(AssetEvent.timestamp)
        )
        return [event.extra["event"] for event in events if "release_id" in event.extra]
