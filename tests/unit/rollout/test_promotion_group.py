"""The tasks of a promotion, run in order against an emulator with three environments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG, task_group
from typing_extensions import override

from airflow_provider_launchdarkly.emulator.transport.engine import Emulator
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.retries import RETRIES
from airflow_provider_launchdarkly.rollout.dag import rollout_dag
from airflow_provider_launchdarkly.rollout.promotion_group import experiment_promotion
from airflow_provider_launchdarkly.rollout.task_group import experiment_rollout
from airflow_provider_launchdarkly.testing import EmulatorServer
from airflow_provider_launchdarkly.views.airflow_run import Note, Run, Task
from airflow_provider_launchdarkly.views.model import State
from airflow_provider_launchdarkly.views.whole import detail_of
from support.endings import ENDINGS
from support.promotions import ENVIRONMENTS, PromotionRunner, changed_in, make_true, three_environments, truth

pytestmark = pytest.mark.usefixtures("connection")

ROLLOUT: dict[str, Any] = {
    "experiment": {
        "key": "button",
        "flag": "checkout-button",
        "hypothesis": "Bold is better.",
        "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
        "primary_metric": "checkout-conversion",
    },
    "stages": [{"allocation": 10, "dwell": "1d"}, {"allocation": 50, "gate": "decision"}],
    "policy": {"min_duration": "2d", "max_duration": "7d"},
    "turn_flag_on": True,
}
PROMOTION = {**ROLLOUT, "environments": ["test", "staging", {"key": "production", "endings": {"inconclusive": "ask"}}]}


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    """An emulator with three environments, in which Bold does much good."""
    with EmulatorServer(world=three_environments()) as server:
        make_true(server, 0.3)
        yield server


def run(emulator: EmulatorServer, spec: dict[str, Any] = PROMOTION, **effects: float) -> PromotionRunner:
    """Run a promotion; while it waits in an environment, Bold has that environment's effect."""

    def wait(task_id: str) -> None:
        place = task_id.partition(".")[0]
        if place in effects:
            make_true(emulator, effects[place])
        emulator.clock.advance(timedelta(days=1))

    done = PromotionRunner(rollout_dag(spec), wait=wait)
    done.run()
    return done


def endings(done: PromotionRunner) -> dict[str, list[str]]:
    return {
        place: [str(ending) for ending in ENDINGS if done.states[f"{place}.{ending}"] == "success"]
        for place in ENVIRONMENTS
    }


def test_three_environments_ship_in_order(emulator: EmulatorServer) -> None:
    done = run(emulator)
    assert endings(done) == {place: ["ship"] for place in ENVIRONMENTS}
    assert changed_in(emulator, "experiment.created") == list(ENVIRONMENTS)
    assert changed_in(emulator, "iteration.started") == ["test"] * 2 + ["staging"] * 2 + ["production"] * 2
    gate = done.output("promote_to_production")
    assert (gate["environment"], gate["ending"], gate["shipped"], gate["next"]) == (
        "staging",
        "ship",
        True,
        "production",
    )


@pytest.mark.parametrize(("effect", "ending"), [(-0.5, "rollback"), (0.0, "inconclusive")])
def test_the_first_that_does_not_ship_ends_it_and_leaves_those_after_it_untouched(
    emulator: EmulatorServer, effect: float, ending: str
) -> None:
    done = run(emulator, staging=effect)
    assert endings(done) == {"test": ["ship"], "staging": [ending], "production": []}
    assert {state for task, state in done.states.items() if task.startswith("production.")} == {"skipped"}
    assert not set(done.states.values()) & {"failed", "upstream_failed"}
    gate = done.output("promote_to_production")
    assert (gate["ending"], gate["shipped"]) == (ending, False)
    assert all("production" not in request.path for request in emulator.requests())


def test_nothing_begins_if_the_first_does_not_ship(emulator: EmulatorServer) -> None:
    done = run(emulator, test=-0.5)
    assert endings(done) == {"test": ["rollback"], "staging": [], "production": []}
    assert done.states["promote_to_production"] == "skipped"
    assert set(changed_in(emulator, "iteration.started")) == {"test"}


