"""The four writes as operators: what they return, and that a repeated task writes nothing twice."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_launchdarkly.api.errors import ConfigurationError, ServerError, TransportError
from airflow_provider_launchdarkly.operators.experiments import (
    LaunchDarklyCreateExperimentOperator,
    LaunchDarklyExperimentBaseOperator,
)
from airflow_provider_launchdarkly.operators.iterations import (
    LaunchDarklyCreateIterationOperator,
    LaunchDarklyStartIterationOperator,
    LaunchDarklyStopIterationOperator,
)
from airflow_provider_launchdarkly.testing import EmulatorServer

pytestmark = pytest.mark.usefixtures("connection")

TREATMENTS = [
    {"variation": "Classic", "allocation_percent": 50, "baseline": True},
    {"variation": "Bold", "allocation_percent": 50},
]
DESIGN = {
    "experiment_key": "button",
    "flag_key": "checkout-button",
    "hypothesis": "Bold is better.",
    "treatments": TREATMENTS,
    "primary_metric": "checkout-conversion",
    "metrics": ["page-load-ms"],
}


class Store:
    """Airflow 3.3's task state store, which outlives a try of the task."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def set(self, key: str, value: Any) -> None:
        self.values[key] = value


def context(store: Store | None = None, try_number: int = 1) -> Any:
    ti = SimpleNamespace(dag_id="rollout", task_id="task", run_id="run-1", try_number=try_number)
    return {"ti": ti} | ({"task_state_store": store} if store else {})


def create(**changes: Any) -> Any:
    fields = {**DESIGN, "name": "Button"} | changes
    return LaunchDarklyCreateExperimentOperator(task_id="create", **fields).execute(context())


def create_iteration(store: Store | None = None, **changes: Any) -> Any:
    return LaunchDarklyCreateIterationOperator(task_id="again", **(DESIGN | changes)).execute(context(store))


def start(iteration_id: str, *, turn_flag_on: bool = True, **changes: Any) -> Any:
    fields = {"experiment_key": "button", "iteration_id": iteration_id, "turn_flag_on": turn_flag_on} | changes
    return LaunchDarklyStartIterationOperator(task_id="start", **fields).execute(context())


def stop(iteration_id: str, winner: Any, **changes: Any) -> Any:
    fields = {"experiment_key": "button", "iteration_id": iteration_id, "winner": winner} | changes
    return LaunchDarklyStopIterationOperator(task_id="stop", **fields).execute(context())


def count(emulator: EmulatorServer, kind: str) -> int:
    return sum(effect["kind"] == kind for entry in emulator.journal() for effect in entry.effects)


def test_the_whole_path_returns_plain_json(emulator: EmulatorServer) -> None:
    created = create()
    started = start(created["iteration_id"])
    stopped = stop(created["iteration_id"], "Bold")
    for output in (created, started, stopped):
        assert json.loads(json.dumps(output)) == output
        assert output["experiment_key"] == "button"
        assert output["iteration_id"] == created["iteration_id"]
        assert output["changed"] is True
    assert [created["status"], started["status"], stopped["status"]] == ["not_started", "running", "stopped"]
    assert [treatment["name"] for treatment in created["treatments"]] == ["Classic", "Bold"]
    assert (stopped["winning_treatment"], stopped["variation"], stopped["rule_id"]) == ("Bold", "bold", "fallthrough")


def test_a_repeated_task_finds_its_work_done_and_writes_nothing(emulator: EmulatorServer) -> None:
    iteration = create()["iteration_id"]
    assert create()["changed"] is False
    start(iteration)
    assert start(iteration)["changed"] is False
    stop(iteration, "baseline")
    assert stop(iteration, "Classic")["changed"] is False
    for kind in ("experiment.created", "iteration.created", "iteration.started", "iteration.stopped"):
        assert count(emulator, kind) == 1


def test_an_experiment_with_other_content_is_an_error_that_shows_the_difference() -> None:
    create()
    other = [{**TREATMENTS[0], "allocation_percent": 90}, {**TREATMENTS[1], "allocation_percent": 10}]
    with pytest.raises(
        AirflowFailException, match=r"ExperimentDiffersError.*allocationPercent.*asked '?90.*found '?50"
    ):
        create(treatments=other)


def test_a_draft_is_adopted_by_a_repeated_create_iteration(emulator: EmulatorServer) -> None:
    first = create()
    start(first["iteration_id"])
    stop(first["iteration_id"], "baseline")
    second = create_iteration()
    again = create_iteration()
    assert second["iteration_id"] == again["iteration_id"] != first["iteration_id"]
    assert (second["changed"], again["changed"]) == (True, False)
    assert count(emulator, "iteration.created") == 2


