"""Operators on iterations: create, start, stop, save and start, and judge one.

They only call ``api/writes``, which makes each write safe to repeat.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError, StateError
from airflow_provider_launchdarkly.assets import EVERY_EXPERIMENT, emit_event
from airflow_provider_launchdarkly.checks.crossing import check_standing
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.operators._approval import LaunchDarklyApprovedBaseOperator
from airflow_provider_launchdarkly.operators._base import (
    LaunchDarklyExperimentBaseOperator,
    LaunchDarklyExperimentWriteBaseOperator,
    audit_comment,
)
from airflow_provider_launchdarkly.operators._changes import resolve_changes, validate_changes
from airflow_provider_launchdarkly.operators._design_operator import LaunchDarklyIterationDesignBaseOperator
from airflow_provider_launchdarkly.operators._judge_now import judge_now
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.errors import ApprovalRequiredError
    from airflow_provider_launchdarkly.api.writes.stop import StopEffect
    from airflow_provider_launchdarkly.evidence.results_config import Results
    from airflow_provider_launchdarkly.operators._awaited import IterationAwaited
    from airflow_provider_launchdarkly.operators._outputs import IterationOutput, StopOutput

# Keys in Airflow's task state store: the iteration that the task created, and the one that it is about to start.
CREATED = "iteration_id"
STARTING = "starting"

# Values of `if_running` and of `method`.
IF_RUNNING = ("adopt", "refuse")
METHODS = ("post", "update_draft", "save_and_start")


class LaunchDarklyCreateIterationOperator(LaunchDarklyIterationDesignBaseOperator):
    """Create a new iteration of an experiment. Each iteration collects its own data.

    Safe to repeat: LaunchDarkly has no key for an iteration, so the task reads first. It adopts an iteration with this
    content, and fails with the difference if it would end or overwrite another one. On Airflow 3.3 and later the task
    also stores the id of the iteration that it created, so that clearing it later creates no second one.

    Args:
        experiment_key: Key of the experiment.
        method: LaunchDarkly's call that creates the iteration.

            ``post`` (default) creates a draft beside a running iteration: ``POST …/iterations``, published up to
            LaunchDarkly's client 22 and deprecated since 23. A draft with other content is an error.

            ``update_draft`` changes the experiment's draft into this design, by ``updateExperimentFields`` (since
            client 23). The experiment's current iteration has to be one that was never started.

            ``save_and_start`` ends the running iteration without a winner and runs a copy with this design in its
            place, in one step, by ``saveAndStartNewIteration`` (since client 23). Nothing is shipped.

            The last two cannot change the flag, its rule or the covariate file.
        comment: Recorded in LaunchDarkly's audit log by the last two. Default: the DAG run and task.
        kwargs: The iteration's design (see :class:`LaunchDarklyIterationDesignBaseOperator`), and the arguments
            of every task.

    Returns:
        :class:`.IterationOutput`, with ``changed`` False if the iteration existed already.
    """

    template_fields: Sequence[str] = (*LaunchDarklyIterationDesignBaseOperator.template_fields, "method", "comment")

    def __init__(self, *, method: str = "post", comment: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.method = method
        self.comment = comment
        if is_literal(method):
            self._validate_method()

    @override
    def act(self, context: Context) -> IterationOutput:
        """Create the iteration, or adopt the one that an earlier try created."""
        from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
        from airflow_provider_launchdarkly.operators._new_iteration import make_iteration

        self._validate_method()
        store = context.get("task_state_store")
        if store is not None and (created := store.get(CREATED)):
            experiment = self.hook.get_experiment(self.experiment_key, expand=ITERATIONS)
            if iteration := experiment.iteration(str(created)):
                self.say("An earlier try created iteration %s: nothing to do.", created)
                return self._describe(experiment, iteration, changed=False)
        made = make_iteration(
            self.hook,
            self.experiment_key,
            self.resolved(),
            method=self.method,
            comment=audit_comment(self.comment, context),
        )
        if store is not None:
            store.set(CREATED, made.iteration.id)
        self.say(
            "%s iteration %s of %s (%s).",
            "Created" if made.made else "Adopted",
            made.iteration.id,
            self.experiment_key,
            made.iteration.status,
        )
        return self._describe(made.experiment, made.iteration, changed=made.made)

    def _validate_method(self) -> None:
        if self.method not in METHODS:
            raise ConfigurationError(f"method is {self.method!r}: write one of {', '.join(METHODS)}")


class AlreadyRunningError(StateError):
    """The iteration runs already, another run started it, and ``if_running`` is ``refuse``."""


class LaunchDarklyStartIterationOperator(LaunchDarklyApprovedBaseOperator, LaunchDarklyExperimentWriteBaseOperator):
    """Start an iteration: from then on people are assigned and measured.

    Safe to repeat: the iteration is pinned by its id. If it is already running, the task succeeds without a write. If
    another iteration runs, or this one is stopped, the task fails. After an unclear response it reads the experiment
    before it sends anything again.

    If two DAG runs start the same iteration, LaunchDarkly starts it once, for one of them. The other run adopts the
    running iteration or fails, by ``if_running``; it never ends or changes it.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration to start, usually the output of the task that created it.
        if_running: What to do if the iteration already runs and this task did not start it. ``adopt`` (default): the
            task succeeds. ``refuse``: it fails without a retry. A retry or a cleared task recognises the iteration that
            it started itself; before Airflow 3.3, which has no task state store, every try after the first adopts.
        turn_flag_on: Turn the flag on first if it is off. LaunchDarkly starts no iteration on a flag that is off.
        change_justification: Text that LaunchDarkly requires if another iteration of the experiment runs, which ends
            with this start. Without it, a running iteration is an error.
        comment: Recorded in LaunchDarkly's audit log. Default: the DAG run and task.
        emit_asset: Emit the event ``start`` on the experiment's asset (see ``assets``) whenever the task succeeds. A
            repeat without a write emits it too, with ``changed`` False.
        kwargs: ``reviewers`` and ``approval_timeout`` (see :class:`LaunchDarklyApprovedBaseOperator`), for the flag
            that ``turn_flag_on`` turns on and for the start itself, and the arguments of every task.

    Returns:
        :class:`.IterationOutput`, with ``changed`` False if the iteration was running already.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyExperimentWriteBaseOperator.template_fields,
        "iteration_id",
        "change_justification",
        "turn_flag_on",
        "reviewers",
        "approval_timeout",
    )

    def __init__(
        self,
        *,
        iteration_id: str,
        turn_flag_on: bool = False,
        change_justification: str | None = None,
        if_running: str = "adopt",
        emit_asset: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if if_running not in IF_RUNNING:
            raise ConfigurationError(f"if_running is {if_running!r}: write one of {', '.join(IF_RUNNING)}")
        self.if_running = if_running
        self.emit_asset = emit_asset
        if emit_asset:
            self.outlets = [*self.outlets, EVERY_EXPERIMENT]
        self.iteration_id = iteration_id
        self.turn_flag_on = turn_flag_on
        if is_literal(turn_flag_on) and not isinstance(turn_flag_on, bool):
            raise ConfigurationError(f"turn_flag_on is {turn_flag_on!r}: write True or False")
        self.change_justification = change_justification

    @override
    def act(self, context: Context) -> IterationOutput:
        """Start the iteration, unless it is running already."""
        # After a hand-over, the start is somebody else's, in this task's place.
        adopts = self.if_running == "adopt" or self.handed_over or self._may_have_started(context)
        from airflow_provider_launchdarkly.views.notes import started as note_of_start

        started = self.hook.start_iteration(
            self.experiment_key,
            self.iteration_id,
            turn_flag_on=self.turn_flag_on,
            justification=self.change_justification,
            comment=self.audit_comment(context),
            announce=lambda _iteration: self._note_start(context),
        )
        if self.turn_flag_on:
            self.flags_changed = tuple(started.iteration.flags)
        if started.flag_turned_on:
            self.say("Turned the flag on.")
        if started.already_running and not adopts:
            raise AlreadyRunningError(
                f"iteration {self.iteration_id!r} of experiment {self.experiment_key!r} runs already, and this task "
                "did not start it: another run has it. Nothing was changed. To continue with it, set if_running='adopt'"
            )
        if started.already_running:
            self.say("Iteration %s was running already: nothing to do.", self.iteration_id)
        else:
            self.say("Started iteration %s of %s.", self.iteration_id, self.experiment_key)
        output = self._describe(started.experiment, started.iteration, changed=not started.already_running)
        if self.emit_asset:
            emit_event(context, self.outlets, "start", output)
        self.leave_note(context, output, note_of_start)
        return output

    @override
    def awaited_change(self, demanded: ApprovalRequiredError | None) -> IterationAwaited:
        """Return the iteration, which is to run."""
        from airflow_provider_launchdarkly.operators._awaited import IterationAwaited

        return IterationAwaited(self.experiment_key, self.iteration_id, "running")

    @override
    def note_hand_over(self, context: Context) -> None:
        """Note that a person starts the iteration in this task's place, for a try after a kill."""
        self._note_start(context)

    def _may_have_started(self, context: Context) -> bool:
        """Return True if an earlier try of this task may have started the iteration."""
        store = context.get("task_state_store")
        if store is None:
            return bool(context["ti"].try_number > 1)
        return bool(store.get(STARTING) == self.iteration_id)

    def _note_start(self, context: Context) -> None:
        """Note, before the request, that this task starts the iteration."""
        store = context.get("task_state_store")
        if store is not None and self.if_running == "refuse":
            store.set(STARTING, self.iteration_id)


class LaunchDarklyStopIterationOperator(LaunchDarklyApprovedBaseOperator, LaunchDarklyExperimentWriteBaseOperator):
    """Stop an iteration, which ships its winner: LaunchDarkly sets the flag's rule to the winner's variation.

    There is no default winner. Safe to repeat: if the iteration is already stopped with the same winner, the task
    succeeds without a write; with another winner, it fails. Killing the task does not stop the experiment.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration to stop.
        winner: A treatment's id or name, ``"baseline"``, or the verdict of
            :class:`LaunchDarklyWaitForSignificanceSensor` (``winner=wait.output``). A ``ship`` verdict names its
            treatment, ``rollback`` and ``inconclusive`` name the baseline; ``invalid`` stops nothing and fails the
            task, since a person has to find the cause.
        reason: Recorded in LaunchDarkly as the reason. Default: the verdict's summary.
        comment: Recorded in LaunchDarkly's audit log. Default: the DAG run and task.
        emit_asset: Emit an event on the experiment's asset (see ``assets``) whenever the task succeeds: ``ship``,
            ``rollback`` or ``inconclusive`` with the verdict, or ``stop`` if the DAG names the winner. A repeat without
            a write emits it too, with ``changed`` False.
        kwargs: ``reviewers`` and ``approval_timeout`` (see :class:`LaunchDarklyApprovedBaseOperator`), and the
            arguments of every task.

    Returns:
        :class:`.StopOutput`, with ``changed`` False if the iteration was stopped with this winner already.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyExperimentWriteBaseOperator.template_fields,
        "iteration_id",
        "winner",
        "reason",
        "reviewers",
        "approval_timeout",
    )

    def __init__(
        self,
        *,
        iteration_id: str,
        winner: Any,
        reason: str | None = None,
        emit_asset: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.emit_asset = emit_asset
        if emit_asset:
            self.outlets = [*self.outlets, EVERY_EXPERIMENT]
        self.iteration_id = iteration_id
        self.winner = winner
        self.reason = reason
        if is_literal(winner):
            from airflow_provider_launchdarkly.operators._winner import choose_winner

            choose_winner(
                winner,
                experiment_key=self.experiment_key if is_literal(self.experiment_key) else None,
                iteration_id=iteration_id if is_literal(iteration_id) else None,
            )

    @override
    def act(self, context: Context) -> StopOutput:
        """Log what everyone will be served, and stop the iteration, unless it is stopped with this winner already."""
        # Imported here, as everything that only a running task needs.
        from airflow_provider_launchdarkly.operators._winner import choose_winner
        from airflow_provider_launchdarkly.views.notes import stopped as note_of_stop

        winner = choose_winner(self.winner, experiment_key=self.experiment_key, iteration_id=self.iteration_id)
        reason = self.reason or winner.reason or f"named by {context['ti'].dag_id}.{context['ti'].task_id}"
        stopped = self.hook.stop_iteration(
            self.experiment_key,
            self.iteration_id,
            winner=winner.treatment,
            reason=reason,
            comment=self.audit_comment(context),
            announce=self._announce,
        )
        effect = stopped.effect
        if stopped.already_stopped:
            self.say("Iteration %s is stopped with %r already: nothing to do.", self.iteration_id, effect.winner.name)
        output: StopOutput = {
            **self._describe(stopped.experiment, stopped.iteration, changed=not stopped.already_stopped),
            "winning_treatment_id": effect.winner.id or "",
            "winning_treatment": effect.winner.name,
            "winning_reason": stopped.iteration.winning_reason,
            "flag_key": effect.flag_key,
            "rule_id": effect.rule_id,
            "variation_id": effect.variation.id,
            "variation": effect.variation.value,
        }
        verdict = self.winner if isinstance(self.winner, Mapping) else None
        if self.emit_asset:
            emit_event(context, self.outlets, verdict["verdict"] if verdict else "stop", {**output, "verdict": verdict})
        self.leave_note(context, output, partial(note_of_stop, verdict=verdict))
        return output

    @override
    def awaited_change(self, demanded: ApprovalRequiredError | None) -> IterationAwaited:
        """Return the iteration, which is to be stopped."""
        from airflow_provider_launchdarkly.operators._awaited import IterationAwaited

        return IterationAwaited(self.experiment_key, self.iteration_id, "stopped")

    def _announce(self, effect: StopEffect) -> None:
        self.say("%s", effect)


class LaunchDarklySaveAndStartIterationOperator(LaunchDarklyExperimentWriteBaseOperator):
    """End the running iteration without a winner, and start a changed copy of it, in one step. Nothing is shipped.

    A rollout goes from one allocation to the next in this way. Safe to repeat: the iteration to end is pinned by its
    id. If an iteration with the changes already runs in its place, the task succeeds without a write. If another
    iteration runs there, or this one was stopped with a winner, the task fails.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration to end.
        changes: Fields in which the copy differs, as for :class:`LaunchDarklyUpdateExperimentOperator`. Default: none.
        change_justification: Recorded in LaunchDarkly as the reason. Default: the comment.
        comment: Recorded in LaunchDarkly's audit log. Default: the DAG run and task.

    Returns:
        :class:`.IterationOutput` of the iteration that runs now, with ``changed`` False if it ran already.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyExperimentWriteBaseOperator.template_fields,
        "iteration_id",
        "changes",
        "change_justification",
    )

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
            validate_changes(changes)

    @override
    def act(self, context: Context) -> IterationOutput:
        """Replace the iteration, unless it is replaced already."""
        comment = self.audit_comment(context)
        changes = self.changes or {}
        if changes:
            validate_changes(changes)
        saved = self.hook.save_and_start(
            self.experiment_key,
            self.iteration_id,
            resolve_changes(self.hook, self.experiment_key, changes, self.iteration_id),
            justification=self.change_justification or comment,
            comment=comment,
        )
        if saved.already_saved:
            self.say("Iteration %s runs in place of %s already.", saved.iteration.id, self.iteration_id)
        else:
            self.say("Started iteration %s in place of %s.", saved.iteration.id, self.iteration_id)
        return self._describe(saved.experiment, saved.iteration, changed=not saved.already_saved)


