"""Operators that change an experiment that exists: its fields, its archive state, and save-and-start.

Thin shells: what makes each write safe to repeat is in ``api/lifecycle``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.operators.base import LaunchDarklyExperimentOperator, audit_comment
from airflow_provider_launchdarkly.operators.design import resolve_treatments
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.operators.outputs import ChangedExperimentOutput, IterationOutput


class _Editing(LaunchDarklyExperimentOperator):
    """What the operators that change an experiment share: what the audit log says, and how changes are written."""

    template_fields: Sequence[str] = (*LaunchDarklyExperimentOperator.template_fields, "comment")

    def __init__(self, *, comment: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.comment = comment

    def _comment(self, context: Context) -> str:
        return self.comment or audit_comment(context)

    def _resolved(self, changes: Mapping[str, Any], iteration_id: str | None = None) -> dict[str, Any]:
        """The changes with treatments as LaunchDarkly takes them, where they name variations as people do."""
        from airflow_provider_launchdarkly.api.lifecycle import ITERATIONS

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


class LaunchDarklyUpdateExperimentOperator(_Editing):
    """Change fields of an experiment in place. Nothing ends and nothing starts by it.

    Safe to repeat: the changes name a target state, and what is so already is left alone without a write. After the
    write the experiment is read again, and a field that did not take effect is an error.

    Args:
        experiment_key: Key of the experiment.
        changes: By field, in LaunchDarkly's spelling: the new value, or
            ``{"operation": "add" | "update" | "remove", "value": …}``. While an iteration runs, LaunchDarkly lets
            ``name``, ``description``, ``maintainerId`` and ``tags`` change, and ``metrics`` and ``attributes`` be added
            to; before it starts, everything but the flag. ``treatments`` may name variations as the create operators
            do. What cannot change is an error that lists what can.
        comment: Recorded in LaunchDarkly's audit log. Default: the DAG run and task.

    Returns:
        :class:`~airflow_provider_launchdarkly.operators.outputs.ChangedExperimentOutput`, with ``changed`` False if
        everything was so already.
    """

    template_fields: Sequence[str] = (*_Editing.template_fields, "changes")

    def __init__(self, *, changes: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.changes = changes
        if is_literal(changes):
            _check(changes)

    @override
    def act(self, context: Context) -> ChangedExperimentOutput:
        """Change what is not so already."""
        _check(self.changes)
        updated = self.hook.update_experiment(
            self.experiment_key, self._resolved(self.changes), comment=self._comment(context)
        )
        self.log.info(
            "Changed %s of %s." if updated.changed else "%s of %s are as asked already: nothing to do.",
            ", ".join(self.changes),
            self.experiment_key,
        )
        return self._describe_whole(updated.value, changed=updated.changed)


class LaunchDarklyArchiveExperimentOperator(_Editing):
    """Archive an experiment: it leaves LaunchDarkly's lists, and starts no iteration until it is restored.

    LaunchDarkly deletes no experiments; this is the only removal. Safe to repeat: an archived experiment is left alone.
    An experiment with a running iteration is an error: stopping it ships a winner, which nobody named here.

    Args:
        experiment_key: Key of the experiment.
        comment: Recorded in LaunchDarkly's audit log. Default: the DAG run and task.

    Returns:
        :class:`~airflow_provider_launchdarkly.operators.outputs.ChangedExperimentOutput`, with ``changed`` False if it
        was archived already.
    """

    @override
    def act(self, context: Context) -> ChangedExperimentOutput:
        """Archive the experiment, unless it is archived."""
        archived = self.hook.archive_experiment(self.experiment_key, comment=self._comment(context))
        return self._describe_whole(archived.value, changed=archived.changed)


class LaunchDarklyRestoreExperimentOperator(_Editing):
    """Restore an archived experiment, so that it can start iterations again.

    Safe to repeat: an experiment that is not archived is left alone.

    Args:
        experiment_key: Key of the experiment.
        comment: Recorded in LaunchDarkly's audit log. Default: the DAG run and task.

    Returns:
        :class:`~airflow_provider_launchdarkly.operators.outputs.ChangedExperimentOutput`, with ``changed`` False if it
        was not archived.
    """

    @override
    def act(self, context: Context) -> ChangedExperimentOutput:
        """Restore the experiment, if it is archived."""
        restored = self.hook.restore_experiment(self.experiment_key, comment=self._comment(context))
        return self._describe_whole(restored.value, changed=restored.changed)


class LaunchDarklySaveAndStartIterationOperator(_Editing):
    """End the running iteration without a winner, and start a changed copy of it, in one step. Nothing is shipped.

    This is how a rollout goes from one allocation to the next. Safe to repeat: the iteration to end is named by its id.
    Once another one with the changes runs in its place, a repeat finds the work done; anything else that runs there, or
    a stop with a winner, is an error.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration to end.
        changes: What the copy has otherwise, by field, as for :class:`LaunchDarklyUpdateExperimentOperator`.
            ``treatments`` may name variations as the create operators do. Default: an exact copy.
        change_justification: Why, for LaunchDarkly's record. Default: the DAG run and task.
        comment: Recorded in LaunchDarkly's audit log. Default: the DAG run and task.

    Returns:
        :class:`~airflow_provider_launchdarkly.operators.outputs.IterationOutput` of the iteration that runs now, with
        ``changed`` False if it ran already.
    """

    template_fields: Sequence[str] = (*_Editing.template_fields, "iteration_id", "changes", "change_justification")

    def __init__(
        self,
        *,
        iteration_id: str,
        changes: Mapping[str, Any] | None = None,
        change_justification: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.iteration_id = iteration_id
        self.changes = changes
        self.change_justification = change_justification
        if changes is not None and is_literal(changes):
            _check(changes)

    @override
    def act(self, context: Context) -> IterationOutput:
        """Replace the named iteration, unless that is done."""
        comment = self._comment(context)
        changes = self.changes or {}
        if changes:
            _check(changes)
        saved = self.hook.save_and_start(
            self.experiment_key,
            self.iteration_id,
            self._resolved(changes, self.iteration_id),
            justification=self.change_justification or comment,
            comment=comment,
        )
        if saved.already_saved:
            self.log.info("Iteration %s runs in place of %s already.", saved.iteration.id, self.iteration_id)
        else:
            self.log.info("Started iteration %s in place of %s.", saved.iteration.id, self.iteration_id)
        return self._describe(saved.experiment, saved.iteration, changed=not saved.already_saved)


def _check(changes: Any) -> None:
    if not isinstance(changes, Mapping) or not changes:
        raise ConfigurationError(f"changes is {changes!r}: write a mapping from field to new value")
    from airflow_provider_launchdarkly.api.lifecycle import field_changes

    field_changes(changes)