def test_a_cleared_create_iteration_remembers_what_it_made_although_it_was_started(emulator: EmulatorServer) -> None:
    first = create()
    start(first["iteration_id"])
    stop(first["iteration_id"], "baseline")
    store = Store()
    second = create_iteration(store)
    start(second["iteration_id"])
    again = create_iteration(store)
    assert (again["iteration_id"], again["changed"]) == (second["iteration_id"], False)
    assert count(emulator, "iteration.created") == 2


def test_a_flag_that_is_off_starts_nothing_unless_asked_to_turn_it_on(emulator: EmulatorServer) -> None:
    iteration = create()["iteration_id"]
    with pytest.raises(AirflowFailException, match=r"FlagOffError.*turn_flag_on"):
        start(iteration, turn_flag_on=False)
    assert count(emulator, "iteration.started") == 0


def test_a_rule_owned_by_another_running_experiment_is_an_error_that_names_it() -> None:
    start(create()["iteration_id"])
    rival = create(experiment_key="rival")
    with pytest.raises(AirflowFailException, match=r"RuleOwnedError.*'?button"):
        start(rival["iteration_id"], experiment_key="rival")


def refusing(iteration_id: str, given: Any) -> Any:
    operator = LaunchDarklyStartIterationOperator(
        task_id="start", experiment_key="button", iteration_id=iteration_id, turn_flag_on=True, if_running="refuse"
    )
    return operator.execute(given)


@pytest.mark.parametrize("store", [Store(), None], ids=["3.3", "before 3.3"])
def test_a_second_run_refuses_what_another_one_started(emulator: EmulatorServer, store: Store | None) -> None:
    iteration = create()["iteration_id"]
    assert refusing(iteration, context(Store()))["changed"]
    with pytest.raises(AirflowFailException, match=r"AlreadyRunningError.*another run has it.*if_running='adopt'"):
        refusing(iteration, context(store))
    assert count(emulator, "iteration.started") == 1


def test_a_run_that_refused_refuses_again_when_it_is_cleared(emulator: EmulatorServer) -> None:
    iteration = create()["iteration_id"]
    refusing(iteration, context(Store()))
    second = Store()
    for number in (1, 2):
        with pytest.raises(AirflowFailException, match="another run has it"):
            refusing(iteration, context(second, try_number=number))


def test_a_try_that_got_lost_before_it_wrote_claims_nothing(emulator: EmulatorServer) -> None:
    iteration = create()["iteration_id"]
    second = Store()
    emulator.fault("get_experiment", "status", status=401)
    with pytest.raises(AirflowFailException, match="401"):
        refusing(iteration, context(second))
    refusing(iteration, context(Store()))
    with pytest.raises(AirflowFailException, match="another run has it"):
        refusing(iteration, context(second, try_number=2))


def test_a_repeat_of_the_run_that_started_it_does_not_refuse_itself(emulator: EmulatorServer) -> None:
    iteration = create()["iteration_id"]
    store = Store()
    refusing(iteration, context(store))
    assert not refusing(iteration, context(store, try_number=2))["changed"]
    # Before 3.3 nothing outlives a try, so a later try takes what runs for its own.
    assert not refusing(iteration, context(try_number=2))["changed"]
    assert count(emulator, "iteration.started") == 1


def test_if_running_is_one_of_two_words() -> None:
    with pytest.raises(ConfigurationError, match="if_running is 'wait': write one of adopt, refuse"):
        LaunchDarklyStartIterationOperator(task_id="s", experiment_key="e", iteration_id="i", if_running="wait")