class LaunchDarklyJudgeOperator(LaunchDarklyExperimentBaseOperator):
    """Judge an iteration on its results now, against the boundary of the latest look whose time has come.

    It never waits: ``wait`` is one of its verdicts. Safe to repeat: it only reads.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration.
        policy: The policy of the sensor whose verdict is judged again: a :class:`Policy`, or the same as a mapping.
        results: Where results come from, as for the sensor. Default: LaunchDarkly's results endpoints.
        record_path: The sensor's folder of decision records: the boundary rests on the earlier looks there, if there
            are any. Default: ``[launchdarkly] record_path``. Nothing is written.
        standing: The output of an earlier sensor on this iteration. If it is ``ship``, its treatment ships without
            crossing the boundary once more, unless something is harmed or its effect is gone (nominal one-sided p above
            0.05), and no other treatment can. A verdict on another iteration, or by another policy, counts for nothing.
        kwargs: ``project_key``, ``environment_key``, ``launchdarkly_conn_id`` and the arguments of every task.

    Returns:
        The verdict as plain JSON: ``ship``, ``rollback``, ``inconclusive``, ``invalid`` or ``wait``.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyExperimentBaseOperator.template_fields,
        "iteration_id",
        "policy",
        "record_path",
        "standing",
    )

    def __init__(
        self,
        *,
        iteration_id: str,
        policy: Policy | Mapping[str, Any] | None = None,
        results: Results | Mapping[str, Any] | None = None,
        record_path: str | None = None,
        standing: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.iteration_id = iteration_id
        # Not a template field: a query is rendered when it runs, with values that only exist then.
        self.results: dict[str, Any] | None = None
        if results is not None:
            from airflow_provider_launchdarkly.evidence.results_config import read_results

            self.results = dict(read_results(results).to_json())
        self.record_path = record_path
        self.standing = standing
        self.policy: Any = policy.to_json() if isinstance(policy, Policy) else ({} if policy is None else policy)
        if is_literal(self.policy):
            Policy.from_json(self.policy)
        if standing is not None and is_literal(standing):
            check_standing(standing)

    @override
    def act(self, context: Context) -> dict[str, Any]:
        """Read the results and decide."""
        from airflow_provider_launchdarkly.sensors._sources import source_of

        policy = Policy.from_json(self.policy or {})
        found = judge_now(
            self.hook,
            self.experiment_key,
            self.iteration_id,
            policy,
            self.record_path or None,
            source=source_of(self.results, self, context, policy),
            standing=self.standing,
            warn=self.warn,
        )
        self.say("%s", found.to_check_result().headline)
        return found.to_json()