def test_where_a_task_failed_only_that_environment_is_told_of(emulator: EmulatorServer) -> None:
    dag = rollout_dag({**PROMOTION, "experiment": {**PROMOTION["experiment"], "flag": "not-there"}})
    done = PromotionRunner(dag, wait=lambda _task: emulator.clock.advance(timedelta(days=1)))
    done.run()
    assert done.states["test.stage_1.start"] == "failed"
    assert done.states["test.unwatched"] == "failed"
    assert done.states["promote_to_staging"] == "upstream_failed"
    for place in ("staging", "production"):
        assert done.states[f"{place}.unwatched"] == "skipped"
        assert "was not begun" in done.reasons[f"{place}.unwatched"]


class GateFails(PromotionRunner):
    @override
    def _execute(self, original: Any) -> str:
        return "failed" if original.task_id == "promote_to_staging" else super()._execute(original)


def test_a_gate_that_failed_is_told_of_where_nothing_has_begun(emulator: EmulatorServer) -> None:
    done = GateFails(rollout_dag(PROMOTION), wait=lambda _task: emulator.clock.advance(timedelta(days=1)))
    done.run()
    assert done.states["staging.unwatched"] == "failed"
    assert "the task promote_to_staging failed" in done.reasons["staging.unwatched"]
    assert "has started no iteration" in done.reasons["staging.unwatched"]
    assert done.states["production.unwatched"] == "skipped"


def test_where_all_observe_none_waits_for_another(emulator: EmulatorServer) -> None:
    dag = rollout_dag({**ROLLOUT, "autonomy": "observe", "environments": list(ENVIRONMENTS)})
    assert not [task for task in dag.task_ids if task.startswith("promote_to")]
    done = PromotionRunner(dag, wait=lambda _task: None)
    done.run()
    assert [done.states[f"{place}.dry_run"] for place in ENVIRONMENTS] == ["success"] * 3
    assert emulator.effects() == []


def test_a_last_environment_that_observes_begins_after_the_one_before(emulator: EmulatorServer) -> None:
    spec = {**ROLLOUT, "environments": ["test", {"key": "production", "autonomy": "observe"}]}
    dag = rollout_dag(spec)
    assert dag.get_task("production.dry_run").upstream_task_ids == {"promote_to_production"}
    done = PromotionRunner(dag, wait=lambda _task: emulator.clock.advance(timedelta(days=1)))
    done.run()
    assert done.states["test.ship"] == "success"
    assert done.states["production.dry_run"] == "success"
    assert set(changed_in(emulator, "iteration.started")) == {"test"}


def test_a_rule_that_is_named_by_its_description_is_each_environments_own(emulator: EmulatorServer) -> None:
    experiment = {
        **ROLLOUT["experiment"],
        "flag": "pricing-page",
        "rule": "German visitors",
        "treatments": [{"variation": False, "baseline": True}, {"variation": "New"}],
    }
    spec = {**ROLLOUT, "experiment": experiment, "stages": ROLLOUT["stages"][-1:], "environments": ["test", "staging"]}
    emulator.call(lambda inside: inside.world.projects["demo"].truths.update({"pricing-page": truth(0.3, "New")}))
    give_staging_a_rule_of_its_own(emulator)
    done = PromotionRunner(rollout_dag(spec), wait=lambda _task: emulator.clock.advance(timedelta(days=1)))
    done.run()
    assert done.succeeded("test.ship", "staging.ship") == ["test.ship", "staging.ship"]
    flags = {place: LaunchDarklyHook(environment_key=place).get_flag("pricing-page") for place in ("test", "staging")}
    own = [flag.environments[place].rules[0] for place, flag in flags.items()]
    posted = [entry.body for entry in emulator.journal() if entry.body and "iteration" in entry.body]
    assert [body["iteration"]["flags"]["pricing-page"]["ruleId"] for body in posted] == [rule.id for rule in own]
    assert own[0].id != own[1].id
    shipped = [flags["test"].variation_at(rule.variation) for rule in own]
    assert [found.name for found in shipped if found] == ["New", "New"]


