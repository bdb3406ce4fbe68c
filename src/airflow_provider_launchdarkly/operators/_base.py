"""What every operator shares: connection, keys, link, and failing fast. Does no work of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import (
    ConfigurationError,
    LaunchDarklyError,
)
from airflow_provider_launchdarkly.hooks import DEFAULT_CONNECTION
from airflow_provider_launchdarkly.links import LaunchDarklyExperimentLink
from airflow_provider_launchdarkly.operators._design import resolve_treatments

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.models import Experiment, Iteration
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.operators._outputs import (
        ChangedExperimentOutput,
        IterationOutput,
    )


@contextmanager
def fail_unless_retryable() -> Iterator[None]:
    """Fail the task at once on an error that another try cannot cure.

    Raises:
        AirflowFailException: LaunchDarkly's answer, or the input, stays the same on another try.
        LaunchDarklyError: Another try may cure it; Airflow's ``retries`` apply.
    """
    try:
        yield
    except LaunchDarklyError as error:
        if error.retryable:
            raise
        raise AirflowFailException(f"{type(error).__name__}: {error}") from error


class LaunchDarklyBaseOperator(BaseOperator):
    """What every operator shares.

    Args:
        project_key: Default: the connection's.
        environment_key: Default: the connection's.
        launchdarkly_conn_id: The Airflow connection.
    """

    template_fields: Sequence[str] = ("project_key", "environment_key", "launchdarkly_conn_id")
    ui_color = "#e5e9ff"
    ui_fgcolor = "#1a1f36"

    def __init__(
        self,
        *,
        project_key: str | None = None,
        environment_key: str | None = None,
        launchdarkly_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        # Each entry of the output is an XCom of its own as well: `create.output["iteration_id"]` works.
        super().__init__(**{"multiple_outputs": True} | kwargs)
        self.project_key = project_key
        self.environment_key = environment_key
        self.launchdarkly_conn_id = launchdarkly_conn_id

    @cached_property
    def hook(self) -> LaunchDarklyHook:
        """The hook on the task's connection, with the task's project and environment as defaults."""
        # Imported here, as everything that only a running task needs: each DAG file is parsed anew every few seconds.
        from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

        return LaunchDarklyHook(
            self.launchdarkly_conn_id, project_key=self.project_key, environment_key=self.environment_key
        )

    @abstractmethod
    def act(self, context: Context) -> Any:
        """Do the operator's work and return what XCom gets."""

    @override
    def execute(self, context: Context) -> Any:
        """Run the operator, and spend no retry on what a retry cannot cure.

        Raises:
            AirflowFailException: LaunchDarkly's answer, or the input, stays the same on another try.
            LaunchDarklyError: Anything that another try may cure; Airflow's ``retries`` apply.
        """
        with fail_unless_retryable():
            return self.act(context)


class LaunchDarklyExperimentBaseOperator(LaunchDarklyBaseOperator):
    """What every operator on one experiment shares.

    Args:
        experiment_key: Key of the experiment in its environment.
        project_key: Default: the connection's.
        environment_key: Default: the connection's.
        launchdarkly_conn_id: The Airflow connection.
    """

    template_fields: Sequence[str] = ("experiment_key", *LaunchDarklyBaseOperator.template_fields)
    operator_extra_links = (LaunchDarklyExperimentLink(),)

    def __init__(self, *, experiment_key: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.experiment_key = experiment_key

    @property
    def experiment_url(self) -> str:
        """Where LaunchDarkly's UI shows the experiment."""
        return self.hook.experiment_url(self.experiment_key)

    def _describe(self, experiment: Experiment, iteration: Iteration, *, changed: bool) -> IterationOutput:
        from airflow_provider_launchdarkly.operators._outputs import treatments_of

        environment = self.hook.environment()
        return {
            "project_key": environment.project_key,
            "environment_key": environment.environment_key,
            "experiment_key": experiment.key,
            "iteration_id": iteration.id or "",
            "status": str(iteration.status),
            "treatments": treatments_of(iteration),
            "url": self.experiment_url,
            "changed": changed,
        }

    def _describe_whole(self, experiment: Experiment, *, changed: bool) -> ChangedExperimentOutput:
        from airflow_provider_launchdarkly.operators._outputs import experiment_output

        shown = experiment_output(self.hook.environment(), experiment, self.experiment_url)
        return {**shown, "changed": changed}


def audit_comment(context: Context) -> str:
    """What LaunchDarkly's audit log says of a write that names no comment of its own."""
    ti = context["ti"]
    return f"Airflow: {ti.dag_id}.{ti.task_id}, run {ti.run_id}"


class LaunchDarklyCommentedBaseOperator(LaunchDarklyExperimentBaseOperator):
    """What the operators that change an experiment share: what the audit log says, and how changes are written."""

    template_fields: Sequence[str] = (*LaunchDarklyExperimentBaseOperator.template_fields, "comment")

    def __init__(self, *, comment: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.comment = comment

    def _comment(self, context: Context) -> str:
        return self.comment or audit_comment(context)

    def _resolved(self, changes: Mapping[str, Any], iteration_id: str | None = None) -> dict[str, Any]:
        """The changes with treatments as LaunchDarkly takes them, where they name variations as people do."""
        from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS

        treatments = changes.get("treatments")
        if not isinstance(treatments, list | tuple) or not any("variation" in part for part in treatments):
            return dict(changes)
        experiment = self.hook.get_experiment(self.experiment_key, expand=ITERATIONS)
        iteration = experiment.iteration(iteration_id) if iteration_id else experiment.current_iteration
        flags = list(iteration.flags) if iteration else []
        if len(flags) != 1:
            raise ConfigurationError(
                f"treatments: experiment {self.experiment_key!r} shows {len(flags)} flags, so variations have to be "
                "given by id, in LaunchDarkly's own form"
            )
        resolved = resolve_treatments(self.hook.get_flag(flags[0]), treatments)
        return {**changes, "treatments": resolved}


def _check(changes: Any) -> None:
    if not isinstance(changes, Mapping) or not changes:
        raise ConfigurationError(f"changes is {changes!r}: write a mapping from field to new value")
    from airflow_provider_launchdarkly.api.writes.update import field_changes

    field_changes(changes)
