"""The hook's calls on experiments, their iterations, their results and the project's experimentation settings.

Each method only builds a request or a procedure; ``calls`` makes it run both ways, ``api`` defines it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from airflow_provider_launchdarkly.api import endpoints, writes
from airflow_provider_launchdarkly.api.http.paging import DEFAULT_CAP, LARGEST_PAGE, collect
from airflow_provider_launchdarkly.api.reads import results
from airflow_provider_launchdarkly.hooks.calls import Caller, Pages, api_call, api_walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from airflow_provider_launchdarkly.api.endpoints import ExperimentFilter
    from airflow_provider_launchdarkly.api.http.procedure import Procedure, Response
    from airflow_provider_launchdarkly.api.http.request import Request
    from airflow_provider_launchdarkly.api.models import (
        Experiment,
        ExperimentationSettings,
        ExperimentationSettingsPut,
        ExperimentInstruction,
        ExperimentPost,
        Iteration,
        IterationInput,
        LegacyResults,
        MetricGroupResults,
        MetricResults,
    )
    from airflow_provider_launchdarkly.api.writes.create import CreatedExperiment, CreatedIteration
    from airflow_provider_launchdarkly.api.writes.ensure import Ensured
    from airflow_provider_launchdarkly.api.writes.start import StartedIteration
    from airflow_provider_launchdarkly.api.writes.stop import StopEffect, StoppedIteration
    from airflow_provider_launchdarkly.api.writes.update import SavedIteration


class ExperimentCalls(Caller):
    """Experiments, iterations, results, settings."""

    @api_call
    def get_experiment(self, experiment_key: str, *, expand: Iterable[str] = ()) -> Request[Experiment]:
        """Read an experiment; ``expand`` names what LaunchDarkly leaves out otherwise."""
        return endpoints.get_experiment(self.environment(), experiment_key, expand=expand)

    @api_call
    def list_experiments(
        self, *, max_items: int = DEFAULT_CAP, **filters: Unpack[ExperimentFilter]
    ) -> Procedure[tuple[Experiment, ...]]:
        """Read the environment's experiments, page after page, at most ``max_items`` of them.

        Args:
            max_items: Most experiments to return.
            filters: Any of ``flag_key``, ``metric_key``, ``status``, ``lifecycle_state`` and ``expand``; see
                ``api.endpoints.ExperimentFilter``.
        """
        first = endpoints.list_experiments(self.environment(), limit=min(LARGEST_PAGE, max_items), **filters)
        return collect(first, max_items=max_items)

    @api_walk
    def iter_experiments(
        self, *, max_items: int = DEFAULT_CAP, **filters: Unpack[ExperimentFilter]
    ) -> Pages[Experiment]:
        """Walk through the environment's experiments, reading each page when it is reached.

        Parameters as in ``list_experiments``. ``for experiment in hook.iter_experiments(): …`` in a task,
        ``async for experiment in hook.iter_experiments.aio(): …`` on an event loop.
        """
        first = endpoints.list_experiments(self.environment(), limit=min(LARGEST_PAGE, max_items), **filters)
        return Pages(first, max_items)

    @api_call
    def list_experiments_in_any_environment(
        self, *, max_items: int = DEFAULT_CAP, **filters: Unpack[ExperimentFilter]
    ) -> Procedure[tuple[Experiment, ...]]:
        """Read the project's experiments over all environments; parameters as in ``list_experiments``.

        New in LaunchDarkly's client 23.0.0.
        """
        first = endpoints.list_experiments_in_any_environment(
            self.project(), limit=min(LARGEST_PAGE, max_items), **filters
        )
        return collect(first, max_items=max_items)

    @api_call
    def create_experiment(self, post: ExperimentPost) -> Procedure[CreatedExperiment]:
        """Create an experiment, or adopt the one that has its key and its content. Safe to repeat."""
        return writes.create_experiment(self.environment(), post)

    @api_call
    def create_iteration(self, experiment_key: str, iteration: IterationInput) -> Procedure[CreatedIteration]:
        """Create an iteration, or adopt a draft of the same content. Safe to repeat until it is started."""
        return writes.create_iteration(self.environment(), experiment_key, iteration)

    @api_call
    def start_iteration(
        self,
        experiment_key: str,
        iteration_id: str,
        *,
        turn_flag_on: bool = False,
        justification: str | None = None,
        comment: str | None = None,
        announce: Callable[[Iteration], None] = lambda _iteration: None,
    ) -> Procedure[StartedIteration]:
        """Start the pinned iteration. Safe to repeat: running already is success."""
        return writes.start_iteration(
            self.environment(),
            experiment_key,
            iteration_id,
            turn_flag_on=turn_flag_on,
            justification=justification,
            comment=comment,
            announce=announce,
        )

    @api_call
    def stop_iteration(
        self,
        experiment_key: str,
        iteration_id: str,
        *,
        winner: str,
        reason: str,
        comment: str | None = None,
        announce: Callable[[StopEffect], None] = lambda _effect: None,
    ) -> Procedure[StoppedIteration]:
        """Stop the pinned iteration and ship its winner. Safe to repeat: stopped with that winner is success."""
        return writes.stop_iteration(
            self.environment(),
            experiment_key,
            iteration_id,
            winner=winner,
            reason=reason,
            comment=comment,
            announce=announce,
        )

    @api_call
    def save_and_start(
        self,
        experiment_key: str,
        iteration_id: str,
        changes: Mapping[str, Any] | None = None,
        *,
        justification: str | None = None,
        comment: str | None = None,
    ) -> Procedure[SavedIteration]:
        """End the pinned iteration without a winner and start a changed copy. Safe to repeat, as the id is named.

        ``changes`` are by field, as in ``update_experiment``.
        """
        return writes.save_and_start(
            self.environment(),
            experiment_key,
            iteration_id,
            writes.field_changes(changes or {}),
            justification=justification,
            comment=comment,
        )

    @api_call
    def update_experiment(
        self, experiment_key: str, changes: Mapping[str, Any], *, comment: str | None = None
    ) -> Procedure[Ensured[Experiment]]:
        """Change fields of an experiment in place. Safe to repeat: what is so already is left alone.

        Args:
            experiment_key: Its key.
            changes: By field, in LaunchDarkly's spelling: the new value, or
                ``{"operation": "add" | "update" | "remove", "value": …}``.
            comment: Text for LaunchDarkly's audit log.
        """
        return writes.update_experiment(
            self.environment(), experiment_key, writes.field_changes(changes), comment=comment
        )

    @api_call
    def archive_experiment(self, experiment_key: str, *, comment: str | None = None) -> Procedure[Ensured[Experiment]]:
        """Archive an experiment that has no running iteration. Safe to repeat."""
        return writes.archive_experiment(self.environment(), experiment_key, comment=comment)

    @api_call
    def restore_experiment(self, experiment_key: str, *, comment: str | None = None) -> Procedure[Ensured[Experiment]]:
        """Restore an archived experiment. Safe to repeat."""
        return writes.restore_experiment(self.environment(), experiment_key, comment=comment)

    @api_call
    def patch_experiment(
        self, experiment_key: str, instructions: Sequence[ExperimentInstruction], *, comment: str | None = None
    ) -> Request[Experiment]:
        """Send instructions as they are, once. The lifecycle's own methods are safe to repeat; this one is not."""
        return endpoints.patch_experiment(self.environment(), experiment_key, instructions, comment=comment)

    @api_call
    def get_metric_results(
        self,
        experiment_key: str,
        metric_key: str,
        *,
        iteration_id: str | None = None,
        expand: Iterable[str] = ("traffic",),
    ) -> Request[MetricResults]:
        """Read a metric's results in LaunchDarkly's form: ``total``, and ``slices`` by attribute value.

        Without ``iteration_id`` LaunchDarkly takes the current iteration.
        """
        return endpoints.get_metric_results(
            self.environment(), experiment_key, metric_key, iteration_id=iteration_id, expand=expand
        )

    @api_call
    def get_metric_group_results(
        self, experiment_key: str, metric_group_key: str, *, iteration_id: str | None = None
    ) -> Request[MetricGroupResults]:
        """Read a metric group's results, one entry for each of its metrics, in the order of the group."""
        return endpoints.get_metric_group_results(
            self.environment(), experiment_key, metric_group_key, iteration_id=iteration_id
        )

    @api_call
    def read_results(
        self,
        experiment_key: str,
        metric_key: str,
        iteration_id: str,
        *,
        is_group: bool = False,
        traffic: bool = False,
    ) -> Procedure[Response[MetricResults | MetricGroupResults]]:
        """Read results with LaunchDarkly's time, and explain a refusal: each error means one thing.

        Raises:
            ResultsUnavailableError: LaunchDarkly does not serve results any more.
            LaunchDarklyError: As ``api.results.metric_results`` says.
        """
        return results.metric_results(
            self.environment(), experiment_key, metric_key, iteration_id, is_group=is_group, traffic=traffic
        )

    @api_call
    def get_legacy_results(
        self, flag_key: str, metric_key: str, *, start: datetime | None = None, end: datetime | None = None
    ) -> Request[LegacyResults]:
        """Read the results of a legacy experiment, one attached to a flag; times are aware. Last in client 17.1.0."""
        return endpoints.get_legacy_results(self.environment(), flag_key, metric_key, start=start, end=end)

    @api_call
    def get_experimentation_settings(self) -> Request[ExperimentationSettings]:
        """Read the project's randomization units."""
        return endpoints.get_experimentation_settings(self.project())

    @api_call
    def put_experimentation_settings(self, settings: Mapping[str, Any]) -> Request[ExperimentationSettings]:
        """Replace all of the project's randomization units, as LaunchDarkly's call does: what is left out is removed.

        ``merge_randomization_units`` keeps what is there.
        """
        from airflow_provider_launchdarkly.api.models import ExperimentationSettingsPut

        return endpoints.put_experimentation_settings(self.project(), ExperimentationSettingsPut.checked(settings))

    @api_call
    def merge_randomization_units(
        self,
        units: Sequence[Mapping[str, Any]],
        *,
        announce: Callable[[ExperimentationSettings, ExperimentationSettingsPut], None] = lambda _found, _put: None,
    ) -> Procedure[Ensured[ExperimentationSettings]]:
        """Add or change randomization units and keep all others. Safe to repeat.

        Args:
            units: ``{"randomization_unit": …, "default": …}`` each.
            announce: Called with the present and the new settings just before a write.
        """
        from airflow_provider_launchdarkly.api.models import RandomizationUnitInput

        checked = [RandomizationUnitInput.checked(unit) for unit in units]
        return writes.merge_randomization_units(self.project(), checked, announce=announce)
