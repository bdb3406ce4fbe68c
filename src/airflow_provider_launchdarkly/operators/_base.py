"""The bases of all operators: the connection, the keys, the link, and failing at once if no retry can help."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator
from airflow.sdk import get_parsing_context
from typing_extensions import override

from airflow_provider_launchdarkly.hooks import DEFAULT_CONNECTION
from airflow_provider_launchdarkly.links import LaunchDarklyExperimentLink
from airflow_provider_launchdarkly.retries import fail_unless_retryable
from airflow_provider_launchdarkly.templates.rendering import TypedTemplates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.models import Experiment, Iteration
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.operators._outputs import ChangedExperimentOutput, IterationOutput


def is_checked_already() -> bool:
    """Return whether this process runs one task: the DAG processor has checked what a DAG file says.

    The task that has a wrong design still fails: it checks its own, with what its templates have become.
    """
    return get_parsing_context().task_id is not None


class LaunchDarklyBaseOperator(TypedTemplates, BaseOperator):
    """Base of all operators.

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
        """Do the operator's work, and return its output."""

    @override
    def execute(self, context: Context) -> Any:
        """Run the operator, and spend no retry on an error that a retry cannot cure.

        Raises:
            AirflowFailException: Another try would end in the same error.
            LaunchDarklyError: Another try may succeed; Airflow's ``retries`` apply.
        """
        with fail_unless_retryable():
            self.read_fields()
            return self.act(context)


class LaunchDarklyExperimentBaseOperator(LaunchDarklyBaseOperator):
    """Base of the operators on one experiment.

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
        # The rollout that it belongs to, as the pages show it. `experiment_rollout` sets it.
        self.shown_as: dict[str, Any] | None = None

    @property
    def experiment_url(self) -> str:
        """Address of the experiment in LaunchDarkly's UI."""
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


def audit_comment(comment: str | None, context: Context) -> str:
    """Return a task's comment for LaunchDarkly's audit log; without one, the DAG, the task and the run."""
    ti = context["ti"]
    return comment or f"Airflow: {ti.dag_id}.{ti.task_id}, run {ti.run_id}"


class LaunchDarklyExperimentWriteBaseOperator(LaunchDarklyExperimentBaseOperator):
    """Base of the operators that change an experiment that exists.

    Args:
        comment: Recorded in LaunchDarkly's audit log. Default: the DAG run and task.
    """

    template_fields: Sequence[str] = (*LaunchDarklyExperimentBaseOperator.template_fields, "comment")

    def __init__(self, *, comment: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.comment = comment

    def leave_note(self, context: Context, output: Mapping[str, Any], make: Callable[..., dict[str, Any]]) -> None:
        """Let the pages show what was done.

        Args:
            context: The task's.
            output: Its output.
            make: Makes the note of an output, the time and what the DAG says.
        """
        from airflow_provider_launchdarkly.sensors._notes import leave_note, now, page_of

        leave_note(context, output, make(output, at=now(), page=page_of(self, context)), self.warn)

    def audit_comment(self, context: Context) -> str:
        """Return the comment for LaunchDarkly's audit log."""
        return audit_comment(self.comment, context)
