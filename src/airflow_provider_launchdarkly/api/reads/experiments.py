"""Read an experiment with all its iterations, and find the pinned one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_launchdarkly.api.endpoints.experiments import get_experiment
from airflow_provider_launchdarkly.api.errors import IterationNotFoundError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import Experiment, Iteration

ITERATIONS: Final = ("previousIterations", "draftIteration", "secondaryMetrics", "treatments")
"""The ``expand`` fields without which an iteration cannot be found or compared."""


def read_experiment(env: EnvironmentRef, experiment_key: str, *, also: Iterable[str] = ()) -> Procedure[Experiment]:
    """Read an experiment with all its iterations and their treatments.

    Args:
        env: Where it lives.
        experiment_key: Its key.
        also: Further ``expand`` fields.

    Raises:
        NotFoundError: There is no such experiment.
    """
    response = yield get_experiment(env, experiment_key, expand=(*ITERATIONS, *also))
    experiment: Experiment = response.value
    return experiment


def find_experiment(
    env: EnvironmentRef, experiment_key: str, *, also: Iterable[str] = ()
) -> Procedure[Experiment | None]:
    """Read an experiment that may not be there, as `read_experiment` does.

    Returns:
        The experiment; None if there is none.
    """
    try:
        return (yield from read_experiment(env, experiment_key, also=also))
    except NotFoundError:
        return None


def pinned(experiment: Experiment, iteration_id: str) -> Iteration:
    """The iteration with this id.

    Raises:
        IterationNotFoundError: The experiment has none.
    """
    iteration = experiment.iteration(iteration_id)
    if iteration is None:
        known = ", ".join(f"{other.id} ({other.status})" for other in experiment.iterations) or "none"
        raise IterationNotFoundError(f"experiment {experiment.key!r} has no iteration {iteration_id!r}; it has {known}")
    return iteration
