"""The examples of rollouts through `dag.test()`: each to each of its endings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.endings import ENDINGS
from support.lone_polls import poll_alone

APPROVED = {"chosen_options": ["Approve"], "params_input": {}, "responded_by_user": {"id": "1", "name": "grace"}}


@pytest.fixture(autouse=True)
def time_flies(connection: str, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The triggers' sleeps take no time; each turns the emulator's clock by as much as it would have slept."""

    async def sleep(seconds: float) -> None:
        emulator.clock.advance(timedelta(seconds=seconds))

    poll_alone(monkeypatch, sleep)
    # Often enough to meet each day's change window, seldom enough to be quick.
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL", str(6 * 60 * 60))


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who approves at once: `dag.test()` itself would wait for one for ever."""
    from airflow.providers.standard.operators.hitl import HITLOperator

    def execute(self: Any, context: Any) -> Any:
        return APPROVED

    monkeypatch.setattr(HITLOperator, "execute", execute)


def states(run: Any) -> dict[str, list[str]]:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    found: dict[str, list[str]] = {}
    with create_session() as session:
        wanted = (TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id)
        for row in session.scalars(select(TaskInstance).where(*wanted).order_by(TaskInstance.map_index)):
            found.setdefault(row.task_id, []).append(str(row.state))
    return found


def ended(run: Any, group: str = "rollout") -> list[str]:
    assert run.state == "success"
    found = states(run)
    return [ending for ending in ENDINGS for state in found[f"{group}.{ending}"] if state == "success"]


def make_world(emulator: EmulatorServer, world: str) -> None:
    """One of the emulator's scenarios, or one in which Bold does much good or much harm."""
    if world not in {"good", "harm"}:
        emulator.reset(world)
        return
    effect = 0.3 if world == "good" else -0.3
    truth = GroundTruth.from_dict(
        {
            "people_per_day": 4_000,
            "metrics": {
                "checkout-conversion": {"baseline_rate": 0.10, "effects": {"Bold": {"relative": effect}}},
                "page-load-ms": {"baseline_mean": 820, "standard_deviation": 240},
            },
        }
    )
    emulator.call(lambda inside: inside.world.projects["demo"].truths.update({"checkout-button": truth}))


@pytest.mark.parametrize(
    ("world", "ending"),
    [("good", "ship"), ("harm", "rollback"), ("no-effect", "inconclusive"), ("broken-split", "invalid")],
)
@pytest.mark.parametrize("dag_id", ["by_hand", "plain_operators"])
def test_each_ending(
    emulator: EmulatorServer, load_dag: Callable[[str], Any], dag_id: str, world: str, ending: str
) -> None:
    make_world(emulator, world)
    run = load_dag(dag_id).test()
    assert run.state == "success"
    found = states(run)
    if dag_id == "by_hand":
        assert ended(run) == [ending]
    else:
        branches = {"ship": "ship", "rollback": "back", "inconclusive": "back", "invalid": "tell"}
        assert [task for task in ("ship", "back", "tell") if found[task] == ["success"]] == [branches[ending]]


@pytest.mark.usefixtures("answered")
@pytest.mark.parametrize(
    ("world", "ending"),
    [("good", "ship"), ("harm", "rollback"), ("no-effect", "inconclusive"), ("broken-split", "invalid")],
)
def test_the_staged_ramp_comes_to_each_ending(
    emulator: EmulatorServer, load_dag: Callable[[str], Any], world: str, ending: str
) -> None:
    make_world(emulator, world)
    run = load_dag("staged_ramp").test()
    assert ended(run) == [ending]


def test_markets_are_rolled_out_side_by_side(emulator: EmulatorServer, load_dag: Callable[[str], Any]) -> None:
    run = load_dag("markets").test()
    assert run.state == "success"
    found = states(run)
    assert [len(found[f"market.rollout.{ending}"]) for ending in ENDINGS] == [2] * len(ENDINGS)
    for number in range(2):
        assert sum(found[f"market.rollout.{ending}"][number] == "success" for ending in ENDINGS) == 1
    started = {effect["environment"] for effect in emulator.effects("iteration.started")}
    assert started == {"production", "test"}


def test_the_next_idea_follows_the_one_before(emulator: EmulatorServer, load_dag: Callable[[str], Any]) -> None:
    run = load_dag("rotation").test()
    assert len(ended(run, "semantic")) == 1
    assert len(ended(run, "hybrid")) == 1
    events = [effect for effect in emulator.effects() if effect["kind"] in {"iteration.started", "iteration.stopped"}]
    assert [(effect["kind"], effect["experiment"]) for effect in events] == [
        ("iteration.started", "search-semantic"),
        ("iteration.stopped", "search-semantic"),
        ("iteration.started", "search-hybrid"),
        ("iteration.stopped", "search-hybrid"),
    ]


def test_each_week_has_an_iteration_of_its_own_and_nothing_is_shipped(
    emulator: EmulatorServer, load_dag: Callable[[str], Any]
) -> None:
    dag = load_dag("weekly_iterations")
    for week in range(3):
        run = dag.test()
        assert run.state == "success"
        assert states(run)["start_next"] == (["skipped"] if week == 0 else ["success"])
        emulator.clock.advance("P7D")
    assert len(emulator.effects("iteration.started")) == 3
    assert [effect["winner"] for effect in emulator.effects("iteration.stopped")] == [None, None]


@pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
@pytest.mark.parametrize("key", ["from-the-form", "123"])
def test_the_form_names_the_experiment(
    emulator: EmulatorServer, load_dag: Callable[[str], Any], key: str, native: bool
) -> None:
    make_world(emulator, "good")
    dag = load_dag("by_hand")
    dag.render_template_as_native_obj = native
    run = dag.test(run_conf={"experiment_key": key})
    assert ended(run) == ["ship"]
    assert emulator.effects("experiment.created")[0]["experiment"] == key
