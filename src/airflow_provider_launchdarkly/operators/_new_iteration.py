"""Three ways to a new iteration, each safe to repeat: post it, change the draft into it, or save and start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.errors import ConfigurationError, IterationReplacedError, StateError
from airflow_provider_launchdarkly.api.models import FieldChange
from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
from airflow_provider_launchdarkly.api.writes.comparison import iteration_differences

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.models import Experiment, Iteration, IterationInput
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

# LaunchDarkly lets no one change an experiment's flag, and has no field for its rule (LaunchDarkly docs, "Editing and
# archiving experiments").
_ONLY_BY_POST = frozenset({"flags", "covariateId"})


@dataclass(frozen=True, slots=True)
class MadeIteration:
    """An iteration of the wanted design.

    Attributes:
        experiment: The experiment, with its iterations.
        iteration: The iteration.
        made: True if this call created it or changed it.
    """

    experiment: Experiment
    iteration: Iteration
    made: bool


def make_iteration(
    hook: LaunchDarklyHook, experiment_key: str, design: IterationInput, *, method: str, comment: str
) -> MadeIteration:
    """Create an iteration of this design, unless there is one.

    Args:
        hook: The hook, with the project and environment.
        experiment_key: The experiment.
        design: The design.
        method: ``post``, ``update_draft`` or ``save_and_start``.
        comment: Text for LaunchDarkly's audit log; for ``save_and_start`` also the justification.

    Raises:
        ConfigurationError: The method cannot change a field that differs.
        StateError: The experiment has no draft to update, or no running iteration to copy.
        IterationReplacedError: An iteration of this design ran before, and another one runs now.
        LaunchDarklyError: As the calls raise.
    """
    if method == "post":
        created = hook.create_iteration(experiment_key, design)
        return MadeIteration(created.experiment, created.iteration, made=not created.adopted)
    experiment = hook.get_experiment(experiment_key, expand=ITERATIONS)
    if method == "update_draft":
        return _update_draft(hook, experiment, design, comment)
    return _save_and_start(hook, experiment, design, comment)


def design_changes(design: IterationInput, found: Iteration) -> dict[str, FieldChange]:
    """Return the changes of fields that turn an iteration into the design.

    Args:
        design: The design.
        found: The iteration, read with its treatments.

    Raises:
        ConfigurationError: A field differs that only a new iteration by POST can change.
    """
    wire = design.to_wire()
    fields = {difference.field.partition("[")[0]: difference for difference in iteration_differences(design, found)}
    for field, difference in fields.items():
        if field in _ONLY_BY_POST:
            raise ConfigurationError(
                f"{difference}; an existing iteration cannot change this: use method='post', or another experiment"
            )
    return {field: FieldChange(operation="update", value=wire[field]) for field in fields}


def _update_draft(
    hook: LaunchDarklyHook, experiment: Experiment, design: IterationInput, comment: str
) -> MadeIteration:
    draft = next(iter(experiment.drafts), None)
    if draft is None:
        raise StateError(
            f"experiment {experiment.key!r} has no draft to update: use method='post' to make one, or "
            "method='save_and_start' to end the running iteration"
        )
    changes = design_changes(design, draft)
    if not changes:
        return MadeIteration(experiment, draft, made=False)
    updated = hook.update_experiment(experiment.key, changes, comment=comment)
    return MadeIteration(updated.value, updated.value.iteration(draft.id) or draft, made=updated.changed)


def _save_and_start(
    hook: LaunchDarklyHook, experiment: Experiment, design: IterationInput, comment: str
) -> MadeIteration:
    running = experiment.running
    if running is None:
        raise StateError(
            f"experiment {experiment.key!r} has no running iteration to copy: use method='post' and start the iteration"
        )
    changes = design_changes(design, running)
    if not changes:
        return MadeIteration(experiment, running, made=False)
    before = next((i for i in experiment.iterations if i.stopped and not iteration_differences(design, i)), None)
    if before is not None:
        raise IterationReplacedError(
            f"iteration {before.id!r} of experiment {experiment.key!r} had this design and is over, and iteration "
            f"{running.id!r} runs now: a repeat must not end it. To go back to an earlier design, name the iteration "
            "to end with LaunchDarklySaveAndStartIterationOperator",
            pinned=before.id,
            found=running.id,
        )
    saved = hook.save_and_start(experiment.key, running.id, changes, justification=comment, comment=comment)
    return MadeIteration(saved.experiment, saved.iteration, made=not saved.already_saved)
