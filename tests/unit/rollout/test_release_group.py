"""The tasks of releases through environments, run in order against an emulator with three environments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import DAG, task_group

from airflow_provider_launchdarkly.api.endpoints import patch_flag
from airflow_provider_launchdarkly.api.models import OtherFlagInstruction
from airflow_provider_launchdarkly.api.writes.flags import Serving
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.rollout.dag import rollout_dag
from airflow_provider_launchdarkly.rollout.release_group import release_promotion
from airflow_provider_launchdarkly.rollout.release_steps import ReleaseEnding
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.promotions import ENVIRONMENTS, PromotionRunner, make_true, three_environments
from support.release_rollouts import FLAG, GUARDED, RELEASE, started_in

pytestmark = pytest.mark.usefixtures("connection")

APPROVED = {"chosen_options": ["Approve"], "params_input": {}, "responded_by_user": {"id": "1", "name": "grace"}}
REJECTED = {"chosen_options": ["Reject"], "params_input": {}, "responded_by_user": {"id": "1", "name": "grace"}}
UNANSWERED = {"chosen_options": ["Reject"], "params_input": {}}
BACK: Any = "roll_back_all_phases_and_remove_pending_phases"
ON: Any = "roll_forward_all_phases"
KIND = {"contextKind": "user", "attribute": "kind", "op": "in", "values": ["user"]}


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    with EmulatorServer(world=three_environments()) as server:
        make_true(server, 0.0)
        yield server


def run(
    emulator: EmulatorServer,
    spec: dict[str, Any] = RELEASE,
    answer: Any = APPROVED,
    meanwhile: Callable[[str], None] = lambda _task: None,
    **effects: float,
) -> PromotionRunner:
    """Run releases; while it waits in an environment, Bold has that environment's effect."""

    def wait(task_id: str) -> None:
        make_true(emulator, effects.get(task_id.split(".", maxsplit=1)[0], 0.0))
        emulator.clock.advance(timedelta(hours=12))
        meanwhile(task_id)

    return PromotionRunner(rollout_dag(spec), wait=wait, answer=lambda _task: answer).go_on()


def endings(done: PromotionRunner, places: tuple[str, ...] = ENVIRONMENTS) -> list[list[str]]:
    return [[str(each) for each in ReleaseEnding if done.states[f"{key}.{each}"] == "success"] for key in places]


def served(environment: str) -> Any:
    flag = LaunchDarklyHook(environment_key=environment).get_flag(FLAG)
    config = flag.environments[environment]
    rule = config.rule("fallthrough")
    assert rule is not None
    found = flag.variation_at(rule.variation)
    return config.on, None if found is None else found.name


def stop(environment: str, resolution: Any) -> None:
    hook = LaunchDarklyHook(environment_key=environment)
    (release,) = [each for each in hook.list_releases(FLAG) if not each.ended]
    hook.stop_release(FLAG, release.id, resolution)


def test_each_environment_begins_once_the_one_before_has_completed(emulator: EmulatorServer) -> None:
    begun: list[tuple[str, list[str]]] = []
    done = run(emulator, meanwhile=lambda task: begun.append((task, started_in(emulator))))
    assert endings(done) == [["completed"]] * 3
    assert started_in(emulator) == list(ENVIRONMENTS)
    assert all(started == list(ENVIRONMENTS[: ENVIRONMENTS.index(task.split(".")[0]) + 1]) for task, started in begun)
    assert [served(each) for each in ENVIRONMENTS] == [(True, "Bold")] * 3
    assert done.output("production.completed")["release"]["status"] == "completed"
    assert done.output("promote_to_staging")["shipped"]


def test_the_first_that_goes_back_ends_it_and_the_rest_stays_untouched(emulator: EmulatorServer) -> None:
    done = run(emulator, meanwhile=lambda task: stop("staging", BACK) if task == "staging.watch" else None)
    assert endings(done) == [["completed"], ["reverted"], []]
    assert {done.states[each] for each in done.dag.task_ids if each.startswith("production.")} == {"skipped"}
    assert all("production" not in request.path for request in emulator.requests())
    gate = done.output("promote_to_production")
    assert (gate["ending"], gate["shipped"]) == ("reverted", False)
    assert "failed" not in done.states.values()