def give_staging_a_rule_of_its_own(emulator: EmulatorServer) -> None:
    def change(inside: Emulator) -> None:
        flags = inside.world.projects["demo"].flags
        configs = dict(flags["pricing-page"].configs)
        (rule,) = configs["staging"].rules
        configs["staging"] = replace(configs["staging"], rules=(replace(rule, id="staging-rule"),))
        flags["pricing-page"] = replace(flags["pricing-page"], configs=configs)

    emulator.call(change)


def test_each_environment_leaves_notes_of_its_own(emulator: EmulatorServer) -> None:
    done = run(emulator)
    notes = {key for _, key in done.xcoms if key.startswith("launchdarkly_note/")}
    assert notes == {f"launchdarkly_note/demo/{place}/button" for place in ENVIRONMENTS}


def test_what_a_gate_skips_stays_skipped_when_only_that_is_cleared(emulator: EmulatorServer) -> None:
    done = run(emulator, test=-0.5)
    assert done.dag.get_task("promote_to_staging").inherits_from_skipmixin
    skipped = done.xcoms["promote_to_staging", "skipmixin_key"]["skipped"]
    later = {task for task in done.dag.task_ids if task.startswith(("staging.", "production."))}
    assert set(skipped) == {*later, "promote_to_production"}
    for place in ("staging", "production"):
        gate = done.dag.get_task(f"promote_to_{place}")
        anyway = [task for task in done.dag.tasks if task.trigger_rule == "none_failed"]
        own = {task.task_id for task in anyway if task.task_id.startswith(f"{place}.")}
        assert {f"{place}.stage_2.start", f"{place}.verdict"} <= own <= gate.downstream_task_ids


def test_a_promotion_within_a_group_and_beside_other_tasks() -> None:
    with DAG("d", schedule=None) as dag:

        @task_group
        def outer() -> None:
            groups = experiment_promotion(PROMOTION)
            assert list(groups) == list(ENVIRONMENTS)
            assert groups["production"].ship.task_id == "outer.production.ship"

        outer()
    gate: Any = dag.get_task("outer.promote_to_production")
    assert set(gate.later) == {task for task in dag.task_ids if task.startswith("outer.production.")}
    assert gate.retries == RETRIES


def test_a_rollout_without_environments_has_the_tasks_that_it_had() -> None:
    with DAG("button", schedule=None) as before:
        experiment_rollout(ROLLOUT)
    assert rollout_dag(ROLLOUT).task_ids == before.task_ids
    unwatched: Any = before.get_task("rollout.unwatched")
    assert unwatched.after is None


@pytest.mark.parametrize("name", ["environment_key", "rule_id"])
def test_what_each_environment_sets_is_no_override(name: str) -> None:
    overrides: dict[str, Any] = {name: "x"}
    with DAG("d", schedule=None), pytest.raises(TypeError, match=f"takes no '{name}'"):
        experiment_promotion(PROMOTION, **overrides)


def test_a_mapped_group_is_refused() -> None:
    with DAG("d", schedule=None):

        @task_group
        def each(experiment_key: str) -> None:
            experiment_promotion(PROMOTION, experiment_key=experiment_key)

        with pytest.raises(ValueError, match="a promotion cannot be in a mapped task group"):
            each.expand(experiment_key=["a", "b"])


def test_the_documentation_of_the_dag_names_the_order_and_each_schedule() -> None:
    told = rollout_dag(PROMOTION).doc_md or ""
    assert "**test**, then **staging**, then **production**" in told
    assert all(f"### button in {place}\n" in told for place in ENVIRONMENTS)


def test_the_pages_show_each_environment_as_an_experiment_of_its_own(emulator: EmulatorServer) -> None:
    done = run(emulator, staging=-0.5)
    tasks = tuple(Task(task_id, state) for task_id, state in done.states.items())
    shown = {}
    for place in ("test", "staging"):
        key = f"launchdarkly_note/demo/{place}/button"
        notes = [Note(task_id, -1, body) for (task_id, name), body in done.xcoms.items() if name == key]
        detail = detail_of(notes, Run("button", "run", "success", tasks))
        shown[detail.summary.environment] = (detail.summary.key, detail.summary.state)
    assert shown == {"test": ("button", State.SHIPPED), "staging": ("button", State.ROLLED_BACK)}
