"""Handle experiments, their iterations and their results (LaunchDarkly REST docs, Experiments)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.errors import invalid_request
from airflow_provider_launchdarkly.emulator.handlers.operation import Request, Response
from airflow_provider_launchdarkly.emulator.rules import experiment_inputs, experiment_patch, lifecycle
from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
from airflow_provider_launchdarkly.emulator.serializers import experiment_results, legacy_results
from airflow_provider_launchdarkly.emulator.serializers import experiments as serialize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_launchdarkly.emulator.state.models import Experiment
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction


def create_experiment(request: Request) -> Response:
    """POST an experiment. The response is a 201 with the experiment and its first iteration."""
    transaction = request.transaction()
    lifecycle.check_approval(transaction, request.params["environmentKey"])
    body = RequestBody(request.settings.api.read_experiment(request.body))
    post = experiment_inputs.experiment_post(body, default_methodology=request.settings.api.default_methodology)
    experiment = lifecycle.create_experiment(transaction, request.params["environmentKey"], post)
    representation = serialize.experiment(experiment, transaction, ("treatments",))
    transaction.commit()
    return Response(201, representation, transaction.effects)


def get_experiment(request: Request) -> Response:
    """GET one experiment."""
    transaction = request.transaction()
    experiment = transaction.experiment(request.params["environmentKey"], request.params["experimentKey"])
    return Response(200, serialize.experiment(experiment, transaction, request.query_values("expand")))


def get_experiments(request: Request) -> Response:
    """GET an environment's experiments."""
    transaction = request.transaction()
    environment_key = request.params["environmentKey"]
    transaction.environment(environment_key)
    return _experiment_page(request, transaction, transaction.experiments(environment_key))


def get_experiments_any_env(request: Request) -> Response:
    """GET a project's experiments in all environments."""
    transaction = request.transaction()
    return _experiment_page(request, transaction, transaction.experiments())


def patch_experiment(request: Request) -> Response:
    """PATCH an experiment with a semantic patch."""
    transaction = request.transaction()
    environment_key, key = request.params["environmentKey"], request.params["experimentKey"]
    body = RequestBody(request.body)
    lifecycle.check_approval(transaction, environment_key, body)
    experiment_patch.apply_patch(transaction, environment_key, key, body)
    representation = serialize.experiment(transaction.experiment(environment_key, key), transaction, ("treatments",))
    transaction.commit()
    return Response(200, representation, transaction.effects)


def create_iteration(request: Request) -> Response:
    """POST an iteration. The response is a 200, not a 201, with the iteration."""
    transaction = request.transaction()
    environment_key, key = request.params["environmentKey"], request.params["experimentKey"]
    transaction.experiment(environment_key, key)
    lifecycle.check_approval(transaction, environment_key)
    body = RequestBody(request.settings.api.read_iteration(request.body))
    iteration = lifecycle.create_iteration(transaction, environment_key, key, experiment_inputs.iteration_input(body))
    representation = serialize.iteration(
        iteration, transaction.experiment(environment_key, key), transaction, ("treatments",)
    )
    transaction.commit()
    return Response(200, representation, transaction.effects)


def get_experiment_results(request: Request) -> Response:
    """GET a metric's results for the current iteration or for `iterationId`."""
    transaction = request.transaction()
    experiment = transaction.experiment(request.params["environmentKey"], request.params["experimentKey"])
    representation = experiment_results.metric_results(
        transaction,
        experiment,
        request.params["metricKey"],
        iteration_id=request.query_value("iterationId"),
        traffic="traffic" in request.query_values("expand"),
    )
    return Response(200, representation)


def get_experiment_results_for_metric_group(request: Request) -> Response:
    """GET a metric group's results for the current iteration or for `iterationId`."""
    transaction = request.transaction()
    experiment = transaction.experiment(request.params["environmentKey"], request.params["experimentKey"])
    representation = experiment_results.metric_group_results(
        transaction, experiment, request.params["metricGroupKey"], iteration_id=request.query_value("iterationId")
    )
    return Response(200, representation)


def get_legacy_experiment_results(request: Request) -> Response:
    """GET a metric's results by flag variation, in the form of experiments before 2023."""
    transaction = request.transaction()
    environment_key = request.params["environmentKey"]
    transaction.environment(environment_key)
    flag, metric = transaction.flag(request.params["featureFlagKey"]), transaction.metric(request.params["metricKey"])
    representation = legacy_results.results(
        transaction,
        environment_key,
        flag,
        metric,
        since=request.query_time("from"),
        until=request.query_time("to"),
        path=request.path,
    )
    return Response(200, representation)


def _experiment_page(request: Request, transaction: Transaction, experiments: Sequence[Experiment]) -> Response:
    wanted = _filtered(request, experiments)
    page, paging = request.page(wanted)
    expand = request.query_values("expand")
    items = [serialize.experiment(experiment, transaction, expand) for experiment in page]
    return Response(200, {"items": items, "total_count": len(wanted), "_links": paging})


def _filtered(request: Request, experiments: Sequence[Experiment]) -> list[Experiment]:
    """Apply `filter` and `lifecycleState`. `status` matches past iterations too (LaunchDarkly REST docs)."""
    states = request.query_values("lifecycleState") or ["active"]
    for state in states:
        if state not in ("active", "archived"):
            raise invalid_request(f"lifecycleState must be active, archived or both, not {state!r}")
    wanted = [e for e in experiments if ("active" if e.archived_at is None else "archived") in states]
    for term in request.query_values("filter"):
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
