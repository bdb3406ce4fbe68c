"""Checks of the experiment that a sensor would wait for, and of LaunchDarkly's results of it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import ApiError, ResultsUnavailableError
from airflow_provider_launchdarkly.api.reads.results import metric_results
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.decision.suitability import (
    UndecidableExperimentError,
    require_decidable,
    require_mean,
)
from airflow_provider_launchdarkly.doctor.account import NothingToReadError
from airflow_provider_launchdarkly.doctor.finding import Finding, Status
from airflow_provider_launchdarkly.doctor.words import Key, Keys, Told, listed, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_launchdarkly.api.models import Iteration, MeasuredMetric
    from airflow_provider_launchdarkly.doctor.account import Account
    from airflow_provider_launchdarkly.doctor.likeness import Likeness


class Route(StrEnum):
    """The outcome of a route."""

    PRESENT = "present"
    GONE = "gone"
    REFUSED = "refused"


_NO_SUCH_ROUTE: Final = frozenset({404, 405, 410})


def check_experiment(account: Account, like: Likeness) -> Iterator[Finding]:
    """Read an experiment as a sensor does: its iteration, its treatments, whether a policy can judge it."""
    experiment, iteration = account.experiment, account.iteration
    chosen = " (chosen by the doctor)" if account.chose_experiment else ""
    yield Finding(
        "experiment",
        Status.FINE,
        say(
            "experiment {experiment}{chosen}: iteration {iteration} is {status}, {count} treatments",
            experiment=Key("experiment", experiment.key),
            chosen=chosen,
            iteration=Key("iteration", iteration.id),
            status=iteration.status if iteration.status in {"running", "stopped"} else "in an unknown status",
            count=len(iteration.treatments),
        ),
    )
    try:
        require_decidable(experiment.type, experiment.methodology, launchdarkly_results=False)
    except UndecidableExperimentError as error:
        yield Finding(
            "experiment", Status.MISSING, say("it {why}", why=str(error)), say("name another one with --experiment")
        )
    yield from _treatments(iteration, like)
    if iteration.primary is None:
        yield Finding(
            "experiment",
            Status.MISSING,
            say("the iteration has no primary metric"),
            say("name one in the policy: primary: {{metric: KEY}}"),
        )


def _treatments(iteration: Iteration, like: Likeness) -> Iterator[Finding]:
    flags = list(iteration.flags)
    variations = {
        treatment.id: treatment.variation_of(flags[0]) if flags else None for treatment in iteration.treatments
    }
    unmapped = [treatment.name for treatment in iteration.treatments if not variations[treatment.id]]
    if unmapped or not variations:
        yield Finding(
            "treatments",
            Status.MISSING,
            say("treatments without a variation of the flag: {names}", names=Keys("treatment", tuple(unmapped))),
            say("paste the summary into a bug report: rows of a warehouse cannot be joined to these treatments"),
        )
        return
    same = all(treatment_id == variation for treatment_id, variation in variations.items())
    like.switches["treatment_ids"] = "variation" if same else "own"
    ids = "are those of the variations" if same else "are their own"
    yield Finding("treatments", Status.FINE, say("each has a variation of the flag; their ids {ids}", ids=ids))
    if iteration.baseline is None:
        yield Finding(
            "treatments",
            Status.MISSING,
            say("no treatment is marked as the baseline"),
            say("create the next iteration with one baseline; no policy can judge this one"),
        )


def check_metrics(account: Account, _like: Likeness) -> Iterator[Finding]:
    """Read each metric that the iteration measures, and whether a policy can judge it."""
    fine = []
    for measured in _single_metrics(account.iteration):
        name = Key("metric", measured.key)
        try:
            metric = account.read(endpoints.get_metric(account.project, measured.key))
        except ApiError as error:
            yield Finding(
                "metrics",
                Status.MISSING,
                say("metric {metric} cannot be read: {error}", metric=name, error=Told.of(error)),
                say("restore the metric, or give the token a role that may read it"),
            )
            continue
        try:
            require_mean(measured.key, metric.analysis_type, metric.percentile_value)
        except UndecidableExperimentError:
            yield Finding(
                "metrics",
                Status.MISSING,
                say("metric {metric} is analysed by a percentile", metric=name),
                say("judge a metric that is analysed by its mean, or compute the percentile in your warehouse"),
            )
            continue
        if metric.is_numeric and Direction.of_success_criteria(metric.success_criteria) is None:
            yield Finding(
                "metrics",
                Status.MISSING,
                say("metric {metric} has no success criteria, so nothing says which direction is better", metric=name),
                say("set direction for it in the policy, or its success criteria in LaunchDarkly"),
            )
            continue
        fine.append(measured.key)
    if fine:
        yield Finding("metrics", Status.FINE, say("a policy can judge {metrics}", metrics=Keys("metric", tuple(fine))))


def _single_metrics(iteration: Iteration) -> list[MeasuredMetric]:
    found: dict[str, MeasuredMetric] = {}
    for measured in iteration.measured:
        for metric in measured.metrics or (measured,):
            found.setdefault(metric.key, metric)
    return list(found.values())


def results_routes(account: Account) -> Mapping[str, Route]:
    """Return what became of each results route that could be tried: ``metric``, ``metric group`` and ``legacy``."""
    try:
        iteration = account.iteration
    except NothingToReadError:
        return {}
    found: Mapping[str, Route] = account.once("results routes", lambda: dict(_tried(account, iteration)))
    return found


def _tried(account: Account, iteration: Iteration) -> Iterator[tuple[str, Route]]:
    env, key = account.env, account.experiment.key
    metrics: dict[str, str | None] = {"metric": None, "metric group": None}
    for measured in iteration.measured:
        metrics["metric group" if measured.is_group or measured.metrics else "metric"] = measured.key
    for name, metric_key in metrics.items():
        if metric_key is None:
            continue
        try:
            account.run(metric_results(env, key, metric_key, iteration.id, is_group=name == "metric group"))
        except ResultsUnavailableError:
            yield name, Route.GONE
        except ApiError as error:
            if error.status not in {401, 403}:
                raise
            yield name, Route.REFUSED
        else:
            yield name, Route.PRESENT
    flags, single = list(iteration.flags), metrics["metric"]
    if flags and single is not None:
        try:
            account.read(endpoints.get_legacy_results(env, flags[0], single))
        except ApiError as error:
            if error.status in _NO_SUCH_ROUTE:
                yield "legacy", Route.GONE
        else:
            yield "legacy", Route.PRESENT


def check_results(account: Account, like: Likeness, *, has_warehouse: bool) -> Iterator[Finding]:
    """Tell whether LaunchDarkly still serves results.

    Args:
        account: The account.
        like: Gets the emulator's switch.
        has_warehouse: Whether a warehouse is examined too, which may stand in.
    """
    routes = {name: route for name, route in results_routes(account).items() if name != "legacy"}
    present = [name for name, route in routes.items() if route is Route.PRESENT]
    gone = [name for name, route in routes.items() if route is Route.GONE]
    refused = [name for name, route in routes.items() if route is Route.REFUSED]
    if present or gone:
        like.switches["results"] = "present" if present else "gone"
    if present:
        what = say(
            "LaunchDarkly answers results of a {names}; the routes left its published API in October 2025",
            names=listed(present),
        )
        yield Finding("results", Status.FINE, what)
    if gone:
        what = say("the results routes of a {names} are gone", names=listed(gone))
        if has_warehouse:
            yield Finding(
                "results", Status.FINE, say("the results routes are gone; the warehouse has to stand in, see below")
            )
        else:
            cure = say(
                "take the evidence from your warehouse (DataExportResults, WarehouseNativeResults), and examine "
                "that with --warehouse"
            )
            yield Finding("results", Status.MISSING, what, cure)
    if refused:
        yield Finding(
            "results",
            Status.MISSING,
            say("the token may not read results of a {names}", names=listed(refused)),
            say("give the token a role that may read experiments"),
        )
    if not routes:
        yield Finding(
            "results",
            Status.UNKNOWN,
            say("without an iteration that was started, a route that is gone looks like one without data"),
            say("start an experiment, or name one that was started with --experiment"),
        )