def test_stopping_says_first_what_everyone_will_be_served(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    iteration = create()["iteration_id"]
    start(iteration)
    stopped_when_said: list[int] = []
    said: list[str] = []

    class Log:
        def warning(self, *_: object) -> None:
            """Airflow says that the task runs outside of its runner."""

        def info(self, message: str, *values: object) -> None:
            said.append(message % values)
            stopped_when_said.append(count(emulator, "iteration.stopped"))

    monkeypatch.setattr(LaunchDarklyStopIterationOperator, "log", Log())
    stop(iteration, "baseline")
    assert "flag checkout-button" in said[0]
    assert "will serve variation 'Classic'" in said[0]
    assert stopped_when_said[0] == 0
    assert count(emulator, "iteration.stopped") == 1


def test_a_verdict_that_is_invalid_stops_nothing_and_fails_without_retry(emulator: EmulatorServer) -> None:
    iteration = create()["iteration_id"]
    start(iteration)
    verdict = {"verdict": "invalid", "reason": "mismatch", "summary": "53/47", "experiment_key": "button"}
    with pytest.raises(AirflowFailException, match="invalid"):
        stop(iteration, verdict | {"iteration_id": iteration})
    assert count(emulator, "iteration.stopped") == 0


def test_stopping_with_another_winner_than_before_is_an_error() -> None:
    iteration = create()["iteration_id"]
    start(iteration)
    stop(iteration, "baseline")
    with pytest.raises(AirflowFailException, match=r"IterationStoppedError.*'Classic'.*'Bold'"):
        stop(iteration, "Bold")


def test_the_verdicts_summary_becomes_launchdarklys_reason(emulator: EmulatorServer) -> None:
    iteration = create()["iteration_id"]
    start(iteration)
    verdict = {"verdict": "inconclusive", "summary": "nothing after 28 days", "experiment_key": "button"}
    assert stop(iteration, verdict | {"iteration_id": iteration})["winning_reason"] == "nothing after 28 days"


@pytest.mark.parametrize("changes", [{"treatments": TREATMENTS[:1]}, {"primary_metric": None}, {"hypothesis": ""}])
def test_what_can_be_seen_to_be_wrong_is_refused_when_the_dag_file_is_parsed(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        LaunchDarklyCreateExperimentOperator(task_id="create", name="Button", **(DESIGN | changes))


def test_templated_fields_are_checked_when_the_task_runs() -> None:
    operator = LaunchDarklyCreateExperimentOperator(
        task_id="create", name="Button", **(DESIGN | {"primary_metric": "{{ params.metric }}"})
    )
    operator.primary_metric = ""
    with pytest.raises(AirflowFailException, match="primary_metric"):
        operator.execute(context())


def test_an_unknown_flag_is_an_error_that_names_it() -> None:
    with pytest.raises(AirflowFailException, match="no-such-flag"):
        create(flag_key="no-such-flag")


def test_an_unknown_metric_is_an_error_that_names_it() -> None:
    with pytest.raises(AirflowFailException, match="no-such-metric"):
        create(primary_metric="no-such-metric")


def test_an_unknown_experiment_is_an_error_that_names_it() -> None:
    with pytest.raises(AirflowFailException, match="no-such-experiment"):
        start("i-1", experiment_key="no-such-experiment")


class Failing(LaunchDarklyExperimentBaseOperator):
    """An operator whose work raises what it is given."""

    def __init__(self, *, error: Exception, **kwargs: Any) -> None:
        super().__init__(experiment_key="button", **kwargs)
        self.error = error

    def act(self, context: Any) -> Any:
        raise self.error


@pytest.mark.parametrize("error", [TransportError("closed"), ServerError("500")])
def test_what_a_retry_may_cure_is_left_to_airflows_retries(error: Exception) -> None:
    with pytest.raises(type(error)):
        Failing(task_id="failing", error=error).execute(context())


def test_what_a_retry_cannot_cure_fails_at_once() -> None:
    with pytest.raises(AirflowFailException, match="ConfigurationError: no project"):
        Failing(task_id="failing", error=ConfigurationError("no project")).execute(context())


def test_the_link_leads_to_the_experiment_in_launchdarklys_ui(emulator: EmulatorServer) -> None:
    operator = LaunchDarklyStartIterationOperator(task_id="start", experiment_key="a b", iteration_id="i")
    (link,) = operator.operator_extra_links
    url = link.get_link(operator, ti_key=None)
    assert url == f"{emulator.url}/projects/demo/experiments/a%20b?env=production&selected-env=production"


@pytest.mark.parametrize(
    "operator",
    [
        LaunchDarklyCreateExperimentOperator,
        LaunchDarklyCreateIterationOperator,
        LaunchDarklyStartIterationOperator,
        LaunchDarklyStopIterationOperator,
    ],
)
def test_every_template_field_is_an_attribute(operator: type[LaunchDarklyExperimentBaseOperator]) -> None:
    own = (
        {"iteration_id": "i", "winner": "baseline"}
        if "Design" not in str(operator.__mro__)
        else {**DESIGN, "name": "n"}
    )
    if operator is LaunchDarklyCreateIterationOperator:
        own.pop("name")
    if operator is LaunchDarklyStartIterationOperator:
        own.pop("winner")
    task = operator(task_id="t", **({"experiment_key": "button"} | own))
    assert all(hasattr(task, field) for field in task.template_fields)