@pytest.mark.parametrize(("resolution", "ending"), [(BACK, "reverted"), (ON, "completed")])
def test_a_release_that_waits_for_a_person_goes_on_as_the_person_decides(
    emulator: EmulatorServer, resolution: Any, ending: str
) -> None:
    spec = {**GUARDED, "environments": ["test", "production"]}
    done = run(
        emulator, spec, meanwhile=lambda task: stop("test", resolution) if task == "test.decide" else None, test=-0.6
    )
    assert done.output("test.watch")["status"] == "waiting"
    assert endings(done, ("test",)) == [[ending]]
    assert started_in(emulator) == (["test", "production"] if ending == "completed" else ["test"])


def test_people_are_told_once_that_a_release_waits_for_one_of_them(emulator: EmulatorServer) -> None:
    heard: list[Any] = []

    def tell(context: Any) -> None:
        heard.append(context["ti"].task.handed_over["why"])

    dag = rollout_dag({**GUARDED, "environments": ["test"]}, notifiers=[tell])

    def wait(task_id: str) -> None:
        make_true(emulator, -0.6)
        emulator.clock.advance(timedelta(hours=12))
        if task_id == "test.decide" and len(waited) == 2:
            stop("test", BACK)
        waited.extend([task_id] if task_id == "test.decide" else [])

    waited: list[str] = []
    done = PromotionRunner(dag, wait=wait).go_on()
    assert endings(done, ("test",)) == [["reverted"]]
    (told,) = heard
    assert "waits for a person: waiting_regression_detected" in told


def test_a_wait_that_was_marked_by_hand_ends_nothing_and_is_not_called_no_release(emulator: EmulatorServer) -> None:
    dag = rollout_dag({**RELEASE, "environments": ["test", "production"]})
    done = PromotionRunner(dag, wait=lambda _task: None).go_on("test.watch")
    done.states["test.watch"] = "success"
    done.go_on()
    assert endings(done, ("test",)) == [[]]
    assert "`watch` was marked by hand" in done.reasons["test.completed"]
    assert started_in(emulator) == ["test"]


def test_the_time_to_decide_is_bounded_and_a_timeout_starts_nothing_else(emulator: EmulatorServer) -> None:
    spec = {**GUARDED, "decide_within": "3d", "environments": ["test", "production"]}
    dag = rollout_dag(spec)
    decide: Any = dag.get_task("test.decide")
    assert decide.timeout == timedelta(days=5).total_seconds()

    done = PromotionRunner(dag, wait=lambda _task: emulator.clock.advance(timedelta(days=1)))
    done.states["test.decide"] = "failed"
    done.go_on()
    assert done.states["promote_to_production"] == "upstream_failed"
    assert {done.states[each] for each in dag.task_ids if each.startswith("production.")} == {"upstream_failed"}
    assert started_in(emulator) == ["test"]


ASKS = {**RELEASE, "environments": ["test", {"key": "production", "approval": {"before_start": True}}]}


@pytest.mark.parametrize(("answer", "why"), [(REJECTED, "rejected by grace"), (UNANSWERED, "nobody answered in time")])
def test_a_refusal_starts_nothing(emulator: EmulatorServer, answer: Any, why: str) -> None:
    done = run(emulator, ASKS, answer)
    assert endings(done, ("test", "production")) == [["completed"], ["refused"]]
    assert done.output("production.refused") == {"ending": "refused", "why": why, "release": None}
    assert started_in(emulator) == ["test"]
    assert served("production")[1] == "Classic"


def test_an_approval_starts_it_and_shows_the_release(emulator: EmulatorServer) -> None:
    done = run(emulator, ASKS)
    assert endings(done, ("test", "production")) == [["completed"], ["completed"]]
    assert "from Classic to Bold, in steps of 10 % for 1d, 50 % for 1d" in done.bodies["production.approve"]


def test_a_refusal_in_the_first_environment_ends_it(emulator: EmulatorServer) -> None:
    done = run(emulator, {**RELEASE, "approval": {"before_start": True}}, REJECTED)
    assert endings(done) == [["refused"], [], []]
    assert done.output("promote_to_staging")["why"] == "rejected by grace"
    assert not emulator.effects("release.started")


def test_it_starts_only_while_the_window_is_open(emulator: EmulatorServer) -> None:
    window = {"timezone": "UTC", "weekdays": ["thu"], "hours": "00:00-24:00"}
    done = run(emulator, {**RELEASE, "environments": [{"key": "test", "change_window": window}]})
    assert datetime.fromisoformat(done.output("test.start")["started_at"]).strftime("%a") == "Thu"
    assert done.output("test.window")["opened"]


