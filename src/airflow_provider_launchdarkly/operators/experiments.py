"""Operators on experiments: create, update, archive, restore, get and list.

They only call ``api/reads`` and ``api/writes``; the latter makes each write safe to repeat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.http.paging import DEFAULT_CAP
from airflow_provider_launchdarkly.operators._base import (
    LaunchDarklyBaseOperator,
    LaunchDarklyExperimentBaseOperator,
    LaunchDarklyExperimentWriteBaseOperator,
    is_checked_already,
)
from airflow_provider_launchdarkly.operators._changes import resolve_changes, validate_changes
from airflow_provider_launchdarkly.operators._design import DESIGN_FIELDS
from airflow_provider_launchdarkly.operators._design_operator import LaunchDarklyIterationDesignBaseOperator
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.models import ExperimentPost, IterationInput
    from airflow_provider_launchdarkly.operators._outputs import (
        ChangedExperimentOutput,
        ExperimentOutput,
        IterationOutput,
    )


class LaunchDarklyCreateExperimentOperator(LaunchDarklyIterationDesignBaseOperator):
    """Create an experiment with its first iteration. What the flag serves changes only once the iteration is started.

    Safe to repeat: the DAG chooses the experiment's key. The task adopts an experiment with this key and this content,
    and fails with the difference if the content is another. After an unclear response it reads the experiment before it
    sends anything again.

    Args:
        experiment_key: Key of the experiment in its environment.
        name: Name in LaunchDarkly's UI.
        description: Description in LaunchDarkly's UI.
        maintainer_id: Id of the member who maintains it. Needed with a service token, which belongs to no member.
        methodology: ``bayesian``, ``frequentist`` or ``export_only``. Always sent, since LaunchDarkly's default has
            changed over time.
        analysis_config: LaunchDarkly's own analysis settings: thresholds, direction, corrections.
        data_source: Source of metric events. Default: LaunchDarkly.
        experiment_type: ``experiment`` (LaunchDarkly's default), ``mab`` for a multi-armed bandit, or ``holdout``.
        holdout_id: Id of the experiment's holdout.
        tags: Tags.
        kwargs: The iteration's design (see :class:`LaunchDarklyIterationDesignBaseOperator`), and the arguments
            of every task.

    Returns:
        :class:`.IterationOutput`, with ``changed`` False if the experiment was adopted.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyIterationDesignBaseOperator.template_fields,
        "name",
        "description",
        "maintainer_id",
        "methodology",
        "analysis_config",
        "holdout_id",
        "tags",
    )

    def __init__(
        self,
        *,
        name: str,
        description: str | None = None,
        maintainer_id: str | None = None,
        methodology: str = "bayesian",
        analysis_config: Mapping[str, Any] | None = None,
        data_source: str | None = None,
        experiment_type: str | None = None,
        holdout_id: str | None = None,
        tags: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.description = description
        self.maintainer_id = maintainer_id
        self.methodology = methodology
        self.analysis_config = analysis_config
        self.data_source = data_source
        self.experiment_type = experiment_type
        self.holdout_id = holdout_id
        self.tags = tags
        if self.reallocation_frequency is not None and experiment_type != "mab":
            raise ConfigurationError(
                f"reallocation_frequency is {self.reallocation_frequency!r} and experiment_type {experiment_type!r}: "
                "only a bandit (experiment_type='mab') moves its traffic"
            )
        if not is_checked_already() and all(is_literal(getattr(self, field)) for field in DESIGN_FIELDS):
            self._post(self.design().check())

    @override
    def act(self, context: Context) -> IterationOutput:
        """Create the experiment, or adopt the one that exists already."""
        created = self.hook.create_experiment(self._post(self.resolved()))
        self.say(
            "%s experiment %s, iteration %s (%s).",
            "Adopted" if created.adopted else "Created",
            self.experiment_key,
            created.iteration.id,
            created.iteration.status,
        )
        return self._describe(created.experiment, created.iteration, changed=not created.adopted)

    def _post(self, iteration: IterationInput) -> ExperimentPost:
        """Return the experiment in LaunchDarkly's own form; a field that is a template still is left out."""
        from airflow_provider_launchdarkly.api.models import ExperimentPost

        fields = {
            "description": self.description,
            "maintainer_id": self.maintainer_id,
            "methodology": self.methodology,
            "analysis_config": self.analysis_config,
            "data_source": self.data_source,
            "type": self.experiment_type,
            "holdout_id": self.holdout_id,
            "tags": self.tags,
        }
        return ExperimentPost.checked(
            {
                "key": self.experiment_key if is_literal(self.experiment_key) else "key",
                "name": self.name if is_literal(self.name) else "name",
                "iteration": iteration,
                **{name: value if is_literal(value) else None for name, value in fields.items()},
            }
        )


class LaunchDarklyUpdateExperimentOperator(LaunchDarklyExperimentWriteBaseOperator):
    """Change fields of an experiment in place. No iteration ends or starts.

    Safe to repeat: the changes name the desired state, and only fields that differ from it are written. After the
    write the task reads the experiment again, and fails if a field did not take effect.

    Args:
        experiment_key: Key of the experiment.
        changes: By field, in LaunchDarkly's spelling: the new value, or
            ``{"operation": "add" | "update" | "remove", "value": …}``. While an iteration runs, ``name``,
            ``description``, ``maintainerId`` and ``tags`` can change, and ``metrics`` and ``attributes`` can be added;
            before it starts, everything but the flag. ``treatments`` may name variations as the create operators do. A
            field that cannot change is an error that lists those that can.
        comment: Recorded in LaunchDarkly's audit log. Default: the DAG run and task.

    Returns:
        :class:`.ChangedExperimentOutput`, with ``changed`` False if nothing had to change.
    """

    template_fields: Sequence[str] = (*LaunchDarklyExperimentWriteBaseOperator.template_fields, "changes")

    def __init__(self, *, changes: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.changes = changes
        if is_literal(changes):
            validate_changes(changes)

    @override
    def act(self, context: Context) -> ChangedExperimentOutput:
        """Change the fields that differ."""
        validate_changes(self.changes)
        changes = resolve_changes(self.hook, self.experiment_key, self.changes)
        updated = self.hook.update_experiment(self.experiment_key, changes, comment=self.audit_comment(context))
        self.say(
            "Changed %s of %s." if updated.changed else "%s of %s need no change: nothing to do.",
            ", ".join(self.changes),
            self.experiment_key,
        )
        return self._describe_whole(updated.value, changed=updated.changed)


class LaunchDarklyArchiveExperimentOperator(LaunchDarklyExperimentWriteBaseOperator):
    """Archive an experiment: it leaves LaunchDarkly's lists, and can start no iteration until it is restored.

    LaunchDarkly deletes no experiments; this is the only removal. Safe to repeat: an archived experiment is left alone.
    An experiment with a running iteration is an error: stopping it would ship a winner, and this operator takes none.

    Args:
        experiment_key: Key of the experiment.
        comment: Recorded in LaunchDarkly's audit log. Default: the DAG run and task.

    Returns:
        :class:`.ChangedExperimentOutput`, with ``changed`` False if it was archived already.
    """

    @override
    def act(self, context: Context) -> ChangedExperimentOutput:
        """Archive the experiment, unless it is archived."""
        archived = self.hook.archive_experiment(self.experiment_key, comment=self.audit_comment(context))
        return self._describe_whole(archived.value, changed=archived.changed)


class LaunchDarklyRestoreExperimentOperator(LaunchDarklyExperimentWriteBaseOperator):
    """Restore an archived experiment, so that it can start iterations again.

    Safe to repeat: an experiment that is not archived is left alone.

    Args:
        experiment_key: Key of the experiment.
        comment: Recorded in LaunchDarkly's audit log. Default: the DAG run and task.

    Returns:
        :class:`.ChangedExperimentOutput`, with ``changed`` False if it was not archived.
    """

    @override
    def act(self, context: Context) -> ChangedExperimentOutput:
        """Restore the experiment, if it is archived."""
        restored = self.hook.restore_experiment(self.experiment_key, comment=self.audit_comment(context))
        return self._describe_whole(restored.value, changed=restored.changed)


class LaunchDarklyGetExperimentOperator(LaunchDarklyExperimentBaseOperator):
    """Read a whole experiment: its fields, all its iterations with treatments, and which fields can change.

    Safe to repeat: it only reads.

    Args:
        experiment_key: Key of the experiment.

    Returns:
        :class:`.ExperimentOutput`.
    """

    @override
    def act(self, context: Context) -> ExperimentOutput:
        """Read the experiment with every ``expand`` field."""
        from airflow_provider_launchdarkly.api.endpoints import EVERYTHING
        from airflow_provider_launchdarkly.operators._outputs import experiment_output

        experiment = self.hook.get_experiment(self.experiment_key, expand=(*EVERYTHING, "mutableFieldsByStatus"))
        return experiment_output(self.hook.environment(), experiment, self.experiment_url)


class LaunchDarklyListExperimentsOperator(LaunchDarklyBaseOperator):
    """Read an environment's experiments, page after page.

    Safe to repeat: it only reads. The list can be mapped over: ``Other.partial(…).expand_kwargs(list.output.map(…))``.

    Args:
        flag_key: Only experiments on this flag.
        metric_key: Only experiments that measure this metric.
        status: Only experiments whose iteration is ``not_started``, ``running`` or ``stopped`` now. LaunchDarkly's own
            filter also finds experiments that once had such an iteration; the operator leaves them out.
        lifecycle_state: ``active`` and/or ``archived``. Default: LaunchDarkly's, ``active``.
        max_items: Most experiments to read. Reaching this number is logged as a warning.

    Returns:
        A list of :class:`.ExperimentOutput`.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyBaseOperator.template_fields,
        "flag_key",
        "metric_key",
        "status",
        "lifecycle_state",
    )

    def __init__(
        self,
        *,
        flag_key: str | None = None,
        metric_key: str | None = None,
        status: str | None = None,
        lifecycle_state: Sequence[str] = (),
        max_items: int = DEFAULT_CAP,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"multiple_outputs": False} | kwargs)
        self.flag_key = flag_key
        self.metric_key = metric_key
        self.status = status
        self.lifecycle_state = lifecycle_state
        self.max_items = max_items

    @override
    def act(self, context: Context) -> list[ExperimentOutput]:
        """Read the experiments, and leave out those that had the wanted status only in the past."""
        from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
        from airflow_provider_launchdarkly.operators._outputs import experiment_output, status_of

        found = self.hook.list_experiments(
            flag_key=self.flag_key,
            metric_key=self.metric_key,
            status=self.status,
            lifecycle_state=self.lifecycle_state,
            expand=ITERATIONS,
            max_items=self.max_items,
        )
        if len(found) >= self.max_items:
            self.warn("Stopped at max_items, %s experiments; there may be more.", self.max_items)
        wanted = [experiment for experiment in found if self.status in (None, status_of(experiment))]
        self.say("Found %s experiments.", len(wanted))
        env = self.hook.environment()
        return [experiment_output(env, item, self.hook.experiment_url(item.key)) for item in wanted]
