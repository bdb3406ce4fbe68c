"""Change an existing experiment: its fields, its archive state, and save-and-start.

An edit that ends an iteration is never made by accident: `update_experiment` changes what LaunchDarkly lets change in
place, `save_and_start` names the iteration that it ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.endpoints.experiments import patch_experiment
from airflow_provider_launchdarkly.api.errors import (
    ConflictError,
    Difference,
    FieldsNotAppliedError,
    IterationNotStartedError,
    IterationReplacedError,
    IterationStoppedError,
    StateError,
    UnclearOutcomeError,
)
from airflow_provider_launchdarkly.api.http.procedure import SETTLING
from airflow_provider_launchdarkly.api.models import (
    ArchiveExperiment,
    FieldChange,
    RestoreExperiment,
    SaveAndStartNewIteration,
    UpdateDescription,
    UpdateExperimentFields,
    UpdateName,
)
from airflow_provider_launchdarkly.api.reads.experiments import pinned, read_experiment
from airflow_provider_launchdarkly.api.writes.changed_fields import check_changes, unapplied, unseen
from airflow_provider_launchdarkly.api.writes.ensure import DesiredState, Ensured, Written, ensure, fields_as_asked
from airflow_provider_launchdarkly.api.writes.flags import raise_if_owned

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import Experiment, ExperimentInstruction, Iteration

_SHOWN = ("analysisConfig", "mutableFieldsByStatus")


@dataclass(frozen=True, slots=True)
class SavedIteration:
    """A new iteration runs in place of the one that was named.

    Attributes:
        experiment: The experiment, with its iterations.
        iteration: The iteration that runs now.
        already_saved: Whether it was so before, so that nothing was written.
    """

    experiment: Experiment
    iteration: Iteration
    already_saved: bool


def field_changes(changes: Mapping[str, Any]) -> dict[str, FieldChange]:
    """Read changes as a DAG's author writes them.

    Args:
        changes: By field, in LaunchDarkly's spelling: a `FieldChange`, a mapping with ``operation`` and ``value``, or
            simply the new value.

    Raises:
        ConfigurationError: An operation is unknown, or a value is missing.
    """
    read = {}
    for field, change in changes.items():
        if isinstance(change, FieldChange):
            read[field] = change
        elif isinstance(change, Mapping) and "operation" in change:
            read[field] = FieldChange.checked(change)
        else:
            read[field] = FieldChange.checked({"operation": "update", "value": change})
    return read


def update_experiment(
    env: EnvironmentRef, experiment_key: str, changes: Mapping[str, FieldChange], *, comment: str | None = None
) -> Procedure[Ensured[Experiment]]:
    """Change fields of an experiment and its current iteration, in place.

    Safe to repeat: the changes name a target state, and what is so already is left alone. Where LaunchDarkly does not
    show which fields it takes (before its client 23.0.0), name and description go by their deprecated instructions.

    Args:
        env: Where the experiment lives.
        experiment_key: Its key.
        changes: Changes by field; `field_changes` reads them from a mapping.
        comment: Text for LaunchDarkly's audit log.

    Raises:
        ConfigurationError: A field cannot change so in this state; the message lists those that can.
        FieldsNotAppliedError: LaunchDarkly accepted the change, and a field is still another.
        LaunchDarklyError: As the calls raise.
    """

    def differences(experiment: Experiment) -> tuple[Difference, ...]:
        current = _current(experiment)
        check_changes(changes, experiment, current.status)
        return unapplied(changes, experiment, current)

    return ensure(
        fields_as_asked(
            f"experiment {experiment_key!r} has the fields asked for",
            read=lambda: read_experiment(env, experiment_key, also=_SHOWN),
            differences=differences,
            write=lambda found: patch_experiment(env, experiment_key, _instructions(changes, found), comment=comment),
            unseen=lambda experiment: unseen(changes, experiment, _current(experiment)),
            response_is_state=False,
        )
    )


def archive_experiment(
    env: EnvironmentRef, experiment_key: str, *, comment: str | None = None
) -> Procedure[Ensured[Experiment]]:
    """Archive an experiment: it leaves the lists and starts no iteration until it is restored.

    Safe to repeat: an archived experiment is left alone.

    Raises:
        StateError: An iteration is running; stop it first, which ships a winner.
        LaunchDarklyError: As the calls raise.
    """

    def differences(experiment: Experiment) -> tuple[Difference, ...]:
        if experiment.archived:
            return ()
        if experiment.running:
            raise StateError(
                f"experiment {experiment_key!r} runs iteration {experiment.running.id!r}: stop it before archiving"
            )
        return (Difference("archivedDate", "a date", None),)

    return ensure(
        fields_as_asked(
            f"experiment {experiment_key!r} is archived",
            read=lambda: read_experiment(env, experiment_key),
            differences=differences,
            write=lambda _found: patch_experiment(env, experiment_key, [ArchiveExperiment()], comment=comment),
            response_is_state=False,
        )
    )


def restore_experiment(
    env: EnvironmentRef, experiment_key: str, *, comment: str | None = None
) -> Procedure[Ensured[Experiment]]:
    """Restore an archived experiment. Safe to repeat: one that is not archived is left alone.

    Raises:
        LaunchDarklyError: As the calls raise.
    """

    def differences(experiment: Experiment) -> tuple[Difference, ...]:
        found = experiment.archived_date
        return (Difference("archivedDate", None, found.isoformat()),) if found else ()

    return ensure(
        fields_as_asked(
            f"experiment {experiment_key!r} is restored",
            read=lambda: read_experiment(env, experiment_key),
            differences=differences,
            write=lambda _found: patch_experiment(env, experiment_key, [RestoreExperiment()], comment=comment),
            response_is_state=False,
        )
    )


def save_and_start(
    env: EnvironmentRef,
    experiment_key: str,
    iteration_id: str,
    changes: Mapping[str, FieldChange] | None = None,
    *,
    justification: str | None = None,
    comment: str | None = None,
) -> Procedure[SavedIteration]:
    """End the running iteration without a winner, and start a changed copy of it, in one step.

    This is how an experiment moves on without shipping anything. LaunchDarkly makes one more iteration with each
    repeat, so the one to end is named: once another one with the changes runs, a repeat finds the work done. Of two
    that save at the same time, one ends the other's copy; a second later each reads which copy runs, and returns it.

    Args:
        env: Where the experiment lives.
        experiment_key: Its key.
        iteration_id: The iteration to end.
        changes: What the copy has otherwise, by field; `field_changes` reads them from a mapping.
        justification: Why, for LaunchDarkly's record.
        comment: Text for LaunchDarkly's audit log.

    Raises:
        ConfigurationError: A field cannot change so.
        IterationNotFoundError: The experiment has no such iteration.
        IterationNotStartedError: It was never started: change it in place.
        IterationStoppedError: It was stopped, and nothing runs in its place.
        IterationReplacedError: Another one runs in its place, and not with these changes.
        FieldsNotAppliedError: The copy runs, and LaunchDarkly ignored a part of the changes.
        RuleOwnedError: Another experiment runs on the flag's rule.
        LaunchDarklyError: As the calls raise.
    """
    wanted = changes or {}

    def reached(experiment: Experiment) -> SavedIteration | None:
        iteration = pinned(experiment, iteration_id)
        if not iteration.running:
            return _already_saved(experiment, iteration, wanted)
        if wanted:
            # The changes land on a new draft, so they are checked against what a draft takes.
            check_changes(wanted, experiment, "not_started")
        return None

    def explain(error: LaunchDarklyError, experiment: Experiment) -> Procedure[LaunchDarklyError | None]:
        better: LaunchDarklyError | None = None
        if isinstance(error, ConflictError):
            what = f"iteration {iteration_id!r} of experiment {experiment_key!r} cannot be replaced"
            for flag_key, flag in pinned(experiment, iteration_id).flags.items():
                better = yield from raise_if_owned(
                    env, flag_key, flag.targeting_rule, error, doing=what, myself=experiment_key
                )
        return better

    def confirmed(experiment: Experiment, written: Written[Experiment]) -> SavedIteration | None:
        running = experiment.running
        if running is None or running.id == iteration_id:
            return None
        started = written.response.running
        if started is not None and started.id not in (iteration_id, running.id):
            return _already_saved(experiment, pinned(experiment, iteration_id), wanted)
        differences = unapplied(wanted, experiment, running)
        if differences:
            raise FieldsNotAppliedError(
                f"iteration {running.id!r} of experiment {experiment_key!r} runs now, and LaunchDarkly ignored a part "
                f"of what was asked: {'; '.join(map(str, differences))}",
                differences=differences,
            )
        return SavedIteration(experiment, running, already_saved=False)

    def unconfirmed(_experiment: Experiment, _written: Written[Experiment]) -> UnclearOutcomeError:
        return UnclearOutcomeError(
            f"LaunchDarkly accepted to replace iteration {iteration_id!r} of experiment {experiment_key!r}, and shows "
            f"no other as running after {sum(SETTLING):.0f} s"
        )

    def survivor(experiment: Experiment, _written: Written[Experiment], saved: SavedIteration) -> SavedIteration:
        # A read that lags behind shows the one to end as running still.
        ended = pinned(experiment, iteration_id)
        if ended.running or (experiment.running and experiment.running.id == saved.iteration.id):
            return saved
        return _already_saved(experiment, ended, wanted)

    instruction = SaveAndStartNewIteration(change_justification=justification, value=dict(wanted) or None)
    ensured = yield from ensure(
        DesiredState(
            what=f"iteration {iteration_id} is replaced by a copy",
            read=lambda: read_experiment(env, experiment_key, also=_SHOWN),
            reached=reached,
            write=lambda _found: patch_experiment(env, experiment_key, [instruction], comment=comment),
            explain=explain,
            confirmed=confirmed,
            unconfirmed=unconfirmed,
            response_is_state=False,
            survivor=survivor,
        )
    )
    return replace(ensured.value, already_saved=not ensured.changed)


def _current(experiment: Experiment) -> Iteration:
    current = experiment.current_iteration or next(iter(experiment.iterations), None)
    if current is None:
        raise StateError(f"experiment {experiment.key!r} shows no iteration")
    return current


def _instructions(changes: Mapping[str, FieldChange], found: Experiment) -> list[ExperimentInstruction]:
    plain = all(field in {"name", "description"} and change.operation == "update" for field, change in changes.items())
    if found.mutable_fields_by_status or not plain:
        return [UpdateExperimentFields(value=dict(changes))]
    return [
        UpdateName(value=str(change.value)) if field == "name" else UpdateDescription(value=str(change.value))
        for field, change in changes.items()
    ]


def _already_saved(experiment: Experiment, ended: Iteration, changes: Mapping[str, FieldChange]) -> SavedIteration:
    where = f"iteration {ended.id!r} of experiment {experiment.key!r}"
    if ended.not_started:
        raise IterationNotStartedError(f"{where} was never started: change it in place, and start it")
    running = experiment.running
    if running is None or ended.winning_treatment_id:
        raise IterationStoppedError(
            f"{where} is stopped (winner: {ended.winning_treatment_id}), so no copy of it can take its place",
            winner=ended.winning_treatment_id,
        )
    differences = unapplied(changes, experiment, running)
    if differences:
        raise IterationReplacedError(
            f"{where} was replaced by iteration {running.id!r}, and not with these changes: "
            f"{'; '.join(map(str, differences))}",
            pinned=ended.id,
            found=running.id,
        )
    return SavedIteration(experiment, running, already_saved=True)