def rule_in(environment: str, description: str, variation: str, *, clauses: Any = (KIND,)) -> str:
    """Add a rule to the flag in an environment; return its id."""
    hook = LaunchDarklyHook(environment_key=environment)
    flag = hook.get_flag(FLAG)
    (serves,) = [each.id for each in flag.variations if each.name == variation]
    add = OtherFlagInstruction.of("addRule", clauses=list(clauses), variationId=serves, description=description)
    hook.run(patch_flag(hook.environment(), FLAG, [add]))
    return str(hook.get_flag(FLAG).environments[environment].rules[-1].id)


def on_rule(rule: str) -> dict[str, Any]:
    return {**RELEASE, "release": {**RELEASE["release"], "rule": rule}, "environments": ["test", "production"]}


def test_a_rule_is_found_in_each_environment_by_its_description(emulator: EmulatorServer) -> None:
    ids = [rule_in(each, "Beta users", "Classic") for each in ("test", "production")]
    assert ids[0] != ids[1]
    done = run(emulator, on_rule("Beta users"))
    assert endings(done, ("test", "production")) == [["completed"], ["completed"]]
    found = [done.output(f"{each}.start")["phases"][0]["rule_id"] for each in ("test", "production")]
    assert found == ids


def no_rule() -> None:
    """The second environment has no such rule."""


def two_rules() -> None:
    rule_in("production", "Beta users", "Classic")
    rule_in("production", "Beta users", "Classic", clauses=[KIND, {**KIND, "attribute": "beta", "values": [True]}])


def of_another_kind() -> None:
    clause = {"contextKind": "organization", "attribute": "kind", "op": "in", "values": ["organization"]}
    rule_in("production", "Beta users", "Classic", clauses=[clause])


def another_served() -> None:
    rule_in("production", "Beta users", "Bold")
    LaunchDarklyHook(environment_key="production").turn_flag(FLAG, on=True)


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (no_rule, "has no rule 'Beta users'; it has only fallthrough"),
        (two_rules, "is the description of 2 rules of flag"),
        (of_another_kind, "has no clause that the context's kind is 'user' alone"),
        (another_served, "It is released already"),
    ],
)
def test_what_means_nothing_or_two_things_in_the_next_environment_is_named_before_a_write(
    emulator: EmulatorServer, there: Callable[[], None], told: str
) -> None:
    rule_in("test", "Beta users", "Classic")
    there()
    before = emulator.effects()
    done = run(emulator, on_rule("Beta users"))
    assert done.states["production.start"] == "failed"
    assert told in done.reasons["production.start"]
    after = [effect for effect in emulator.effects()[len(before) :] if effect["environment"] == "production"]
    assert after == []


def test_a_flag_that_serves_something_else_starts_nothing_and_stays_off(emulator: EmulatorServer) -> None:
    hook = LaunchDarklyHook(environment_key="test")
    flag = hook.get_flag(FLAG)
    hook.serve(FLAG, Serving(weights={each.id: 50_000 for each in flag.variations[:2]}))
    done = run(emulator)
    assert (
        "serves 50 % Classic, 50 % Bold, and the release starts from everyone on 'Classic'"
        in (done.reasons["test.start"])
    )
    assert served("test")[0] is False
    assert not emulator.effects("release.started")


def test_releases_in_a_group_of_ones_own_and_within_another() -> None:
    with DAG("own", schedule=None) as dag:
        groups = release_promotion({**RELEASE, "environments": ["eu.test", "production"]}, retries=3)
        single = {name: value for name, value in RELEASE.items() if name != "environments"}

        @task_group
        def beside() -> None:
            assert list(release_promotion(single)) == ["release"]

        groups["production"].completed >> beside()
    assert list(groups) == ["eu.test", "production"]
    assert groups["eu.test"].reverted.task_id == "eu_test.reverted"
    assert groups["eu.test"].refused.task_id == "eu_test.refused"
    assert {task.retries for task in dag.tasks if not task.task_id.startswith("beside.")} == {3}


def test_a_mapped_group_is_refused() -> None:
    with DAG("mapped", schedule=None):

        @task_group
        def inside(number: int) -> None:
            release_promotion(RELEASE)

        with pytest.raises(ValueError, match="cannot be in a mapped task group"):
            inside.expand(number=[1, 2])


def test_the_documentation_of_the_dag_names_each_environment() -> None:
    dag = rollout_dag(ASKS)
    assert dag.dag_id == FLAG
    assert "| production | checkout-button from Classic to Bold" in str(dag.doc_md)
    assert "| yes |" in str(dag.doc_md)
