"""Experiments, their iterations and their results. LaunchDarkly REST docs, Experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.errors import invalid_request
from airflow_provider_launchdarkly.emulator.handlers.call import Call, Reply
from airflow_provider_launchdarkly.emulator.rules import experiment_inputs, experiment_patch, lifecycle
from airflow_provider_launchdarkly.emulator.rules.request_body import Body
from airflow_provider_launchdarkly.emulator.serializers import experiment_results, legacy_results
from airflow_provider_launchdarkly.emulator.serializers import experiments as show
from airflow_provider_launchdarkly.emulator.state import generations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_launchdarkly.emulator.state.models import Experiment
    from airflow_provider_launchdarkly.emulator.state.transaction import Change


def create_experiment(call: Call) -> Reply:
    """POST an experiment: 201 with the experiment and its first iteration."""
    change = call.change()
    lifecycle.check_approval(change, call.params["environmentKey"])
    generation = call.settings.generation
    body = Body(generations.experiment_post(call.body, generation))
    post = experiment_inputs.experiment_post(body, default_methodology=generations.default_methodology(generation))
    experiment = lifecycle.create_experiment(change, call.params["environmentKey"], post)
    shown = show.experiment(experiment, change, ("treatments",))
    change.commit()
    return Reply(201, shown, change.effects)


def get_experiment(call: Call) -> Reply:
    """GET one experiment."""
    change = call.change()
    experiment = change.experiment(call.params["environmentKey"], call.params["experimentKey"])
    return Reply(200, show.experiment(experiment, change, call.every("expand")))


def get_experiments(call: Call) -> Reply:
    """GET an environment's experiments."""
    change = call.change()
    environment_key = call.params["environmentKey"]
    change.environment(environment_key)
    return _experiment_page(call, change, change.experiments(environment_key))


def get_experiments_any_env(call: Call) -> Reply:
    """GET a project's experiments, whatever their environment."""
    change = call.change()
    return _experiment_page(call, change, change.experiments())


def patch_experiment(call: Call) -> Reply:
    """PATCH an experiment by semantic patch."""
    change = call.change()
    environment_key, key = call.params["environmentKey"], call.params["experimentKey"]
    lifecycle.check_approval(change, environment_key)
    experiment_patch.apply_patch(change, environment_key, key, Body(call.body))
    shown = show.experiment(change.experiment(environment_key, key), change, ("treatments",))
    change.commit()
    return Reply(200, shown, change.effects)


def create_iteration(call: Call) -> Reply:
    """POST an iteration: 200, not 201, with the iteration."""
    change = call.change()
    environment_key, key = call.params["environmentKey"], call.params["experimentKey"]
    change.experiment(environment_key, key)
    lifecycle.check_approval(change, environment_key)
    body = Body(generations.iteration_input(call.body, call.settings.generation))
    iteration = lifecycle.create_iteration(change, environment_key, key, experiment_inputs.iteration_input(body))
    shown = show.iteration(iteration, change.experiment(environment_key, key), change, ("treatments",))
    change.commit()
    return Reply(200, shown, change.effects)


def get_experiment_results(call: Call) -> Reply:
    """GET a metric's results for the current iteration, or for the one asked for."""
    change = call.change()
    experiment = change.experiment(call.params["environmentKey"], call.params["experimentKey"])
    shown = experiment_results.metric_results(
        change,
        experiment,
        call.params["metricKey"],
        iteration_id=call.first("iterationId"),
        traffic="traffic" in call.every("expand"),
    )
    return Reply(200, shown)


def get_experiment_results_for_metric_group(call: Call) -> Reply:
    """GET a metric group's results for the current iteration, or for the one asked for."""
    change = call.change()
    experiment = change.experiment(call.params["environmentKey"], call.params["experimentKey"])
    shown = experiment_results.metric_group_results(
        change, experiment, call.params["metricGroupKey"], iteration_id=call.first("iterationId")
    )
    return Reply(200, shown)


def get_legacy_experiment_results(call: Call) -> Reply:
    """GET a metric's results on a flag in the form that experiments had before 2023, by variation."""
    change = call.change()
    environment_key = call.params["environmentKey"]
    change.environment(environment_key)
    flag, metric = change.flag(call.params["featureFlagKey"]), change.metric(call.params["metricKey"])
    shown = legacy_results.results(
        change, environment_key, flag, metric, since=call.moment("from"), until=call.moment("to"), path=call.path
    )
    return Reply(200, shown)


def _experiment_page(call: Call, change: Change, experiments: Sequence[Experiment]) -> Reply:
    wanted = _filtered(call, experiments)
    page, paging = call.page(wanted)
    expand = call.every("expand")
    items = [show.experiment(experiment, change, expand) for experiment in page]
    return Reply(200, {"items": items, "total_count": len(wanted), "_links": paging})


def _filtered(call: Call, experiments: Sequence[Experiment]) -> list[Experiment]:
    """Apply `filter` and `lifecycleState`. `status` matches any iteration, a past one too (LaunchDarkly REST docs)."""
    states = call.every("lifecycleState") or ["active"]
    for state in states:
        if state not in ("active", "archived"):
            raise invalid_request(f"lifecycleState must be active, archived or both, not {state!r}")
    wanted = [e for e in experiments if ("active" if e.archived_at is None else "archived") in states]
    for term in call.every("filter"):
        field, colon, value = term.partition(":")
        matches = _FILTERS.get(field)
        if matches is None or not colon:
            raise invalid_request(f"filter takes {', '.join(_FILTERS)} as field:value, not {term!r}")
        wanted = [experiment for experiment in wanted if matches(experiment, value)]
    return wanted


_FILTERS: dict[str, Callable[[Experiment, str], bool]] = {
    "flagKey": lambda experiment, key: any(i.flag.flag_key == key for i in experiment.iterations),
    "metricKey": lambda experiment, key: any(use.key == key for i in experiment.iterations for use in i.metrics),
    "status": lambda experiment, status: any(i.status == status for i in experiment.iterations),
}
